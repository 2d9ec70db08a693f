"""Imitation judged by a discriminator of differences (ADD, Zhang and Peng 2025)."""

import torch
from torch import Tensor

from mimickit.config.engine_config import EngineConfig
from mimickit.config.env_config import ADDEnvConfig
from mimickit.envs.char_env import Share
from mimickit.envs.deepmimic_env import DeepMimicEnv
from mimickit.envs.motion_windows import FrameLayout, extended, observe_windows, pack_frame


class ADDEnv(DeepMimicEnv):
    """DeepMimic's environment, which also tells how the character's last frames differ from the reference's.

    Attributes:
        layout: of a frame; it holds all bodies.
    """

    config: ADDEnvConfig

    def __init__(self, config: ADDEnvConfig, engine_config: EngineConfig, share: Share):
        super().__init__(config, engine_config, share)
        num_bodies = self.char_model.num_bodies
        self.layout = FrameLayout.of(self.char_model, num_bodies, config.disc_dof_vel_obs)
        self._body_ids = torch.arange(num_bodies, device=self.device)
        shape = (self.num_envs, config.num_disc_obs_steps, self.layout.packed_size)
        self._history = torch.zeros(shape, device=self.device)
        self._ref_history = torch.zeros(shape, device=self.device)

    @property
    def disc_obs_size(self) -> int:
        """Length of a difference as the discriminator sees it."""
        return self.config.num_disc_obs_steps * self.layout.obs_size

    def observe_difference(self) -> Tensor:
        """Reference minus character over the last frames, ``(N, disc_obs_size)``; to be asked for before a reset."""
        height = self.config.root_height_obs
        reference = observe_windows(self._ref_history, self.layout, self.track_root, height)
        return reference - observe_windows(self._history, self.layout, self.track_root, height)

    def record_start(self, mask: Tensor) -> None:
        """Before the start both stood as they do now, where the character takes the reference's state."""
        chosen, (frame, ref_frame) = mask[:, None, None], self._frames()
        self._history.copy_(torch.where(chosen, frame.unsqueeze(1), self._history))
        self._ref_history.copy_(torch.where(chosen, ref_frame.unsqueeze(1), self._ref_history))

    def record_step(self) -> None:
        frame, ref_frame = self._frames()
        self._history.copy_(extended(self._history, frame))
        self._ref_history.copy_(extended(self._ref_history, ref_frame))

    def _frames(self) -> tuple[Tensor, Tensor]:
        """The character's and the reference's current packed frames, ``(N, packed_size)`` each."""
        ref = self.reference
        ref_frame = pack_frame(
            self.layout,
            ref.root_pos,
            ref.root_rot,
            ref.root_vel,
            ref.root_ang_vel,
            ref.joint_rot,
            ref.dof_vel,
            self.ref_body_pos,
        )
        return self.frame_of_character(self.layout, self._body_ids), ref_frame
