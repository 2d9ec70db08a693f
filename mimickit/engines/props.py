"""Props beside the character: where they are, and how the free ones are put somewhere with a velocity.

Both backends hold the free props in MuJoCo's ``qpos`` and ``qvel``, behind the character and in the scene's order:
position and quaternion (wxyz), then the world linear velocity of the body's origin and the angular velocity.
"""

import mujoco
import numpy as np
import torch
from torch import Tensor

from mimickit.engines.engine import Scene
from mimickit.engines.mujoco_scene import StateLayout


class PropState:
    """The props' part of a backend's state; writing and reading it waits for no device.

    Attributes:
        pos, rot, vel: ``(N, P, 3)``, ``(N, P, 4)`` xyzw and ``(N, P, 3)``, what the engine reports, as of the last
            ``read``, ``place`` or ``restore``.
    """

    def __init__(self, model: mujoco.MjModel, scene: Scene, qpos: Tensor, qvel: Tensor):
        """Views the coordinates ``qpos (N, nq)`` and ``qvel (N, nv)`` of ``N`` copies of ``model``; both stay in use.

        The props start at their poses in the model, at rest.
        """
        device, num_envs, num_props = qpos.device, len(qpos), len(scene.props)
        data = mujoco.MjData(model)
        mujoco.mj_kinematics(model, data)
        first = 1 + scene.char_model.num_bodies  # after the world and the character; every prop is one body

        def for_each_env(values: np.ndarray) -> Tensor:
            return torch.tensor(values, dtype=torch.float32, device=device).repeat(num_envs, 1, 1)

        self._start_pos = for_each_env(data.xpos[first:])
        self._start_rot = for_each_env(data.xquat[first:, [1, 2, 3, 0]])
        self._still = torch.zeros_like(self._start_pos)
        self.pos, self.rot, self.vel = self._start_pos.clone(), self._start_rot.clone(), self._still.clone()

        free = scene.free_props
        self._shape, self._num_free = (num_envs, num_props), len(free)
        self._fixed = [i for i in range(num_props) if i not in free]
        # Index tensors made once: a Python list as index would be copied to the device, and waited for, at every use.
        self._free = torch.tensor(free, dtype=torch.long, device=device)
        self._xyzw, self._wxyz = (torch.tensor(order, device=device) for order in ((4, 5, 6, 3), (3, 0, 1, 2)))
        layout = StateLayout.of(scene.char_model, scene.fixed_root_pose is not None)
        self._coords = qpos[:, layout.num_coords :].unflatten(1, (self._num_free, 7))
        self._velocities = qvel[:, layout.num_velocities :].unflatten(1, (self._num_free, 6))

    def read(self) -> None:
        """Bring ``pos``, ``rot`` and ``vel`` of the free props up to date."""
        if not self._num_free:
            return
        for target, source in (
            (self.pos, self._coords[..., :3]),
            (self.rot, self._coords.index_select(-1, self._xyzw)),
            (self.vel, self._velocities[..., :3]),
        ):
            target.index_copy_(1, self._free, source.to(target.dtype))

    def place(self, mask: Tensor, pos: Tensor, rot: Tensor, vel: Tensor) -> None:
        """See :meth:`~mimickit.engines.engine.Engine.place_props`."""
        if mask.shape != self._shape or mask.dtype != torch.bool:
            raise ValueError(f"the mask is bool {self._shape}, not {mask.dtype} {tuple(mask.shape)}")
        if mask.device.type == "cpu" and bool(mask[:, self._fixed].any()):
            raise ValueError("the mask chooses a fixed prop: only free ones can be placed")
        self._write(mask, pos, rot, vel)

    def restore(self, mask: Tensor) -> None:
        """Put the free props of the environments in ``mask`` ``(N,)`` back to their first poses, at rest."""
        self._write(mask.unsqueeze(-1).expand(self._shape), self._start_pos, self._start_rot, self._still)

    def _write(self, mask: Tensor, pos: Tensor, rot: Tensor, vel: Tensor) -> None:
        if not self._num_free:
            return
        chosen = mask.index_select(1, self._free).unsqueeze(-1)
        coords = torch.cat((pos, rot.index_select(-1, self._wxyz)), dim=-1).index_select(1, self._free)
        velocities = torch.nn.functional.pad(vel.index_select(1, self._free), (0, 3))
        self._coords.copy_(torch.where(chosen, coords, self._coords))
        self._velocities.copy_(torch.where(chosen, velocities, self._velocities))
        self.read()
