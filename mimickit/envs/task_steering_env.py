"""The steering task (Peng 2021, "target heading"): move in a direction at a speed, facing a direction."""

import torch
from torch import Tensor

from mimickit.config.engine_config import EngineConfig
from mimickit.config.env_config import TaskSteeringEnvConfig
from mimickit.envs.char_env import ALL, Rows, Share
from mimickit.envs.target_env import TargetEnv
from mimickit.envs.task_markers import FACING_COLOUR, FAR_TIP, TARGET_COLOUR, arrow, arrow_poses, joined
from mimickit.envs.task_observations import steering_observation
from mimickit.envs.task_rewards import steering_reward


class TaskSteeringEnv(TargetEnv):
    """A direction of travel, a speed and a direction to face are drawn.

    Attributes:
        target_dir: ``(N, 2)`` unit vectors of travel, world frame; target_speed ``(N,)`` m/s.
        face_dir: ``(N, 2)`` unit vectors to face, world frame.
    """

    config: TaskSteeringEnvConfig

    def __init__(self, config: TaskSteeringEnvConfig, engine_config: EngineConfig, share: Share):
        super().__init__(config, engine_config, share)
        self._ahead = torch.tensor([1.0, 0.0], device=self.device).expand(self.num_envs, 2)
        self.target_dir, self.face_dir = self._ahead.clone(), self._ahead.clone()
        self.target_speed = torch.zeros(self.num_envs, device=self.device)
        self.markers = arrow(TARGET_COLOUR) + (arrow(FACING_COLOUR) if config.rand_face_dir else ())

    @property
    def obs_size(self) -> int:
        return super().obs_size + 5

    def draw_target(self, mask: Tensor) -> None:
        config, rows = self.config, mask.unsqueeze(-1)
        travel = self.random_direction() if config.rand_tar_dir else self._ahead
        face = self.random_direction() if config.rand_face_dir else travel
        speed = self.uniform(config.tar_speed_min, config.tar_speed_max)
        self.target_dir.copy_(torch.where(rows, travel, self.target_dir))
        self.target_speed.copy_(torch.where(mask, speed, self.target_speed))
        self.face_dir.copy_(torch.where(rows, face, self.face_dir))

    def observe(self, rows: Rows = ALL) -> Tensor:
        task = steering_observation(
            self.engine.root_rot[rows], self.target_dir[rows], self.target_speed[rows], self.face_dir[rows]
        )
        return torch.cat((super().observe(rows), task), dim=-1)

    def task_reward(self) -> Tensor:
        return steering_reward(
            self.engine.root_rot, self.ground_vel, self.target_dir, self.target_speed, self.face_dir, self.config
        )

    def marker_poses(self) -> tuple[Tensor, Tensor]:
        """An arrow shows where to go, and another, farther out, where to face if that is drawn."""
        travel = arrow_poses(self.ground_pos, self.target_dir)
        if not self.config.rand_face_dir:
            return travel
        return joined(travel, arrow_poses(self.ground_pos, self.face_dir, FAR_TIP))
