"""Skills from many clips (ASE, Peng 2022): episodes start in a clip or in the default pose."""

import torch
from torch import Tensor

from mimickit.config.engine_config import EngineConfig
from mimickit.config.env_config import ASEEnvConfig
from mimickit.envs.amp_env import AMPEnv
from mimickit.envs.char_env import Share


class ASEEnv(AMPEnv):
    """As AMP; with the probability ``default_reset_prob`` an episode starts in the default pose, at rest."""

    config: ASEEnvConfig
    has_reference = False

    def __init__(self, config: ASEEnvConfig, engine_config: EngineConfig, share: Share):
        super().__init__(config, engine_config, share)
        self._at_default = torch.zeros(share.num_envs, dtype=torch.bool, device=share.device)

    def begin_episodes(self, mask: Tensor) -> None:
        super().begin_episodes(mask)
        chance = torch.rand(self.num_envs, device=self.device, generator=self.generator)
        self._at_default.copy_(mask & (chance < self.config.default_reset_prob))
        self.take_init_pose(self._at_default)

    def record_start(self, mask: Tensor) -> None:
        """Before the default pose there was nothing but the default pose."""
        super().record_start(mask)
        rows = self.rows_of(self._at_default)
        frame = self.frame_of_character(self.layout, self.key_body_ids)[rows]
        self.set_history(self._at_default, rows, frame.unsqueeze(1).expand(-1, self.config.num_disc_obs_steps, -1))
