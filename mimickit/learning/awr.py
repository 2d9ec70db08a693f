"""Advantage-weighted regression (Peng 2019): imitate the actions taken, the good ones more."""

import torch
from torch import Tensor

from mimickit.config.agent_config import AWRConfig
from mimickit.learning.actor_critic import ActorCriticAgent, PolicySamples
from mimickit.learning.agent import Metrics
from mimickit.learning.networks import DiagonalGaussian


class AWRAgent(ActorCriticAgent):
    """The loss is minus the log density of an action, weighted by exp(normalised advantage / temperature), capped."""

    config: AWRConfig

    def scale_advantages(self, normalized: Tensor) -> Tensor:
        return torch.exp(normalized / self.config.awr_temp).clamp(max=self.config.a_weight_clip)

    def policy_loss(self, samples: PolicySamples, distribution: DiagonalGaussian) -> tuple[Tensor, Metrics]:
        loss = -(samples.advantage * distribution.log_prob(samples.norm_action)).mean()
        return loss, {"Actor_Loss": loss, "Adv_Weight_Mean": samples.advantage.mean()}
