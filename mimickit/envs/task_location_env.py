"""The location task (Peng 2021): go to a place on the ground."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mimickit.config.engine_config import EngineConfig
from mimickit.config.env_config import TaskLocationEnvConfig
from mimickit.envs.char_env import ALL, Rows, Share
from mimickit.envs.target_env import TargetEnv
from mimickit.envs.task_markers import TARGET_COLOUR, arrow, arrow_poses, joined, pole, pole_poses
from mimickit.envs.task_observations import location_observation
from mimickit.envs.task_rewards import location_reward


class TaskLocationEnv(TargetEnv):
    """A place is drawn around the character, which is rewarded for going there and for being there.

    Attributes:
        target_pos: ``(N, 2)`` the places, m, world frame.
    """

    config: TaskLocationEnvConfig
    markers = (*pole(), *arrow(TARGET_COLOUR))

    def __init__(self, config: TaskLocationEnvConfig, engine_config: EngineConfig, share: Share):
        super().__init__(config, engine_config, share)
        self.target_pos = torch.zeros(self.num_envs, 2, device=self.device)

    @property
    def obs_size(self) -> int:
        return super().obs_size + 2

    def draw_target(self, mask: Tensor) -> None:
        distance = self.uniform(self.config.tar_dist_min, self.config.tar_dist_max)
        drawn = self.ground_pos + distance.unsqueeze(-1) * self.random_direction()
        self.target_pos.copy_(torch.where(mask.unsqueeze(-1), drawn, self.target_pos))

    def observe(self, rows: Rows = ALL) -> Tensor:
        task = location_observation(self.ground_pos[rows], self.engine.root_rot[rows], self.target_pos[rows])
        return torch.cat((super().observe(rows), task), dim=-1)

    def task_reward(self) -> Tensor:
        return location_reward(self.ground_pos, self.engine.root_rot, self.ground_vel, self.target_pos, self.config)

    def marker_poses(self) -> tuple[Tensor, Tensor]:
        """A pole stands on the place; an arrow shows the way, since the place is often out of the picture."""
        way = normalize(self.target_pos - self.ground_pos, dim=-1)
        return joined(pole_poses(self.target_pos), arrow_poses(self.ground_pos, way))
