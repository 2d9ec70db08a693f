"""The processes of one training run: one per device, equal parameters, averaged gradients."""

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mimickit.errors import ProcessGroupError


class Processes:
    """What a process knows of the others. With ``size`` 1 every operation leaves its input as it is."""

    def __init__(self, rank: int, size: int, device: torch.device):
        self.rank = rank
        self.size = size
        self.device = device

    @property
    def is_first(self) -> bool:
        """This process writes the files and talks to the terminal."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """Element-wise sum over processes."""
        if self.size > 1:
            tensor = tensor.clone()
            dist.all_reduce(tensor)
        return tensor

    def wait_for_all(self) -> None:
        """Return when every process has come here."""
        self.sum(torch.zeros(1, device=self.device)).item()

    def average_gradients(self, parameters: list[nn.Parameter]) -> None:
        """Replace every gradient by its mean over processes, in one message."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.size
        start = 0
        for gradient in gradients:
            gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
            start += gradient.numel()

    def broadcast(self, tensors: Iterable[Tensor]) -> None:
        """Give every process the first one's values."""
        if self.size > 1:
            for tensor in tensors:
                dist.broadcast(tensor.data, src=0)

    def require_equal(self, module: nn.Module) -> None:
        """Raise ProcessGroupError if any tensor of the module's state differs between processes."""
        if self.size == 1:
            return
        for name, tensor in module.state_dict().items():
            first = tensor.clone()
            dist.broadcast(first, src=0)
            differs = torch.tensor([0.0 if torch.equal(first, tensor) else 1.0], device=self.device)
            dist.all_reduce(differs)
            if differs.item():
                raise ProcessGroupError(
                    f"'{name}' differs between the training processes ({int(differs.item())} of {self.size})"
                )
