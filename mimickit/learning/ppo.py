"""Proximal policy optimisation (Schulman 2017) with TD(lambda) returns."""

import torch
from torch import Tensor

from mimickit.config.agent_config import PPOConfig
from mimickit.learning.actor_critic import ActorCriticAgent, PolicySamples
from mimickit.learning.agent import Metrics
from mimickit.learning.networks import DiagonalGaussian


def clipped_surrogate_loss(
    log_prob: Tensor, old_log_prob: Tensor, advantage: Tensor, clip_ratio: float
) -> tuple[Tensor, Tensor]:
    """PPO's loss (Schulman 2017, equation 7) with its sign turned for descent, and the fraction of clipped ratios.

    Args:
        log_prob, old_log_prob, advantage: ``(M,)``.
    """
    ratio = torch.exp(log_prob - old_log_prob)
    clipped = ratio.clamp(1.0 - clip_ratio, 1.0 + clip_ratio)
    loss = -torch.minimum(ratio * advantage, clipped * advantage).mean()
    return loss, (ratio != clipped).float().mean()


class PPOAgent(ActorCriticAgent):
    """Steps on the clipped surrogate, with clipped advantages."""

    config: PPOConfig

    def scale_advantages(self, normalized: Tensor) -> Tensor:
        return normalized.clamp(-self.config.norm_adv_clip, self.config.norm_adv_clip)

    def policy_loss(self, samples: PolicySamples, distribution: DiagonalGaussian) -> tuple[Tensor, Metrics]:
        log_prob = distribution.log_prob(samples.norm_action)
        loss, clip_fraction = clipped_surrogate_loss(
            log_prob, samples.log_prob, samples.advantage, self.config.ppo_clip_ratio
        )
        return loss, {"Actor_Loss": loss, "Clip_Frac": clip_fraction}
