"""Gradient steps on minibatches; on a GPU each is the replay of a CUDA graph.

A minibatch of these networks is a few hundred small kernels, which a GPU runs faster than Python asks for them.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mimickit.learning.processes import Processes
from mimickit.learning.step_graphs import GraphMemory, captured

Terms = dict[str, Tensor]
Loss = Callable[..., tuple[Tensor, Terms]]


class GradientSteps:
    """Descends one loss.

    With a ``memory`` for graphs the second call captures the step, which is then replayed. What the loss reads beside
    its arguments must stay where it was (weights, and buffers that are written in place), and random numbers come from
    ``generators`` alone. Numbers of the loss are those of the capture for ever; the optimizer's settings may change.

    Args:
        loss: of a minibatch's rows, one tensor for each of ``data``: what to descend, and what to log of it.
    """

    def __init__(
        self,
        loss: Loss,
        optimizer: torch.optim.Optimizer,
        parameters: list[nn.Parameter],
        processes: Processes,
        generators: Iterable[torch.Generator] = (),
        memory: GraphMemory | None = None,
    ):
        self._loss, self._optimizer, self._parameters, self._processes = loss, optimizer, parameters, processes
        self._generators, self._memory = tuple(generators), memory
        self._totals: Terms = {}
        self._data: Sequence[Tensor] = ()
        self._batch: Tensor | None = None
        self._graph: torch.cuda.CUDAGraph | None = None
        self._settings: list[dict[str, Any]] = []

    def __call__(self, data: Sequence[Tensor], batches: Sequence[Tensor]) -> Terms:
        """A step on the rows of ``data`` ``(M, ...)`` at each of the indices ``batches``; the means over all steps of
        what the loss reports."""
        for total in self._totals.values():
            total.zero_()
        if self._memory and self._totals:
            self._replay(data, batches, self._memory)
        else:
            for batch in batches:
                self._step(data, batch)
        return {name: total / len(batches) for name, total in self._totals.items()}

    def _replay(self, data: Sequence[Tensor], batches: Sequence[Tensor], memory: GraphMemory) -> None:
        settings = self._optimizer_settings()
        if self._graph is None or settings != self._settings:
            self._data, self._batch, self._settings = data, batches[0].clone(), settings
            self._graph = captured(lambda: self._step(self._data, self._batch), self._generators, memory)
        for known, given in zip(self._data, data, strict=True):
            if known.data_ptr() != given.data_ptr():
                known.copy_(given)
        for batch in batches:
            if len(batch) == len(self._batch):
                self._batch.copy_(batch)
                self._graph.replay()
            else:  # the last of an epoch may be smaller
                self._step(self._data, batch)

    def _optimizer_settings(self) -> list[dict[str, Any]]:
        """Learning rates and the like, which are numbers in a graph."""
        return [
            {name: value for name, value in group.items() if name != "params"} for group in self._optimizer.param_groups
        ]

    def _step(self, data: Sequence[Tensor], batch: Tensor) -> None:
        value, terms = self._loss(*(values[batch] for values in data))
        self._optimizer.zero_grad(set_to_none=True)
        value.backward()
        self._processes.average_gradients(self._parameters)
        self._optimizer.step()
        for name, term in terms.items():
            if name not in self._totals:
                self._totals[name] = torch.zeros_like(term.detach())
            self._totals[name] += term.detach()
