"""Windows of motion: what a discriminator, an encoder or a motion prior sees of a character's last control steps.

A window is S frames, oldest first, one control step apart. Frames of the simulated character and of clips go through
the same two functions, so that both sides of a comparison are made alike.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from mimickit.anim.char_model import CharModel, Kinematics
from mimickit.anim.motion_library import MotionLibrary
from mimickit.anim.rotations import heading_inverse, quat_mul, quat_rotate, quat_to_tan_norm


@dataclass(frozen=True)
class FrameLayout:
    """What a frame holds of a character with J joints and D degrees of freedom, and of which K bodies.

    num_dofs: D, or 0 when the degrees of freedom's velocities are left out.
    """

    num_joints: int
    num_bodies: int
    num_dofs: int

    @classmethod
    def of(cls, model: CharModel, num_bodies: int, dof_vel_obs: bool) -> "FrameLayout":
        return cls(model.num_joints, num_bodies, model.num_dofs if dof_vel_obs else 0)

    @property
    def packed_sizes(self) -> tuple[int, ...]:
        """Columns of a packed frame: root position, root rotation (xyzw), joint tan_norms, body positions relative to
        the root along the world's axes, root velocity, root angular velocity, DoF velocities."""
        return (3, 4, 6 * self.num_joints, 3 * self.num_bodies, 3, 3, self.num_dofs)

    @property
    def packed_size(self) -> int:
        return sum(self.packed_sizes)

    @property
    def obs_size(self) -> int:
        """Numbers that :func:`observe_windows` makes of one frame: the rotation becomes a tan_norm."""
        return self.packed_size + 2


def pack_frame(
    layout: FrameLayout,
    root_pos: Tensor,
    root_rot: Tensor,
    root_vel: Tensor,
    root_ang_vel: Tensor,
    joint_rot: Tensor,
    dof_vel: Tensor,
    body_pos: Tensor,
) -> Tensor:
    """Frames ``(..., packed_size)`` from states of leading shape ``(...)``.

    Args:
        root_pos ``(..., 3)``, root_rot ``(..., 4)``, root_vel, root_ang_vel ``(..., 3)``, body_pos ``(..., K, 3)``:
        world frame; joint_rot ``(..., J, 4)``; dof_vel ``(..., D)``.
    """
    offsets = body_pos - root_pos.unsqueeze(-2)
    joints = quat_to_tan_norm(joint_rot).flatten(-2)
    parts = (root_pos, root_rot, joints, offsets.flatten(-2), root_vel, root_ang_vel, dof_vel[..., : layout.num_dofs])
    return torch.cat(parts, dim=-1)


def observe_windows(frames: Tensor, layout: FrameLayout, track_root: bool, root_height_obs: bool) -> Tensor:
    """Packed windows ``(M, S, packed_size)`` as seen: ``(M, S * obs_size)`` (Peng 2021, section 5.2).

    Each frame gives ``[root position 3, root tan_norm 6, joint tan_norms 6 J, body positions relative to that frame's
    root 3 K, root velocity 3, root angular velocity 3, DoF velocities D]``. When the root is tracked these are in the
    world frame; else in the heading frame of the newest root, positions of the root relative to it. With
    ``root_height_obs`` the root's z is its height all the same.
    """
    root_pos, root_rot, joints, offsets, vel, ang_vel, dof_vel = frames.split(layout.packed_sizes, dim=-1)
    if not track_root:
        inverse = heading_inverse(root_rot[:, -1:])
        relative = quat_rotate(inverse, root_pos - root_pos[:, -1:])
        height = root_pos if root_height_obs else relative
        root_pos = torch.cat((relative[..., :2], height[..., 2:]), dim=-1)
        root_rot = quat_mul(inverse, root_rot)
        offsets = quat_rotate(inverse.unsqueeze(-2), offsets.unflatten(-1, (-1, 3))).flatten(-2)
        vel, ang_vel = quat_rotate(inverse, vel), quat_rotate(inverse, ang_vel)
    parts = (root_pos, quat_to_tan_norm(root_rot), joints, offsets, vel, ang_vel, dof_vel)
    return torch.cat(parts, dim=-1).flatten(1)


class ClipWindows:
    """Windows out of clips.

    Before the start of a clip that does not wrap, its first frame repeats.
    """

    def __init__(
        self,
        motions: MotionLibrary,
        kinematics: Kinematics,
        layout: FrameLayout,
        body_ids: Tensor,
        num_steps: int,
        step_dt: float,
    ):
        self.motions = motions
        self.layout = layout
        self._kinematics = kinematics
        self._body_ids = body_ids
        self._offsets = torch.arange(1 - num_steps, 1, device=body_ids.device) * step_dt

    def at(self, motion_ids: Tensor, times: Tensor) -> Tensor:
        """Packed windows ``(M, S, packed_size)`` of clips ``(M,)`` that end at ``times`` ``(M,)``, s."""
        frame_times = times.unsqueeze(-1) + self._offsets
        frame = self.motions.sample(motion_ids.unsqueeze(-1).expand_as(frame_times), frame_times)
        body_pos, _ = self._kinematics.forward(frame.root_pos, frame.root_rot, frame.joint_rot)
        return pack_frame(
            self.layout,
            frame.root_pos,
            frame.root_rot,
            frame.root_vel,
            frame.root_ang_vel,
            frame.joint_rot,
            frame.dof_vel,
            body_pos.index_select(-2, self._body_ids),
        )

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """``count`` packed windows: a clip by weight, an end uniform over it."""
        ids = self.motions.sample_ids(count, generator)
        return self.at(ids, self.motions.sample_times(ids, generator))


def extended(windows: Tensor, frame: Tensor) -> Tensor:
    """Windows ``(N, S, packed_size)`` one step on: without their oldest frame, with ``frame`` ``(N, packed_size)``."""
    return torch.cat((windows[:, 1:], frame.unsqueeze(1)), dim=1)
