"""Score-matching motion priors (SMP, Mu 2025): PPO rewarded by a diffusion model of motion that stays as it is."""

import math
from typing import Any

import torch
from torch import Tensor

from mimickit.config.agent_config import SMPConfig
from mimickit.config.env_config import AMPEnvConfig
from mimickit.envs.amp_env import AMPEnv
from mimickit.envs.char_env import CharEnv
from mimickit.envs.window_starts import WindowStarts
from mimickit.errors import InputError
from mimickit.learning.agent import Metrics, require_view
from mimickit.learning.normalizer import DifferenceNormalizer
from mimickit.learning.ppo import PPOAgent
from mimickit.learning.processes import Processes
from mimickit.learning.rollout import Rollout
from mimickit.learning.smp_prior.prior import MotionPrior, WindowSpec

# Windows to start episodes in (enable_gsi), how many of them are renewed, and after how many iterations. Drawing them
# is most of the work of a run with few environments, which therefore has fewer.
START_WINDOWS = 4096
START_WINDOWS_PER_ENV = 16
RENEWED_SHARE = 4
RENEW_EVERY = 50


class PriorJudge:
    """Tells how unlike a prior's motion windows are, at several noise levels.

    It is no module: a prior is not part of an agent's model file.
    """

    def __init__(self, prior: MotionPrior, steps: tuple[int, ...], batch_size: int, generator: torch.Generator):
        self.prior = prior
        self._steps, self._batch_size, self._generator = steps, batch_size, generator

    def errors(self, windows: Tensor) -> Tensor:
        """Mean squared errors of the noise that the prior predicts in windows ``(M, S * F)``: ``(M, K)``, one for each
        noise level."""
        parts = [
            torch.stack([self.prior.noise_errors(part, step, self._generator) for step in self._steps], dim=-1)
            for part in windows.split(self._batch_size)
        ]
        return torch.cat(parts)


class SMPAgent(PPOAgent):
    """The reward mixes the environment's, if it has a task, and the prior's: ``exp(-sds_loss_scale * e)``, where ``e``
    is the mean over noise levels of the prior's error in the character's last frames, relative to that level's running
    mean.

    With ``enable_gsi`` episodes start in windows drawn from the prior.
    """

    config: SMPConfig
    env: AMPEnv

    def __init__(self, config: SMPConfig, env: CharEnv, processes: Processes, seed: int):
        require_view(config.agent_name, env, "observe_window", AMPEnvConfig)
        super().__init__(config, env, processes, seed)
        prior = MotionPrior.load(
            config.smp_prior_model, WindowSpec.of(env.config, env.char_model, env.control_dt), env.device
        )
        too_noisy = [step for step in config.diffusion_steps if step >= prior.config.num_diffusion_steps]
        if too_noisy:
            raise InputError(
                f"diffusion_steps: there is no step {too_noisy[0]}; {config.smp_prior_model} has "
                f"{prior.config.num_diffusion_steps}, numbered from 0"
            )
        self.critic_loss_weight = config.critic_loss_weight
        self.judge = PriorJudge(prior, config.diffusion_steps, config.smp_eval_batch_size, self.generator)
        self.judged_samples = 0
        self.iterations = 0
        self.starts = self._starts_from_prior() if config.enable_gsi else None
        if self.starts is not None:
            env.start_in(self.starts)

    def build_modules(self) -> None:
        super().build_modules()
        # Squared errors are at least 0, so that their mean absolute value is their mean.
        self._sds_norm = DifferenceNormalizer(len(self.config.diffusion_steps), clip=math.inf)

    def _starts_from_prior(self) -> WindowStarts:
        """A buffer of windows that the prior draws, for episodes to start in."""
        env, config = self.env, self.env.config
        no_clip = ("enable_tar_obs", "enable_phase_obs", "pose_termination", "log_tracking_error")
        needs = [
            ("root_height_obs true: a start has a height", config.root_height_obs),
            ("num_disc_obs_steps of at least 2: a start has velocities", config.num_disc_obs_steps >= 2),
            *[(f"{key} false: there is no clip to compare with", not getattr(config, key)) for key in no_clip],
        ]
        missing = [need for need, met in needs if not met]
        if missing:
            raise InputError(
                f"enable_gsi starts episodes in windows drawn from the motion prior, which needs an environment with "
                f"{missing[0]}"
            )
        count = min(START_WINDOWS, START_WINDOWS_PER_ENV * env.num_envs)
        windows = self.judge.prior.draw_windows(count, self.generator)
        return WindowStarts(windows, env.layout, env.kinematics, env.key_body_ids, env.control_dt)

    def begin_training(self) -> None:
        config, env, prior = self.config, self.env, self.judge.prior
        self.windows = torch.zeros(config.steps_per_iter, env.num_envs, env.disc_obs_size, device=env.device)
        self.judged_samples = self._sds_norm.count
        if self.processes.is_first and prior.iterations < prior.config.iterations:
            print(
                f"note: {config.smp_prior_model}: prior trained for {prior.iterations:,} of "
                f"{prior.config.iterations:,} iterations",
                flush=True,
            )
        super().begin_training()

    def training_state(self) -> dict[str, Any]:
        counts = {"judged_samples": self.judged_samples, "smp_iterations": self.iterations}
        starts = {} if self.starts is None else {"starts": self.starts.contents()}
        return super().training_state() | counts | starts

    def load_training_state(self, state: dict[str, Any]) -> None:
        super().load_training_state(state)
        self.judged_samples, self.iterations = state["judged_samples"], state["smp_iterations"]
        if self.starts is not None:
            self.starts.restore(**state["starts"])

    def iterate(self) -> Metrics:
        metrics = super().iterate()
        self.iterations += 1
        if self.starts is not None and self.iterations % RENEW_EVERY == 0:
            count = len(self.starts) // RENEWED_SHARE
            self.starts.renew(self.judge.prior.draw_windows(count, self.generator))
        return metrics

    def record_step(self) -> None:
        self.rollout.write(self.windows, self.env.observe_window())

    @torch.no_grad()
    def shape_rewards(self, rollout: Rollout) -> Metrics:
        config = self.config
        errors = self.judge.errors(rollout.flat(self.windows))
        if self.judged_samples < config.sds_normalizer_samples:
            self._sds_norm.record(errors)
            self._sds_norm.update(self.processes.sum(self._sds_norm.new_statistics()))
            self.judged_samples += self.samples_per_iteration
        relative = self._sds_norm.normalize(errors).mean(dim=-1).view_as(rollout.reward)
        smp_reward = torch.exp(-config.sds_loss_scale * relative)
        task_reward = rollout.reward.mean()
        rollout.reward.mul_(config.task_reward_weight).add_(smp_reward, alpha=config.smp_reward_weight)
        return {
            "Task_Reward_Mean": task_reward,
            "SMP_Reward_Mean": smp_reward.mean(),
            "SMP_Reward_Std": smp_reward.std(correction=0),
            "SDS_Loss_Mean": errors.mean(),
        }
