"""Motion imitation with objects to climb or vault over."""

import torch
from torch import Tensor

from mimickit.config.engine_config import EngineConfig
from mimickit.config.env_config import StaticObjectsEnvConfig
from mimickit.envs.char_env import Marker, Share
from mimickit.envs.deepmimic_env import DeepMimicEnv

COPY_COLOUR = (0.93, 0.76, 0.52)  # a pale shade of the drawn reference's


class StaticObjectsEnv(DeepMimicEnv):
    """DeepMimic among objects that never move.

    The policy does not observe them; a reference seen in the world frame tells it where they are. Only touching the
    ground is a fall: an object may be touched by any body. A reference that is drawn beside the character gets copies
    of the objects, without which it would climb thin air; they are markers, which the physics does not have.
    """

    config: StaticObjectsEnvConfig

    def __init__(self, config: StaticObjectsEnvConfig, engine_config: EngineConfig, share: Share):
        super().__init__(config, engine_config, share)
        self._copy_offset = torch.tensor(config.ref_char_offset, device=share.device)
        if any(config.ref_char_offset):
            self.markers = tuple(Marker(each.file, COPY_COLOUR) for each in config.objects)

    def marker_poses(self) -> tuple[Tensor, Tensor] | None:
        if not self.markers:
            return None
        return self.engine.prop_pos + self._copy_offset, self.engine.prop_rot
