"""Signs that show a task in pictures: a pole where to go, arrows which way to move or to face."""

import math
from pathlib import Path

import torch
from torch import Tensor

from mimickit.anim.rotations import quat_from_axis_angle
from mimickit.envs.char_env import Marker

Colour = tuple[float, float, float]

TARGET_COLOUR: Colour = (0.85, 0.20, 0.16)
FACING_COLOUR: Colour = (0.13, 0.60, 0.28)
OBJECTS = Path("data/assets/objects")

# An arrow is a shaft and two strokes back from its tip, all of them the same bar. It lies on the ground and points away
# from the root; one that shows a second direction lies farther out, so that the two never cover each other.
BAR_LENGTH = 0.5  # m, of the bar in steering_marker.xml
HEIGHT = 0.03  # m, of a bar's middle: half its thickness and a little
NEAR_TIP, FAR_TIP = 1.0, 1.6  # m from the root to an arrow's tip
STROKE_ANGLE = math.radians(35.0)  # between shaft and strokes


def pole() -> tuple[Marker, ...]:
    """A pole on a ball, for :func:`pole_poses`."""
    return (Marker(OBJECTS / "location_marker.xml", TARGET_COLOUR),)


def pole_poses(place: Tensor) -> tuple[Tensor, Tensor]:
    """Poles on the ground at ``place`` ``(N, 2)``: positions ``(N, 1, 3)``, rotations ``(N, 1, 4)``."""
    upright = torch.tensor([0.0, 0.0, 0.0, 1.0], device=place.device)
    return torch.nn.functional.pad(place, (0, 1)).unsqueeze(1), upright.expand(len(place), 1, 4)


def arrow(colour: Colour) -> tuple[Marker, ...]:
    """The three bars of an arrow, for :func:`arrow_poses`."""
    return (Marker(OBJECTS / "steering_marker.xml", colour),) * 3


def arrow_poses(root_pos: Tensor, direction: Tensor, tip: float = NEAR_TIP) -> tuple[Tensor, Tensor]:
    """Arrows that point away from roots: positions ``(N, 3, 3)`` and rotations ``(N, 3, 4)`` of their bars.

    Args:
        root_pos: ``(N, 2)`` m, direction ``(N, 2)`` unit vectors: world frame; tip: distance from the root, m.
    """
    turn = torch.tensor([0.0, -STROKE_ANGLE, STROKE_ANGLE], device=root_pos.device)  # of shaft and strokes, leftwards
    yaw = torch.atan2(direction[:, 1], direction[:, 0]).unsqueeze(-1) + turn
    bar = torch.stack((torch.cos(yaw), torch.sin(yaw)), dim=-1)  # along each bar; all end at the tip
    middle = (root_pos + tip * direction).unsqueeze(1) - 0.5 * BAR_LENGTH * bar
    upwards = torch.tensor([0.0, 0.0, 1.0], device=root_pos.device)
    return torch.nn.functional.pad(middle, (0, 1), value=HEIGHT), quat_from_axis_angle(upwards, yaw)


def joined(*poses: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """The poses of several signs as those of one."""
    positions, rotations = zip(*poses, strict=True)
    return torch.cat(positions, dim=1), torch.cat(rotations, dim=1)
