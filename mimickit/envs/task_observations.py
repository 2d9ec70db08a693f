"""What a policy observes of its task, after its character. Vectors are horizontal, in the root's heading frame."""

import torch
from torch import Tensor

from mimickit.anim.rotations import heading_angle


def location_observation(root_pos: Tensor, root_rot: Tensor, target_pos: Tensor) -> Tensor:
    """The target relative to the root, ``(N, 2)`` m.

    Args:
        root_pos: ``(N, 2)``, root_rot ``(N, 4)``, target_pos ``(N, 2)``: world frame.
    """
    return _in_heading_frame(root_rot, target_pos - root_pos)


def steering_observation(root_rot: Tensor, target_dir: Tensor, target_speed: Tensor, face_dir: Tensor) -> Tensor:
    """``[direction of travel 2, speed 1, direction to face 2]``, ``(N, 5)``.

    Args:
        root_rot: ``(N, 4)``, target_dir and face_dir ``(N, 2)`` unit vectors: world frame; target_speed ``(N,)`` m/s.
    """
    travel, face = _in_heading_frame(root_rot, target_dir), _in_heading_frame(root_rot, face_dir)
    return torch.cat((travel, target_speed.unsqueeze(-1), face), dim=-1)


def _in_heading_frame(root_rot: Tensor, vectors: Tensor) -> Tensor:
    """Horizontal world vectors ``(N, 2)`` turned by the inverse heading of roots ``(N, 4)``."""
    angle = heading_angle(root_rot)
    cos, sin = torch.cos(angle), torch.sin(angle)
    x, y = vectors.unbind(-1)
    return torch.stack((cos * x + sin * y, cos * y - sin * x), dim=-1)
