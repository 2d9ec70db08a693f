"""Lipschitz-constrained policies (Chen 2024): PPO that pays for a policy that changes fast with what it sees."""

import torch
from torch import Tensor

from mimickit.config.agent_config import LCPConfig
from mimickit.learning.actor_critic import PolicySamples
from mimickit.learning.agent import Metrics
from mimickit.learning.networks import DiagonalGaussian
from mimickit.learning.ppo import PPOAgent


def obs_gradient_penalty(norm_obs: Tensor, log_prob: Tensor) -> Tensor:
    """Mean over samples of the squared length of the log density's gradient (Chen 2024).

    Args:
        norm_obs: ``(M, obs_size)`` normalised observations, requiring gradients.
        log_prob: ``(M,)`` log densities of the actions taken, computed from them.
    """
    (gradient,) = torch.autograd.grad(log_prob.sum(), norm_obs, create_graph=True)
    return gradient.square().sum(dim=-1).mean()


class LCPAgent(PPOAgent):
    """PPO's loss and ``lcp_weight`` times the gradient penalty."""

    config: LCPConfig
    needs_obs_gradient = True

    def policy_loss(self, samples: PolicySamples, distribution: DiagonalGaussian) -> tuple[Tensor, Metrics]:
        loss, terms = super().policy_loss(samples, distribution)
        penalty = obs_gradient_penalty(samples.norm_obs, distribution.log_prob(samples.norm_action))
        return loss + self.config.lcp_weight * penalty, {**terms, "LCP_Loss": penalty}
