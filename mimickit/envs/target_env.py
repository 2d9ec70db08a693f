"""A style with a task: a target for the root, which changes now and then."""

import abc

import torch
from torch import Tensor

from mimickit.config.engine_config import EngineConfig
from mimickit.config.env_config import TaskLocationEnvConfig, TaskSteeringEnvConfig
from mimickit.envs.amp_env import AMPEnv
from mimickit.envs.char_env import Share


class TargetEnv(AMPEnv, abc.ABC):
    """The target is drawn when an episode starts, and again whenever a random time has passed.

    It changes after the physics of a control step and before the observation and the reward, which therefore always
    speak of the same target.
    """

    config: TaskLocationEnvConfig | TaskSteeringEnvConfig
    has_reference = False

    def __init__(
        self, config: TaskLocationEnvConfig | TaskSteeringEnvConfig, engine_config: EngineConfig, share: Share
    ):
        super().__init__(config, engine_config, share)
        self._change_time = torch.zeros(self.num_envs, device=self.device)
        self._root_pos_before = torch.zeros(self.num_envs, 3, device=self.device)

    @abc.abstractmethod
    def draw_target(self, mask: Tensor) -> None:
        """Give the environments in ``mask`` ``(N,)`` a new target."""

    @property
    def ground_pos(self) -> Tensor:
        """Horizontal position of each root, ``(N, 2)`` m."""
        return self.engine.root_pos[:, :2]

    @property
    def ground_vel(self) -> Tensor:
        """Each root's mean horizontal velocity over the last control step, ``(N, 2)`` m/s."""
        return (self.engine.root_pos - self._root_pos_before)[:, :2] / self.control_dt

    def drive(self, action: Tensor) -> None:
        # Noted here, after any reset, and not at the end of the step before.
        self._root_pos_before.copy_(self.engine.root_pos)
        super().drive(action)

    def record_start(self, mask: Tensor) -> None:
        super().record_start(mask)
        self._change_target(mask)

    def record_step(self) -> None:
        super().record_step()
        self._change_target(self.time >= self._change_time)

    def _change_target(self, mask: Tensor) -> None:
        until = self.time + self.uniform(self.config.tar_change_time_min, self.config.tar_change_time_max)
        self._change_time.copy_(torch.where(mask, until, self._change_time))
        self.draw_target(mask)

    def uniform(self, low: float, high: float) -> Tensor:
        """One random number for every environment, ``(N,)``."""
        return low + (high - low) * torch.rand(self.num_envs, device=self.device, generator=self.generator)

    def random_direction(self) -> Tensor:
        """A horizontal unit vector for every environment, uniform over the circle, ``(N, 2)``."""
        angle = self.uniform(-torch.pi, torch.pi)
        return torch.stack((torch.cos(angle), torch.sin(angle)), dim=-1)
