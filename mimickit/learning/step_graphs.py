"""A control step of training as CUDA graphs: captured once, then replayed without a word of Python in between.

A step launches some two thousand small kernels, and a GPU runs them faster than Python asks for them. The physics is a
graph of its own (`mimickit.engines.newton_engine`), whose solver loops on the device; so a step is three graphs: what
comes before the physics, the physics, what comes after.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

# Steps taken one operation after the other before the capture: kernels are loaded and workspaces made in them.
WARM_UP_STEPS = 2
_OURS = "mimickit"


@dataclass(frozen=True)
class GraphMemory:
    """Memory that graphs share which are replayed one after the other: each uses what the others need no more.

    Tensors outlive a replay only where a reference to them was kept at the capture, or where they were made before it.
    Torch shares memory within a stream only, so all are captured on one.
    """

    pool: tuple[int, int] = field(default_factory=torch.cuda.graph_pool_handle)
    stream: torch.cuda.Stream = field(default_factory=torch.cuda.Stream)


def captured(
    function: Callable[[], None], generators: Iterable[torch.Generator], memory: GraphMemory
) -> torch.cuda.CUDAGraph:
    """What ``function`` launches, as a graph; nothing is launched now. It must have run before.

    Numbers that ``function`` reads in Python, and the branches it takes, are those of now at every replay.

    Args:
        generators: of all its random numbers, which go on at every replay.
    """
    graph = torch.cuda.CUDAGraph()
    for generator in generators:
        graph.register_generator_state(generator)
    torch.cuda.synchronize()
    torch.cuda.empty_cache()  # what the first run needed, this graph has in its pool
    # Not torch.cuda.graph: it imports torch's compiler, which takes seconds.
    with torch.cuda.stream(memory.stream):
        # Other threads may talk to the device: NCCL's watchdog does.
        graph.capture_begin(pool=memory.pool, capture_error_mode="thread_local")
        try:
            function()
        finally:
            graph.capture_end()
    # The capture resets its generators' numbers on that stream: late, it would do so in the middle of a replay.
    memory.stream.synchronize()
    return graph


def tensors_of(owners: Mapping[str, object]) -> dict[str, Tensor]:
    """The tensors of ``owners``, and of whatever of ours they hold, by path: ``env._errors._sum``.

    Objects of other libraries are not looked into.
    """
    found: dict[str, Tensor] = {}
    seen: set[int] = set()

    def visit(path: str, value: object) -> None:
        if isinstance(value, Tensor):
            found[path] = value
            return
        if id(value) in seen:
            return
        seen.add(id(value))
        if isinstance(value, Mapping):
            parts = {f"{path}[{key}]": part for key, part in value.items()}
        elif isinstance(value, list | tuple):
            parts = {f"{path}[{number}]": part for number, part in enumerate(value)}
        elif isinstance(value, nn.Module) or type(value).__module__.partition(".")[0] == _OURS:
            parts = {f"{path}.{name}": part for name, part in getattr(value, "__dict__", {}).items()}
        else:
            return
        for name, part in parts.items():
            visit(name, part)

    for name, owner in owners.items():
        visit(name, owner)
    return found


def moved_tensors(before: Mapping[str, Tensor], now: Mapping[str, Tensor]) -> list[str]:
    """Paths of those that are not where they were, or not there; ``before`` keeps their memory from other use."""
    return sorted(
        path for path, tensor in before.items() if path not in now or now[path].data_ptr() != tensor.data_ptr()
    )


class StepGraphs:
    """Runs ``before``, ``physics`` and ``after`` at every call; from the third on, the first and the last as graphs.

    What the two functions read and write must lie where it lay when they were captured: they write in place, and draw
    random numbers from ``generators`` alone. ``owners``, by name, are looked at for tensors that were put somewhere
    else (`tensors_of`).
    """

    def __init__(
        self,
        before: Callable[[], None],
        physics: Callable[[], None],
        after: Callable[[], None],
        generators: Iterable[torch.Generator],
        owners: Mapping[str, object],
        memory: GraphMemory,
    ):
        self._before, self._physics, self._after = before, physics, after
        self._generators, self._owners = tuple(generators), dict(owners)
        self._memory, self._calls = memory, 0
        self._graphs: tuple[torch.cuda.CUDAGraph, torch.cuda.CUDAGraph] | None = None
        self._known: dict[str, Tensor] = {}

    def __call__(self) -> None:
        if self._graphs is None and self._calls >= WARM_UP_STEPS:
            self._capture()
        self._calls += 1
        if self._graphs is None:
            self._before()
            self._physics()
            self._after()
        else:
            self._graphs[0].replay()
            self._physics()
            self._graphs[1].replay()

    def _capture(self) -> None:
        self._known = tensors_of(self._owners)
        self._graphs = (
            captured(self._before, self._generators, self._memory),
            captured(self._after, self._generators, self._memory),
        )
        self.require_places()  # now the functions ran: what they replace, a replay would never see

    def require_places(self) -> None:
        """RuntimeError when a tensor of an owner is not where the graphs know it: they would go on with the old one."""
        if self._graphs is None:
            return
        moved = moved_tensors(self._known, tensors_of(self._owners))
        if moved:
            raise RuntimeError(
                f"replaced after a control step was captured, instead of written in place: {', '.join(moved)}"
            )
