"""Imitation of a style (AMP, Peng 2021): a discriminator compares windows of the character's motion with clips'."""

import torch
from torch import Tensor

from mimickit.config.engine_config import EngineConfig
from mimickit.config.env_config import AMPEnvConfig
from mimickit.envs.char_env import ALL, Rows, Share
from mimickit.envs.deepmimic_env import DeepMimicEnv
from mimickit.envs.motion_windows import ClipWindows, FrameLayout, extended, observe_windows
from mimickit.envs.window_starts import WindowStarts


class AMPEnv(DeepMimicEnv):
    """Remembers each character's last ``num_disc_obs_steps`` frames; the environment itself rewards nothing.

    An episode starts in a clip, with the frames that led there as its history, and does not end with the clip. The
    reference goes on beside the character to be looked at, and is compared with only where the config asks for it.

    Attributes:
        layout: of a frame.
        start_source: where episodes start instead of in clips, see :meth:`start_in`.
    """

    config: AMPEnvConfig
    _start_frames: Tensor

    def __init__(self, config: AMPEnvConfig, engine_config: EngineConfig, share: Share):
        super().__init__(config, engine_config, share)
        self.layout = FrameLayout.of(self.char_model, len(config.key_bodies), config.disc_dof_vel_obs)
        num_steps = config.num_disc_obs_steps
        self.clip_windows = ClipWindows(
            self.motions, self.kinematics, self.layout, self.key_body_ids, num_steps, self.control_dt
        )
        self.history = torch.zeros(self.num_envs, num_steps, self.layout.packed_size, device=self.device)
        self.start_source: WindowStarts | None = None
        self._uses_reference = config.enable_tar_obs or config.pose_termination or config.log_tracking_error

    def start_in(self, source: WindowStarts) -> None:
        """Let episodes start in windows drawn from ``source`` instead of clips; there is no reference then."""
        self.start_source = source
        self._start_frames = torch.zeros_like(self.history)
        self.has_reference = False

    @property
    def disc_obs_size(self) -> int:
        """Length of a window as the discriminator sees it."""
        return self.config.num_disc_obs_steps * self.layout.obs_size

    def observe_window(self) -> Tensor:
        """The last frames of every character, ``(N, disc_obs_size)``; to be asked for before a reset."""
        return self._observed(self.history)

    def sample_demo(self, count: int) -> Tensor:
        """Windows out of the clips, ``(count, disc_obs_size)``."""
        return self._observed(self.clip_windows.draw(count, self.generator))

    def _observed(self, frames: Tensor) -> Tensor:
        return observe_windows(frames, self.layout, self.track_root, self.config.root_height_obs)

    def begin_episodes(self, mask: Tensor) -> None:
        if self.start_source is None:
            super().begin_episodes(mask)
        else:
            state, frames = self.start_source.draw(self.num_envs, self.generator)
            self._start_frames.copy_(frames)
            self.take_state(mask, state)

    def record_start(self, mask: Tensor) -> None:
        """The past is what led to the start in the clip, or in the window that was drawn."""
        rows = self.rows_of(mask)
        if self.start_source is None:
            frames = self.clip_windows.at(self.motion_ids[rows], self.motion_start[rows])
        else:
            frames = self._start_frames[rows]
        self.set_history(mask, rows, frames)

    def set_history(self, mask: Tensor, rows: Rows, frames: Tensor) -> None:
        """Let the frames ``(len(rows), S, packed_size)`` be the past of the environments in ``mask`` among ``rows``."""
        self.history[rows] = torch.where(mask[rows, None, None], frames, self.history[rows])

    def record_step(self) -> None:
        self.history.copy_(extended(self.history, self.frame_of_character(self.layout, self.key_body_ids)))

    def update_reference(self, rows: Rows = ALL) -> None:
        if self._uses_reference:
            super().update_reference(rows)

    def compute_reward(self) -> Tensor:
        if self.config.log_tracking_error:
            self.meter_errors()
        return self.task_reward()

    def task_reward(self) -> Tensor:
        """``(N,)``; nothing without a task."""
        return torch.zeros(self.num_envs, device=self.device)

    def succeeded(self) -> Tensor:
        """Never: an episode does not end with its clip."""
        return torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)

    def reference_bodies(self) -> tuple[Tensor, Tensor]:
        if not self._uses_reference:
            super().update_reference()
        return super().reference_bodies()
