"""Clips, played: the character takes their poses, and no physics runs."""

import torch
from torch import Tensor

from mimickit.config.env_config import ViewMotionEnvConfig
from mimickit.envs.motion_env import MotionEnv


class ViewMotionEnv(MotionEnv):
    """An episode is a clip from its start to its end, or ``episode_length`` of one that wraps. Actions do nothing."""

    config: ViewMotionEnvConfig
    character_label = "clip"

    def drive(self, action: Tensor) -> None:
        """Actions do nothing."""

    def simulate(self) -> None:
        everywhere = torch.ones(self.num_envs, dtype=torch.bool, device=self.device)
        self.take_pose(everywhere, self.motion_time + self.control_dt)
