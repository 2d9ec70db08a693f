"""What AMP, ADD and ASE ask of a discriminator: its loss, its reward, and old samples to remember (Peng 2021)."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

# The reward's logarithm stops here: a window that surely looks like the reference is worth -log of this.
LEAST_DOUBT = 1e-4


def discriminator_reward(logits: Tensor, scale: float) -> Tensor:
    """``-log(max(1 - sigmoid(logit), 1e-4)) * scale`` (Peng 2021, section 5.3), any shape."""
    return -torch.log((1.0 - torch.sigmoid(logits)).clamp(min=LEAST_DOUBT)) * scale


def discriminator_loss(
    discriminator: Callable[[Tensor], Tensor],
    logit_weight: Tensor,
    agent_obs: Tensor,
    demo_obs: Tensor,
    logit_reg: float,
    grad_penalty: float,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Logistic loss with a gradient penalty on both sides and small logit weights (Peng 2021, equation 8).

    ``(E_agent[softplus(D)] + E_demo[softplus(-D)]) / 2 + logit_reg |w|^2 + grad_penalty (E_agent |dD/dx|^2 +
    E_demo |dD/dx|^2) / 2``.

    Args:
        discriminator: logits ``(M,)`` of normalised observations ``(M, size)``.
        agent_obs, demo_obs: normalised, ``(A, size)`` and ``(B, size)``.

    Returns:
        The loss, and what to log of it. An accuracy is the share of samples on the right side of 0.
    """
    obs = torch.cat((agent_obs, demo_obs)).requires_grad_(True)
    logits = discriminator(obs)
    (gradient,) = torch.autograd.grad(logits.sum(), obs, create_graph=True)
    sizes = [len(agent_obs), len(demo_obs)]
    agent_logits, demo_logits = logits.split(sizes)
    agent_slope, demo_slope = gradient.square().sum(dim=-1).split(sizes)
    prediction = 0.5 * (softplus(agent_logits).mean() + softplus(-demo_logits).mean())
    penalty = 0.5 * (agent_slope.mean() + demo_slope.mean())
    weight_loss = logit_weight.square().sum()
    loss = prediction + logit_reg * weight_loss + grad_penalty * penalty
    return loss, {
        "Disc_Loss": loss,
        "Disc_Grad_Penalty": penalty,
        "Disc_Logit_Loss": weight_loss,
        "Disc_Agent_Acc": (agent_logits < 0.0).float().mean(),
        "Disc_Demo_Acc": (demo_logits > 0.0).float().mean(),
        "Disc_Agent_Logit": agent_logits.mean(),
        "Disc_Demo_Logit": demo_logits.mean(),
    }


class ReplayBuffer:
    """The last ``capacity`` samples of those it was given, ``(size,)`` each; ``count`` of them are there."""

    def __init__(self, capacity: int, size: int, device: torch.device):
        self._samples = torch.zeros(capacity, size, device=device)
        self._next = 0
        self.count = 0
        self._count = torch.zeros(1, dtype=torch.long, device=device)  # where drawing does not wait for it

    def add(self, samples: Tensor) -> None:
        """Remember ``(M, size)`` in place of the oldest; of more than the capacity, the last ones."""
        capacity = len(self._samples)
        samples = samples[-capacity:]
        first = min(len(samples), capacity - self._next)
        self._samples[self._next : self._next + first] = samples[:first]
        self._samples[: len(samples) - first] = samples[first:]
        self._next = (self._next + len(samples)) % capacity
        self._set_count(min(self.count + len(samples), capacity))

    def contents(self) -> dict[str, Any]:
        """What is remembered, a view ``(count, size)``, and where the next sample goes."""
        return {"samples": self._samples[: self.count], "next_row": self._next}

    def restore(self, samples: Tensor, next_row: int) -> None:
        """Remember what `contents` told instead of anything else."""
        self._samples[: len(samples)] = samples.to(self._samples.device)
        self._next = next_row
        self._set_count(len(samples))

    def _set_count(self, count: int) -> None:
        self.count = count
        self._count.fill_(count)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """``(count, size)`` of the remembered samples, drawn with replacement."""
        # The remainder of a number that is much larger than any buffer is as good as uniform.
        number = torch.randint(2**62, (count,), generator=generator, device=self._samples.device)
        return self._samples[number % self._count]
