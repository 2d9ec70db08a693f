"""The buffer that one iteration fills: T steps of N environments, allocated once."""

import torch
from torch import Tensor


class Rollout:
    """Tensors ``(T, N, ...)``: what was seen, done and received.

    ``obs`` is what the policy saw, ``next_obs`` what followed before any reset, ``norm_action`` the normalised action
    and ``log_prob`` its log density when it was drawn, ``done`` the Done values.

    Which step is written stands on the device, so that one CUDA graph serves for every step.
    """

    def __init__(self, num_steps: int, num_envs: int, obs_size: int, action_size: int, device: torch.device):
        self.num_steps = num_steps
        self.num_envs = num_envs
        self.obs = torch.zeros(num_steps, num_envs, obs_size, device=device)
        self.next_obs = torch.zeros(num_steps, num_envs, obs_size, device=device)
        self.norm_action = torch.zeros(num_steps, num_envs, action_size, device=device)
        self.log_prob = torch.zeros(num_steps, num_envs, device=device)
        self.reward = torch.zeros(num_steps, num_envs, device=device)
        self.done = torch.zeros(num_steps, num_envs, dtype=torch.long, device=device)
        self._step = torch.zeros(1, dtype=torch.long, device=device)

    def begin(self) -> None:
        """The next step to be written is the first."""
        self._step.zero_()

    def write(self, buffer: Tensor, values: Tensor) -> None:
        """Put the current step's ``values`` ``(N, ...)`` into a buffer ``(T, N, ...)``: one of these, or another."""
        buffer.index_copy_(0, self._step, values.unsqueeze(0))

    def advance(self) -> None:
        """Go on to the next step."""
        self._step += 1

    @property
    def num_samples(self) -> int:
        return self.num_steps * self.num_envs

    def flat(self, tensor: Tensor) -> Tensor:
        """``(T, N, ...)`` as ``(T N, ...)``."""
        return tensor.flatten(0, 1)


def minibatches(num_samples: int, batch_size: int, epochs: int, generator: torch.Generator) -> list[Tensor]:
    """Index tensors of ``ceil(num_samples / batch_size)`` minibatches for each epoch, shuffled anew for each."""
    batches = []
    for _ in range(epochs):
        order = torch.randperm(num_samples, generator=generator, device=generator.device)
        batches += list(order.split(batch_size))
    return batches
