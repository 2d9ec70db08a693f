"""What the tasks that guide a character's root reward, over a whole batch of environments.

Everything is horizontal: vectors are (x, y) in the world frame.
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mimickit.anim.rotations import heading_angle
from mimickit.config.env_config import TaskLocationEnvConfig, TaskSteeringEnvConfig


def location_reward(
    root_pos: Tensor, root_rot: Tensor, root_vel: Tensor, target_pos: Tensor, config: TaskLocationEnvConfig
) -> Tensor:
    """Being near a place, and moving towards it at a speed while facing it (after Peng 2021, appendix).

    ``pos_reward_w exp(-pos_err_scale d^2) + vel_reward_w exp(-vel_err_scale max(0, tar_speed - v)^2)
    + face_reward_w max(0, cos(heading, u))``, where d is the distance to the target, u the unit vector towards it and
    v the speed along u. The speed term is 0 unless v is above 0. Where ``d^2 < dist_threshold`` the character has
    arrived, and the last two terms are their weights.

    Args:
        root_pos: ``(N, 2)`` m; root_rot ``(N, 4)``; root_vel ``(N, 2)`` m/s; target_pos ``(N, 2)`` m.

    Returns:
        ``(N,)``.
    """
    offset = target_pos - root_pos
    square_dist = offset.square().sum(dim=-1)
    direction = normalize(offset, dim=-1)
    speed = (root_vel * direction).sum(dim=-1)

    position = torch.exp(-config.pos_err_scale * square_dist)
    missing = (config.tar_speed - speed).clamp(min=0.0)
    velocity = torch.where(speed > 0.0, torch.exp(-config.vel_err_scale * missing.square()), 0.0)
    facing = _facing(root_rot, direction)

    arrived = square_dist < config.dist_threshold
    velocity, facing = torch.where(arrived, 1.0, velocity), torch.where(arrived, 1.0, facing)
    return config.pos_reward_w * position + config.vel_reward_w * velocity + config.face_reward_w * facing


def steering_reward(
    root_rot: Tensor,
    root_vel: Tensor,
    target_dir: Tensor,
    target_speed: Tensor,
    face_dir: Tensor,
    config: TaskSteeringEnvConfig,
) -> Tensor:
    """Moving in a direction at a speed, and facing a direction (after Peng 2022, appendix).

    ``reward_steering_tar_w exp(-reward_steering_vel_scale |target_speed target_dir - root_vel|^2)
    + reward_steering_face_w max(0, cos(heading, face_dir))``; the first term is 0 unless the character gets on along
    ``target_dir``.

    Args:
        root_rot: ``(N, 4)``; root_vel ``(N, 2)`` m/s; target_dir ``(N, 2)`` unit vectors; target_speed ``(N,)`` m/s;
            face_dir ``(N, 2)`` unit vectors.

    Returns:
        ``(N,)``.
    """
    square_err = (target_speed.unsqueeze(-1) * target_dir - root_vel).square().sum(dim=-1)
    progress = (root_vel * target_dir).sum(dim=-1)
    travel = torch.where(progress > 0.0, torch.exp(-config.reward_steering_vel_scale * square_err), 0.0)
    return config.reward_steering_tar_w * travel + config.reward_steering_face_w * _facing(root_rot, face_dir)


def _facing(root_rot: Tensor, direction: Tensor) -> Tensor:
    """``max(0, cos)`` of the angle between the root's heading and unit vectors ``direction`` ``(N, 2)``: ``(N,)``."""
    angle = heading_angle(root_rot)
    heading = torch.stack((torch.cos(angle), torch.sin(angle)), dim=-1)
    return (heading * direction).sum(dim=-1).clamp(min=0.0)
