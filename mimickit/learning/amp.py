"""Adversarial motion priors (AMP, Peng 2021): PPO rewarded by a discriminator that is shown windows of motion."""

from typing import Any

import torch
from torch import Tensor

from mimickit.config.agent_config import AMPConfig
from mimickit.config.env_config import AMPEnvConfig, CharEnvConfig
from mimickit.envs.char_env import CharEnv
from mimickit.learning.actor_critic import build_optimizer
from mimickit.learning.agent import Metrics, require_view
from mimickit.learning.discriminator import ReplayBuffer, discriminator_loss, discriminator_reward
from mimickit.learning.networks import DiscriminatorModel
from mimickit.learning.normalizer import DifferenceNormalizer, Normalizer
from mimickit.learning.ppo import PPOAgent
from mimickit.learning.processes import Processes
from mimickit.learning.rollout import Rollout


class AMPAgent(PPOAgent):
    """The reward mixes the environment's, if it has a task, and the discriminator's.

    After each policy update the discriminator learns to tell this rollout's windows and remembered ones from clips'.
    """

    config: AMPConfig
    _model: DiscriminatorModel
    # How an environment shows motion to the discriminator, and the settings of those that do.
    view = "observe_window"
    fitting: type[CharEnvConfig] = AMPEnvConfig

    def __init__(self, config: AMPConfig, env: CharEnv, processes: Processes, seed: int):
        require_view(config.agent_name, env, self.view, self.fitting)
        super().__init__(config, env, processes, seed)
        self.disc_optimizer = build_optimizer(config.disc_optimizer, self._model.discriminator_parameters())

    def build_modules(self) -> None:
        env = self.env
        self._disc_obs_norm = self.build_disc_normalizer(env.disc_obs_size)
        self._model = self.build_model(env.obs_size, env.action_size, env.disc_obs_size)

    def build_disc_normalizer(self, size: int) -> Normalizer | DifferenceNormalizer:
        """What brings the discriminator's observations to a common scale."""
        return Normalizer(size)

    def build_model(self, obs_size: int, action_size: int, disc_obs_size: int) -> DiscriminatorModel:
        """The networks."""
        return DiscriminatorModel(self.config.model, obs_size, action_size, disc_obs_size)

    def begin_training(self) -> None:
        config, env = self.config, self.env
        self.disc_obs = torch.zeros(config.steps_per_iter, env.num_envs, env.disc_obs_size, device=env.device)
        self.replay = ReplayBuffer(config.disc_buffer_size, env.disc_obs_size, env.device)
        super().begin_training()

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return super().optimizers() | {"disc": self.disc_optimizer}

    def training_state(self) -> dict[str, Any]:
        return super().training_state() | {"replay": self.replay.contents()}

    def load_training_state(self, state: dict[str, Any]) -> None:
        super().load_training_state(state)
        self.replay.restore(**state["replay"])

    def record_step(self) -> None:
        self.rollout.write(self.disc_obs, getattr(self.env, self.view)())

    def sample_demo(self, count: int) -> Tensor:
        """What the discriminator is to accept, ``(count, disc_obs_size)``."""
        return self.env.sample_demo(count)

    @torch.no_grad()
    def shape_rewards(self, rollout: Rollout) -> Metrics:
        config = self.config
        logits = self._model.discriminator(self._disc_obs_norm.normalize(self.disc_obs))
        disc_reward = discriminator_reward(logits, config.disc_reward_scale)
        task_reward = rollout.reward.mean()
        rollout.reward.mul_(config.task_reward_weight).add_(disc_reward, alpha=config.disc_reward_weight)
        return {
            "Task_Reward_Mean": task_reward,
            "Disc_Reward_Mean": disc_reward.mean(),
            "Disc_Reward_Std": disc_reward.std(correction=0),
        }

    def update(self, rollout: Rollout) -> Metrics:
        learning_scale = self.normalizer_samples < self.config.normalizer_samples
        metrics = super().update(rollout)
        metrics |= self.update_discriminator(rollout.flat(self.disc_obs), learning_scale)
        if learning_scale:
            self._disc_obs_norm.update(self.processes.sum(self._disc_obs_norm.new_statistics()))
        self.remember(rollout.flat(self.disc_obs))
        return metrics

    def update_discriminator(self, disc_obs: Tensor, learning_scale: bool) -> Metrics:
        """Gradient steps on the discriminator's loss; with ``learning_scale`` the first epoch's samples of both sides
        enter the normaliser's statistics."""
        config = self.config
        batch_size = config.disc_batch_size * self.env.num_envs
        if not learning_scale:
            return self.descend("disc", self._disc_loss, (disc_obs,), batch_size, config.disc_epochs)
        first = self.descend("disc", self._recording_disc_loss, (disc_obs,), batch_size, 1)
        if config.disc_epochs == 1:
            return first
        later = self.descend("disc", self._disc_loss, (disc_obs,), batch_size, config.disc_epochs - 1)
        return {name: (first[name] + (config.disc_epochs - 1) * later[name]) / config.disc_epochs for name in first}

    def _recording_disc_loss(self, agent_obs: Tensor) -> tuple[Tensor, Metrics]:
        demo_obs = self.sample_demo(len(agent_obs))
        self.record_scale(agent_obs, demo_obs)
        return self._loss_against(agent_obs, demo_obs)

    def _disc_loss(self, agent_obs: Tensor) -> tuple[Tensor, Metrics]:
        return self._loss_against(agent_obs, self.sample_demo(len(agent_obs)))

    def _loss_against(self, agent_obs: Tensor, demo_obs: Tensor) -> tuple[Tensor, Metrics]:
        config, model, norm = self.config, self._model, self._disc_obs_norm
        if self.replay.count:
            agent_obs = torch.cat((agent_obs, self.replay.draw(len(agent_obs), self.generator)))
        return discriminator_loss(
            model.discriminator,
            model.logit_weight,
            norm.normalize(agent_obs),
            norm.normalize(demo_obs),
            config.disc_logit_reg,
            config.disc_grad_penalty,
        )

    def record_scale(self, agent_obs: Tensor, demo_obs: Tensor) -> None:
        """Let samples of both sides into the normaliser's next update."""
        self._disc_obs_norm.record(agent_obs)
        self._disc_obs_norm.record(demo_obs)

    def remember(self, disc_obs: Tensor) -> None:
        """Add ``disc_replay_samples`` of a rollout's ``(M, size)`` to the replay buffer."""
        order = torch.randperm(len(disc_obs), generator=self.generator, device=disc_obs.device)
        self.replay.add(disc_obs[order[: self.config.disc_replay_samples]])
