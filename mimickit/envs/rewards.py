"""The imitation reward of DeepMimic (Peng 2018), over a whole batch of environments."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mimickit.anim.rotations import heading_inverse, quat_difference_angle, quat_mul, quat_rotate


@dataclass(frozen=True)
class TrackingState:
    """A pose and its velocities, of the character or the reference; world frame, N environments.

    ``root_pos (N, 3)``, ``root_rot (N, 4)``, ``root_vel (N, 3)``, ``root_ang_vel (N, 3)``, ``joint_rot (N, J, 4)``,
    ``dof_vel (N, D)``, ``key_pos (N, K, 3)``.
    """

    root_pos: Tensor
    root_rot: Tensor
    root_vel: Tensor
    root_ang_vel: Tensor
    joint_rot: Tensor
    dof_vel: Tensor
    key_pos: Tensor


def tracking_energies(
    char: TrackingState, ref: TrackingState, joint_w: Tensor, dof_w: Tensor, track_root: bool
) -> Tensor:
    """The five squared errors ``E_p, E_v, E_rp, E_rv, E_k``, shape ``(N, 5)``.

    E_p sums ``joint_w * angle^2`` over joints, E_v ``dof_w * difference^2`` over DoFs, E_rp is the squared root
    distance plus 0.1 times the squared root angle, E_rv likewise for velocities, E_k sums squared differences of
    root-relative key positions. Unless the root is tracked, its horizontal distance is left out and each side is
    seen in its own heading frame.

    Args:
        joint_w: ``(J,)``; dof_w: ``(D,)``.
    """
    pose = (joint_w * quat_difference_angle(char.joint_rot, ref.joint_rot).square()).sum(dim=-1)
    velocity = (dof_w * (ref.dof_vel - char.dof_vel).square()).sum(dim=-1)
    root_difference = ref.root_pos - char.root_pos
    if not track_root:
        root_difference = root_difference[:, 2:]
        char, ref = _in_heading_frame(char), _in_heading_frame(ref)
    root_angle = quat_difference_angle(char.root_rot, ref.root_rot)
    root_pose = root_difference.square().sum(dim=-1) + 0.1 * root_angle.square()
    root_velocity = (ref.root_vel - char.root_vel).square().sum(dim=-1)
    root_velocity = root_velocity + 0.1 * (ref.root_ang_vel - char.root_ang_vel).square().sum(dim=-1)
    char_keys = char.key_pos - char.root_pos.unsqueeze(1)
    ref_keys = ref.key_pos - ref.root_pos.unsqueeze(1)
    keys = (ref_keys - char_keys).square().sum(dim=(-2, -1))
    return torch.stack((pose, velocity, root_pose, root_velocity, keys), dim=-1)


def imitation_reward(energies: Tensor, weights: Tensor, scales: Tensor) -> Tensor:
    """``sum_i w_i exp(-s_i E_i)``: ``(N, 5)`` and two ``(5,)`` to ``(N,)``."""
    return (weights * torch.exp(-scales * energies)).sum(dim=-1)


def _in_heading_frame(state: TrackingState) -> TrackingState:
    """The state turned by the inverse heading of its root, about its root's position."""
    inverse = heading_inverse(state.root_rot)
    offsets = state.key_pos - state.root_pos.unsqueeze(1)
    turned = quat_rotate(inverse.unsqueeze(1).expand(*offsets.shape[:2], 4), offsets)
    return TrackingState(
        root_pos=state.root_pos,
        root_rot=quat_mul(inverse, state.root_rot),
        root_vel=quat_rotate(inverse, state.root_vel),
        root_ang_vel=quat_rotate(inverse, state.root_ang_vel),
        joint_rot=state.joint_rot,
        dof_vel=state.dof_vel,
        key_pos=state.root_pos.unsqueeze(1) + turned,
    )
