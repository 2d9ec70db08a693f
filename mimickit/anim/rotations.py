"""Batched rotations.

Quaternions are ``xyzw`` and unit length; every function takes tensors of shape ``(..., 4)`` or ``(..., 3)`` and
broadcasts over the leading dimensions. Angles are radians. World frames are z-up.
"""

import torch
from torch import Tensor

# Below this angle (radians) the exponential map is linear to float32 precision.
SMALL_ANGLE = 1e-6


def quat_mul(a: Tensor, b: Tensor) -> Tensor:
    """Hamilton product ``a * b``: the rotation ``b`` followed by ``a``. Shapes ``(..., 4)``."""
    a, b = torch.broadcast_tensors(a, b)
    av, aw, bv, bw = a[..., :3], a[..., 3:], b[..., :3], b[..., 3:]
    vector = torch.addcmul(torch.addcmul(torch.linalg.cross(av, bv, dim=-1), aw, bv), bw, av)
    scalar = aw * bw - (av * bv).sum(dim=-1, keepdim=True)
    return torch.cat((vector, scalar), dim=-1)


def quat_conjugate(q: Tensor) -> Tensor:
    """Inverse rotation of a unit quaternion. Shape ``(..., 4)``."""
    return torch.cat((-q[..., :3], q[..., 3:]), dim=-1)


def quat_rotate(q: Tensor, v: Tensor) -> Tensor:
    """Vectors ``v`` ``(..., 3)`` rotated by ``q`` ``(..., 4)``."""
    vector, scalar = q[..., :3], q[..., 3:]
    vector, v = torch.broadcast_tensors(vector, v)
    twice = 2.0 * torch.linalg.cross(vector, v, dim=-1)
    return torch.addcmul(v, scalar, twice) + torch.linalg.cross(vector, twice, dim=-1)


def quat_normalize(q: Tensor) -> Tensor:
    """Unit quaternion in the direction of ``q`` ``(..., 4)``."""
    return q / q.norm(dim=-1, keepdim=True)


def quat_from_exp_map(exp_map: Tensor) -> Tensor:
    """Exponential map (axis times angle) ``(..., 3)`` to quaternion ``(..., 4)``; exact at zero."""
    angle = exp_map.norm(dim=-1, keepdim=True)
    small = angle < SMALL_ANGLE
    safe_angle = torch.where(small, torch.ones_like(angle), angle)
    half = 0.5 * angle
    scale = torch.where(small, 0.5 - angle * angle / 48.0, torch.sin(half) / safe_angle)
    return torch.cat((exp_map * scale, torch.cos(half)), dim=-1)


def quat_to_exp_map(q: Tensor) -> Tensor:
    """Quaternion ``(..., 4)`` to exponential map ``(..., 3)`` with angle in ``[0, pi]``."""
    q = torch.where(q[..., 3:] < 0.0, -q, q)
    vector, scalar = q[..., :3], q[..., 3:]
    sin_half = vector.norm(dim=-1, keepdim=True)
    small = sin_half < SMALL_ANGLE
    safe_sin = torch.where(small, torch.ones_like(sin_half), sin_half)
    angle = 2.0 * torch.atan2(sin_half, scalar)
    return vector * torch.where(small, 2.0 / scalar, angle / safe_sin)


def quat_from_axis_angle(axis: Tensor, angle: Tensor) -> Tensor:
    """Unit axes ``(..., 3)`` and angles ``(...)`` to quaternions ``(..., 4)``."""
    half = 0.5 * angle.unsqueeze(-1)
    vector = axis * torch.sin(half)
    return torch.cat((vector, torch.cos(half).expand_as(vector[..., :1])), dim=-1)


def quat_angle(q: Tensor) -> Tensor:
    """Rotation angle in ``[0, pi]`` of ``q`` ``(..., 4)``; shape ``(...)``."""
    return 2.0 * torch.atan2(q[..., :3].norm(dim=-1), q[..., 3].abs())


def quat_difference_angle(a: Tensor, b: Tensor) -> Tensor:
    """Angle in ``[0, pi]`` of the rotation that takes ``a`` to ``b``; shapes ``(..., 4)`` to ``(...)``."""
    return quat_angle(quat_mul(b, quat_conjugate(a)))


def quat_to_tan_norm(q: Tensor) -> Tensor:
    """The rotated x axis, then the rotated z axis: ``(..., 4)`` to ``(..., 6)``."""
    x, y, z, w = q.unbind(-1)
    return torch.stack(
        (
            1.0 - 2.0 * (y * y + z * z),
            2.0 * (x * y + w * z),
            2.0 * (x * z - w * y),
            2.0 * (x * z + w * y),
            2.0 * (y * z - w * x),
            1.0 - 2.0 * (x * x + y * y),
        ),
        dim=-1,
    )


def slerp(a: Tensor, b: Tensor, blend: Tensor) -> Tensor:
    """Spherical interpolation along the shorter arc.

    Args:
        a, b: quaternions ``(..., 4)``.
        blend: fraction in ``[0, 1]``, broadcastable to ``(..., 1)``; 0 gives ``a``.
    """
    cosine = (a * b).sum(dim=-1, keepdim=True)
    b = torch.where(cosine < 0.0, -b, b)
    cosine = cosine.abs().clamp(max=1.0)
    half_angle = torch.acos(cosine)
    sine = torch.sin(half_angle)
    near = sine < 1e-3  # a straight line is exact to 1e-7 here, and sin(half_angle) is not safely divisible
    safe_sine = torch.where(near, torch.ones_like(sine), sine)
    weight_a = torch.where(near, 1.0 - blend, torch.sin((1.0 - blend) * half_angle) / safe_sine)
    weight_b = torch.where(near, blend.expand_as(near), torch.sin(blend * half_angle) / safe_sine)
    return quat_normalize(weight_a * a + weight_b * b)


def heading_angle(q: Tensor) -> Tensor:
    """Angle about z of the horizontal projection of the rotated x axis: ``(..., 4)`` to ``(...)``."""
    x, y, z, w = q.unbind(-1)
    return torch.atan2(2.0 * (x * y + w * z), 1.0 - 2.0 * (y * y + z * z))


def heading_quat(q: Tensor) -> Tensor:
    """Rotation about z by ``heading_angle(q)``; shape ``(..., 4)``."""
    half = 0.5 * heading_angle(q)
    zero = torch.zeros_like(half)
    return torch.stack((zero, zero, torch.sin(half), torch.cos(half)), dim=-1)


def heading_inverse(q: Tensor) -> Tensor:
    """Inverse of ``heading_quat(q)``: what takes world vectors into the heading frame."""
    return quat_conjugate(heading_quat(q))
