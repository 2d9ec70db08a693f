"""Adversarial skill embeddings (ASE, Peng 2022): AMP with a latent that says which skill to show."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mimickit.config.agent_config import ASEConfig
from mimickit.envs.char_env import CharEnv
from mimickit.learning.actor_critic import PolicySamples, build_optimizer
from mimickit.learning.agent import Metrics
from mimickit.learning.amp import AMPAgent
from mimickit.learning.networks import DiagonalGaussian, SkillModel
from mimickit.learning.processes import Processes
from mimickit.learning.rollout import Rollout


def random_latents(count: int, size: int, generator: torch.Generator) -> Tensor:
    """``(count, size)``, uniform on the unit sphere."""
    return normalize(torch.randn(count, size, generator=generator, device=generator.device), dim=-1)


def encoder_reward(latents: Tensor, encoded: Tensor) -> Tensor:
    """``max(0, z . enc)`` (Peng 2022, equation 13): unit vectors ``(..., L)`` to ``(...)``."""
    return (latents * encoded).sum(dim=-1).clamp(min=0.0)


def diversity_loss(mean: Tensor, other_mean: Tensor, latents: Tensor, other_latents: Tensor, target: float) -> Tensor:
    """``(target - |mu(z') - mu(z)|^2 / (0.5 - 0.5 z . z' + 1e-5))^2``, mean over samples (Peng 2022, equation 15).

    The squared change of the mean action is averaged over its components.

    Args:
        mean, other_mean: ``(M, A)`` mean actions at the same observations for ``latents``, ``other_latents (M, L)``.
    """
    action_change = (other_mean - mean).square().mean(dim=-1)
    latent_change = 0.5 - 0.5 * (latents * other_latents).sum(dim=-1)
    return (target - action_change / (latent_change + 1e-5)).square().mean()


class ASEAgent(AMPAgent):
    """Policy and value see a latent on the unit sphere, which changes at random times and with every episode.

    An encoder learns to tell the latent from the motion, and rewards what it can tell.
    """

    config: ASEConfig
    _model: SkillModel

    def __init__(self, config: ASEConfig, env: CharEnv, processes: Processes, seed: int):
        super().__init__(config, env, processes, seed)
        self.enc_optimizer = build_optimizer(config.enc_optimizer, self._model.encoder_parameters())
        self.latents = torch.zeros(env.num_envs, config.model.latent_dim, device=env.device)
        self._latent_end = torch.zeros(env.num_envs, device=env.device)

    def build_model(self, obs_size: int, action_size: int, disc_obs_size: int) -> SkillModel:
        return SkillModel(self.config.model, obs_size, action_size, disc_obs_size)

    def begin_training(self) -> None:
        steps, num_envs = self.config.steps_per_iter, self.env.num_envs
        self.rollout_latents = torch.zeros(steps, num_envs, self.config.model.latent_dim, device=self.env.device)
        super().begin_training()

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return super().optimizers() | {"enc": self.enc_optimizer}

    def begin_step(self) -> None:
        """Draw new latents where an episode begins or the old one's time is over."""
        config, env = self.config, self.env
        fresh = (env.step_count == 0) | (env.time >= self._latent_end)
        latents = random_latents(env.num_envs, config.model.latent_dim, self.generator)
        chance = torch.rand(env.num_envs, generator=self.generator, device=env.device)
        duration = config.latent_time_min + chance * (config.latent_time_max - config.latent_time_min)
        self.latents.copy_(torch.where(fresh.unsqueeze(-1), latents, self.latents))
        self._latent_end.copy_(torch.where(fresh, env.time + duration, self._latent_end))

    def policy(self, obs: Tensor) -> DiagonalGaussian:
        return self._model.actor(torch.cat((self._obs_norm.normalize(obs), self.latents), dim=-1))

    def record_step(self) -> None:
        super().record_step()
        self.rollout.write(self.rollout_latents, self.latents)

    def policy_inputs(self, rollout: Rollout) -> tuple[Tensor, Tensor]:
        """The value after a step is that of going on with the step's latent."""
        inputs, next_inputs = super().policy_inputs(rollout)
        latents = self.rollout_latents
        return torch.cat((inputs, latents), dim=-1), torch.cat((next_inputs, latents), dim=-1)

    @torch.no_grad()
    def shape_rewards(self, rollout: Rollout) -> Metrics:
        metrics = super().shape_rewards(rollout)
        encoded = self._model.encoder(self._disc_obs_norm.normalize(self.disc_obs))
        reward = encoder_reward(self.rollout_latents, encoded)
        rollout.reward.add_(reward, alpha=self.config.enc_reward_weight)
        return metrics | {"Enc_Reward_Mean": reward.mean(), "Enc_Reward_Std": reward.std(correction=0)}

    def policy_loss(self, samples: PolicySamples, distribution: DiagonalGaussian) -> tuple[Tensor, Metrics]:
        loss, terms = super().policy_loss(samples, distribution)
        norm_obs, latents = samples.norm_obs.split((self.env.obs_size, self.config.model.latent_dim), dim=-1)
        others = random_latents(len(latents), latents.shape[-1], self.generator)
        other_mean = self._model.actor(torch.cat((norm_obs, others), dim=-1)).mean
        diversity = diversity_loss(distribution.mean, other_mean, latents, others, self.config.diversity_tar)
        return loss + self.config.diversity_weight * diversity, {**terms, "Diversity_Loss": diversity}

    def update(self, rollout: Rollout) -> Metrics:
        norm_disc_obs = self._disc_obs_norm.normalize(rollout.flat(self.disc_obs))  # before the scale changes
        metrics = super().update(rollout)
        return metrics | self.update_encoder(norm_disc_obs, rollout.flat(self.rollout_latents))

    def update_encoder(self, norm_disc_obs: Tensor, latents: Tensor) -> Metrics:
        """Gradient steps on ``-z . enc``, the log likelihood of a von Mises-Fisher distribution (equation 12)."""
        config = self.config
        batch_size = config.enc_batch_size * self.env.num_envs
        return self.descend("enc", self._encoder_loss, (norm_disc_obs, latents), batch_size, config.enc_epochs)

    def _encoder_loss(self, norm_disc_obs: Tensor, latents: Tensor) -> tuple[Tensor, Metrics]:
        error = -(latents * self._model.encoder(norm_disc_obs)).sum(dim=-1).mean()
        return error, {"Enc_Loss": error}
