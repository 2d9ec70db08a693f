"""What a policy observes. The order of the parts is fixed: published checkpoints depend on it."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mimickit.anim.rotations import heading_inverse, quat_mul, quat_rotate, quat_to_tan_norm


def char_observation(
    root_pos: Tensor,
    root_rot: Tensor,
    root_vel: Tensor,
    root_ang_vel: Tensor,
    joint_rot: Tensor,
    dof_vel: Tensor,
    key_pos: Tensor,
    global_obs: bool,
    root_height_obs: bool,
) -> Tensor:
    """The character's own state.

    ``[root height 1 if root_height_obs, root tan_norm 6, root velocity 3, root angular velocity 3, joint tan_norms 6 J,
    DoF velocities D, key positions relative to the root 3 K]``; without ``global_obs`` root rotation, velocities and
    key positions are in the root's heading frame.

    Args:
        root_pos ``(N, 3)``, root_rot ``(N, 4)``, root_vel, root_ang_vel ``(N, 3)``: world frame; joint_rot
        ``(N, J, 4)``; dof_vel ``(N, D)``; key_pos ``(N, K, 3)`` world frame.
    """
    relative_key_pos = key_pos - root_pos.unsqueeze(1)
    if not global_obs:
        inverse = heading_inverse(root_rot)
        root_rot = quat_mul(inverse, root_rot)
        root_vel = quat_rotate(inverse, root_vel)
        root_ang_vel = quat_rotate(inverse, root_ang_vel)
        relative_key_pos = quat_rotate(inverse.unsqueeze(1).expand(*relative_key_pos.shape[:2], 4), relative_key_pos)
    parts = [root_pos[:, 2:3]] if root_height_obs else []
    parts += [
        quat_to_tan_norm(root_rot),
        root_vel,
        root_ang_vel,
        quat_to_tan_norm(joint_rot).flatten(1),
        dof_vel,
        relative_key_pos.flatten(1),
    ]
    return torch.cat(parts, dim=-1)


def phase_observation(phase: Tensor, num_encodings: int) -> Tensor:
    """``[phase, sin(2 pi 2^k phase).., cos(2 pi 2^k phase)..]`` for k < num_encodings: ``(N,)`` to ``(N, 1 + 2 K)``."""
    phase = phase.unsqueeze(-1)
    octaves = 2.0 * math.pi * 2.0 ** torch.arange(num_encodings, device=phase.device, dtype=phase.dtype)
    angles = phase * octaves
    return torch.cat((phase, torch.sin(angles), torch.cos(angles)), dim=-1)


def target_observation(
    root_pos: Tensor,
    tar_root_pos: Tensor,
    tar_root_rot: Tensor,
    tar_joint_rot: Tensor,
    tar_key_pos: Tensor,
    global_obs: bool,
    root_height_obs: bool,
) -> Tensor:
    """The reference at S future times, one after another, each
    ``[root position 3 (2 without root_height_obs), root tan_norm 6, joint tan_norms 6 J, key positions 3 K]``.

    Root positions are relative to the character's root with ``global_obs``, else to the first target's root, in whose
    heading frame everything then is; their z is absolute. Key positions are relative to their own target's root.

    Args:
        root_pos: ``(N, 3)``; tar_root_pos ``(N, S, 3)``; tar_root_rot ``(N, S, 4)``; tar_joint_rot ``(N, S, J, 4)``;
        tar_key_pos ``(N, S, K, 3)``; all world frame.
    """
    reference = root_pos.unsqueeze(1) if global_obs else tar_root_pos[:, :1]
    relative_pos = tar_root_pos - reference
    relative_key_pos = tar_key_pos - tar_root_pos.unsqueeze(2)
    if not global_obs:
        inverse = heading_inverse(tar_root_rot[:, 0]).unsqueeze(1)
        relative_pos = quat_rotate(inverse.expand(*relative_pos.shape[:-1], 4), relative_pos)
        tar_root_rot = quat_mul(inverse.expand_as(tar_root_rot), tar_root_rot)
        spread = inverse.unsqueeze(1).expand(*relative_key_pos.shape[:-1], 4)
        relative_key_pos = quat_rotate(spread, relative_key_pos)
    horizontal = relative_pos[..., :2]
    position = torch.cat((horizontal, tar_root_pos[..., 2:]), dim=-1) if root_height_obs else horizontal
    parts = (
        position,
        quat_to_tan_norm(tar_root_rot),
        quat_to_tan_norm(tar_joint_rot).flatten(2),
        relative_key_pos.flatten(2),
    )
    return torch.cat(parts, dim=-1).flatten(1)


def char_observation_size(num_joints: int, num_dofs: int, num_keys: int, root_height_obs: bool) -> int:
    """Length of :func:`char_observation`."""
    return int(root_height_obs) + 6 + 3 + 3 + 6 * num_joints + num_dofs + 3 * num_keys


def target_observation_size(num_joints: int, num_keys: int, steps: Sequence[int], root_height_obs: bool) -> int:
    """Length of :func:`target_observation`."""
    return len(steps) * ((3 if root_height_obs else 2) + 6 + 6 * num_joints + 3 * num_keys)
