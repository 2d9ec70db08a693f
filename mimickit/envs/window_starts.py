"""Episodes that start in windows of motion: from what a motion prior draws back to states of a character."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mimickit.anim.char_model import Kinematics
from mimickit.anim.motion_library import MotionFrame
from mimickit.anim.rotations import (
    quat_conjugate,
    quat_from_axis_angle,
    quat_mul,
    quat_normalize,
    quat_rotate,
    quat_to_exp_map,
)
from mimickit.envs.motion_windows import FrameLayout, pack_frame

# No start is faster than the clips of walks, runs and kicks: root in m/s, root and joints in rad/s. A prior that has
# not trained for long draws frames that jump, and no simulation survives the speeds between them.
MAX_SPEED = 10.0
MAX_SPIN = 30.0


def quat_from_tan_norm(tan_norm: Tensor) -> Tensor:
    """The rotation whose rotated x and z axes are ``tan_norm`` ``(..., 6)``: ``(..., 4)``.

    Axes that are not unit length or not at right angles are made so, the x axis keeping its direction (Gram-Schmidt).
    """
    x = normalize(tan_norm[..., :3], dim=-1)
    z = tan_norm[..., 3:]
    z = normalize(z - (x * z).sum(dim=-1, keepdim=True) * x, dim=-1)
    y = torch.linalg.cross(z, x, dim=-1)
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = x.unbind(-1), y.unbind(-1), z.unbind(-1)
    # Four times the products of the quaternion's components, from the matrix whose columns are the axes. The row with
    # the largest square is the quaternion times that component; the others may be all zeros.
    products = torch.stack(
        (
            torch.stack((1.0 + xx - yy - zz, xy + yx, xz + zx, yz - zy), dim=-1),
            torch.stack((xy + yx, 1.0 - xx + yy - zz, yz + zy, zx - xz), dim=-1),
            torch.stack((xz + zx, yz + zy, 1.0 - xx - yy + zz, xy - yx), dim=-1),
            torch.stack((yz - zy, zx - xz, xy - yx, 1.0 + xx + yy + zz), dim=-1),
        ),
        dim=-2,
    )
    largest = products.diagonal(dim1=-2, dim2=-1).argmax(dim=-1)
    index = largest[..., None, None].expand(*largest.shape, 1, 4)
    return quat_normalize(products.gather(-2, index).squeeze(-2))


class WindowStarts:
    """A buffer of windows to start episodes in.

    A window tells root height, root rotation and joint rotations of every frame. These become states of the character
    whose body can be in them: axes are made orthonormal, a hinge turns about its axis alone, velocities are finite
    differences of frames, and bodies are where forward kinematics puts them.

    Args:
        windows: ``(B, S * obs_size)`` with ``S`` of at least 2, as `observe_windows` makes them of a root that is not
            tracked, with its height.
        body_ids: of the bodies in a frame; step_dt: time between frames, s.
    """

    def __init__(self, windows: Tensor, layout: FrameLayout, kinematics: Kinematics, body_ids: Tensor, step_dt: float):
        self._layout, self._kinematics, self._body_ids, self._step_dt = layout, kinematics, body_ids, step_dt
        self._states = self._decoded(windows)
        self._up = torch.tensor([0.0, 0.0, 1.0], device=windows.device)
        self._next = 0

    def __len__(self) -> int:
        return len(self._states.root_pos)

    def renew(self, windows: Tensor) -> None:
        """Put windows ``(M, S * obs_size)``, M of at most B, in place of the oldest."""
        index = (torch.arange(len(windows), device=windows.device) + self._next) % len(self)
        for name, values in vars(self._decoded(windows)).items():
            getattr(self._states, name)[index] = values
        self._next = (self._next + len(windows)) % len(self)

    def contents(self) -> dict[str, Any]:
        """The states ``(B, S, ...)`` by name, which are the buffer's own, and which is renewed next."""
        return {"states": dict(vars(self._states)), "next_row": self._next}

    def restore(self, states: dict[str, Tensor], next_row: int) -> None:
        """Take over what `contents` told of a buffer of this size."""
        for name, values in vars(self._states).items():
            values.copy_(states[name])
        self._next = next_row

    def draw(self, count: int, generator: torch.Generator) -> tuple[MotionFrame, Tensor]:
        """States ``(count, ...)`` to start in, and the frames that led there, ``(count, S, packed_size)``.

        The newest root stands at x = y = 0 with a random heading; the newest frame is the state.
        """
        device = self._up.device
        index = torch.randint(len(self), (count,), generator=generator, device=device)
        angle = 2.0 * torch.pi * torch.rand(count, 1, generator=generator, device=device)
        turn = quat_from_axis_angle(self._up, angle)  # (count, 1, 4)
        states = {name: values[index] for name, values in vars(self._states).items()}
        for name in ("root_pos", "root_vel", "root_ang_vel"):
            states[name] = quat_rotate(turn, states[name])
        states["root_rot"] = quat_mul(turn, states["root_rot"])
        body_pos, _ = self._kinematics.forward(states["root_pos"], states["root_rot"], states["joint_rot"])
        frames = pack_frame(self._layout, **states, body_pos=body_pos.index_select(-2, self._body_ids))
        return MotionFrame(**{name: values[:, -1] for name, values in states.items()}), frames

    def _decoded(self, windows: Tensor) -> MotionFrame:
        """States ``(M, S, ...)`` in the newest root's heading frame, its x and y in the origin."""
        num_joints = self._layout.num_joints
        frames = windows.unflatten(-1, (-1, self._layout.obs_size))
        root_pos, root_axes, joint_axes, _ = frames.split(
            (3, 6, 6 * num_joints, self._layout.obs_size - 9 - 6 * num_joints), dim=-1
        )
        newest = root_pos[:, -1:]
        root_pos = root_pos - torch.cat((newest[..., :2], torch.zeros_like(newest[..., 2:])), dim=-1)
        root_rot = quat_from_tan_norm(root_axes)
        # There and back: what a joint cannot do is lost on the way.
        joint_rot = quat_from_tan_norm(joint_axes.unflatten(-1, (num_joints, 6)))
        joint_rot = self._kinematics.dof_to_rot(self._kinematics.rot_to_dof(joint_rot))
        turned = quat_mul(root_rot[:, 1:], quat_conjugate(root_rot[:, :-1]))
        dt = self._step_dt
        dof_vel = self._kinematics.dof_velocity(joint_rot[:, :-1], joint_rot[:, 1:], dt)
        return MotionFrame(
            root_pos=root_pos,
            root_rot=root_rot,
            root_vel=_repeat_last(_shortened((root_pos[:, 1:] - root_pos[:, :-1]) / dt, MAX_SPEED)),
            root_ang_vel=_repeat_last(_shortened(quat_to_exp_map(turned) / dt, MAX_SPIN)),
            joint_rot=joint_rot,
            dof_vel=_repeat_last(dof_vel.clamp(-MAX_SPIN, MAX_SPIN)),
        )


def _repeat_last(differences: Tensor) -> Tensor:
    """Differences between S frames, as forward differences of all: the newest frame repeats the one before it."""
    return torch.cat((differences, differences[:, -1:]), dim=1)


def _shortened(vectors: Tensor, longest: float) -> Tensor:
    """Vectors ``(..., 3)``, those longer than ``longest`` cut to that length."""
    return vectors * (longest / vectors.norm(dim=-1, keepdim=True).clamp(min=longest))
