"""A character with motion clips: every episode has a clip and a time in it."""

import torch
from torch import Tensor

from mimickit.anim.motion_library import MotionFrame, MotionLibrary
from mimickit.config.engine_config import EngineConfig
from mimickit.config.env_config import DeepMimicEnvConfig, ViewMotionEnvConfig
from mimickit.envs.char_env import CharEnv, Share


class MotionEnv(CharEnv):
    """Episodes start in the state of a clip, chosen by weight, at a random time or at 0.

    Attributes:
        motions: the clips of this process.
        motion_ids: ``(N,)`` each environment's clip; motion_start ``(N,)`` the time in it where the episode began, s.
    """

    config: DeepMimicEnvConfig | ViewMotionEnvConfig

    def __init__(self, config: DeepMimicEnvConfig | ViewMotionEnvConfig, engine_config: EngineConfig, share: Share):
        super().__init__(config, engine_config, share)
        self.motions = MotionLibrary.load(
            config.motion_file, self.kinematics, share.device, share.rank, share.num_processes
        )
        self.motion_ids = torch.zeros(share.num_envs, dtype=torch.long, device=share.device)
        self.motion_start = torch.zeros(share.num_envs, device=share.device)

    @property
    def motion_time(self) -> Tensor:
        """Where each environment is in its clip, s, ``(N,)``."""
        return self.motion_start + self.time

    def begin_episodes(self, mask: Tensor) -> None:
        """A clip by weight, at a random time (or 0), with the clip's full state."""
        ids = self.motions.sample_ids(self.num_envs, self.generator)
        start = self.motions.sample_times(ids, self.generator)
        if not self.config.rand_reset:
            start = torch.zeros_like(start)
        self.motion_ids.copy_(torch.where(mask, ids, self.motion_ids))
        self.motion_start.copy_(torch.where(mask, start, self.motion_start))
        self.take_pose(mask, self.motion_start)

    def take_pose(self, mask: Tensor, times: Tensor) -> None:
        """Put the characters in ``mask`` ``(N,)`` into their clips' state at ``times`` ``(N,)``, s."""
        self.take_state(mask, self.motions.sample(self.motion_ids, times))

    def take_state(self, mask: Tensor, frame: MotionFrame) -> None:
        """Put the characters in ``mask`` ``(N,)`` into a state of shape ``(N, ...)``."""
        self.engine.reset(
            mask,
            frame.root_pos,
            frame.root_rot,
            frame.root_vel,
            frame.root_ang_vel,
            self.kinematics.rot_to_dof(frame.joint_rot),
            frame.dof_vel,
        )

    def succeeded(self) -> Tensor:
        """A clip that does not wrap has reached its end."""
        ended = self.motion_time >= self.motions.lengths[self.motion_ids]
        return ended & ~self.motions.wraps[self.motion_ids]
