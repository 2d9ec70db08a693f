"""Adversarial differential discriminators (ADD, Zhang and Peng 2025): AMP on differences to the reference."""

import torch
from torch import Tensor

from mimickit.config.env_config import ADDEnvConfig
from mimickit.learning.amp import AMPAgent
from mimickit.learning.normalizer import DifferenceNormalizer


class ADDAgent(AMPAgent):
    """The discriminator sees reference minus character; what it is to accept is no difference at all: zeros."""

    view = "observe_difference"
    fitting = ADDEnvConfig

    def build_disc_normalizer(self, size: int) -> DifferenceNormalizer:
        return DifferenceNormalizer(size)

    def sample_demo(self, count: int) -> Tensor:
        return torch.zeros(count, self.env.disc_obs_size, device=self.env.device)

    def record_scale(self, agent_obs: Tensor, demo_obs: Tensor) -> None:
        """The policy's differences alone: zeros would only shrink the scale."""
        self._disc_obs_norm.record(agent_obs)
