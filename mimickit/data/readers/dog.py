"""Quadruped recordings laid out for the Laikago robot, converted to the Go2.

A file is JSON: ``LoopMode`` ("Wrap" or "Clamp"), ``FrameDuration`` in seconds, ``EnableCycleOffsetRotation`` and
``Frames``, rows of 19 numbers: root position with z up, root rotation ``xyzw``, then hip, thigh and calf angles of the
legs FR, FL, RR, RL. The Laikago's own frame has y up and z forward.

The two robots differ in more than the zero of their joints: the Laikago is longer, its hips are nearer together. So
angles do not carry over: the paths of root and feet are scaled as one, which keeps planted feet planted, and the Go2's
legs are solved for them.
"""

import json

import numpy as np

from mimickit.data.motion import Motion
from mimickit.data.quadruped import LINK, check_limits, leg_joints, within_limits
from mimickit.data.quaternions import from_exponential_map, multiply, rotate
from mimickit.errors import InputError

COLUMNS = 19
_LEGS = ("FR", "FL", "RR", "RL")
_LOOPS = {"Wrap": True, "Clamp": False}
_BODY_FRAME = np.array([-0.5, -0.5, -0.5, 0.5])  # takes x forward, z up to the Laikago's z forward, y up

# the Laikago, written with x forward, y left, z up; a right leg mirrors y
_HIP_FORWARD = {"F": 0.242889, "R": -0.194401}
_HIP_ASIDE = 0.0817145
_THIGH_ASIDE = {"L": 0.055855, "R": 0.053565}
_KNEE = np.array([-0.1422, -0.02069, -0.20833])
_TOE = np.array([-0.022, 0.0, -0.25])
_HIPS_CENTRE = np.array([0.5 * sum(_HIP_FORWARD.values()), 0.0, 0.0])  # the Go2's root is between its hips

_LEG_RATIO = 2.0 * LINK / (np.hypot(_KNEE[0], _KNEE[2]) + np.hypot(_TOE[0], _TOE[2]))
_SCALES = _LEG_RATIO * np.linspace(1.0, 0.9, 21)  # the largest that the knees can follow is taken


def _about(axis: int, angle: np.ndarray) -> np.ndarray:
    return from_exponential_map(np.eye(3)[axis] * angle[:, None])


def _feet(root_pos: np.ndarray, root_rot: np.ndarray, angles: np.ndarray) -> dict[str, np.ndarray]:
    """World positions (N, 3) of the Laikago's feet for joint angles (N, 12)."""
    feet = {}
    for index, leg in enumerate(_LEGS):
        hip, thigh, calf = angles[:, 3 * index : 3 * index + 3].T
        mirror = np.array([1.0, 1.0 if leg[1] == "L" else -1.0, 1.0])
        position = root_pos + rotate(root_rot, mirror * [_HIP_FORWARD[leg[0]], _HIP_ASIDE, 0.0])
        rotation = multiply(root_rot, _about(0, mirror[1] * hip))
        position = position + rotate(rotation, mirror * [0.0, _THIGH_ASIDE[leg[1]], 0.0])
        rotation = multiply(rotation, _about(1, thigh))
        position = position + rotate(rotation, mirror * _KNEE)
        feet[leg] = position + rotate(multiply(rotation, _about(1, calf)), _TOE)
    return feet


def _content(data: bytes, source: str) -> tuple[np.ndarray, float, bool]:
    """Frames (N, 19), seconds between them, and whether they repeat."""
    try:
        content = json.loads(data)
    except ValueError as error:
        raise InputError(f"{source}: not a JSON file ({error})") from error
    keys = ("LoopMode", "FrameDuration", "EnableCycleOffsetRotation", "Frames")
    if not isinstance(content, dict) or any(key not in content for key in keys):
        raise InputError(f"{source}: expected an object with {', '.join(keys)}")
    if content["LoopMode"] not in _LOOPS or not isinstance(content["EnableCycleOffsetRotation"], bool):
        raise InputError(f"{source}: LoopMode must be Wrap or Clamp, EnableCycleOffsetRotation true or false")
    try:
        frames = np.array(content["Frames"], dtype=float)
        duration = float(content["FrameDuration"])
    except (TypeError, ValueError) as error:
        raise InputError(f"{source}: Frames is not a table of numbers, or FrameDuration no number ({error})") from error
    if frames.ndim != 2 or frames.shape[1] != COLUMNS:
        raise InputError(f"{source}: Frames has shape {frames.shape}, expected rows of {COLUMNS} numbers")
    bad = np.flatnonzero(~np.isfinite(frames).all(axis=1))
    if bad.size or not 0.0 < duration < np.inf:
        where = f"frame {bad[0]}" if bad.size else f"FrameDuration ({duration})"
        raise InputError(f"{source}: {where} is not made of finite numbers, FrameDuration above 0")
    # a repeat that also turns the body cannot be told in a clip
    return frames, duration, _LOOPS[content["LoopMode"]] and not content["EnableCycleOffsetRotation"]


def convert(data: bytes, source: str) -> Motion:
    """The recording in ``data`` as a motion of the Go2; ``source`` names it in errors.

    Everything is scaled by the ratio of the legs' lengths, or by up to a tenth less when the Go2's knees, which do not
    straighten as far, could not follow. Raises `InputError` for a file of another layout, and for feet that the Go2
    cannot reach at any of these scales.
    """
    frames, duration, wrap = _content(data, source)
    length = np.linalg.norm(frames[:, 3:7], axis=-1, keepdims=True)
    if np.any(length < 0.5):
        raise InputError(f"{source}: the root's rotation has length {length.min():.3g}, expected 1")
    root_rot = multiply(frames[:, 3:7] / length, _BODY_FRAME)
    feet = _feet(frames[:, :3], root_rot, frames[:, 7:])
    centre = frames[:, :3] + rotate(root_rot, _HIPS_CENTRE)

    def joints_at(scale: float) -> dict[str, np.ndarray]:
        return leg_joints(scale * centre, root_rot, {leg: scale * position for leg, position in feet.items()})

    scale = next((scale for scale in _SCALES if within_limits(joints_at(scale))), _SCALES[-1])
    joints = joints_at(scale)
    check_limits(joints, source)
    return Motion(np.arange(len(frames)) * duration, scale * centre, root_rot, joints, wrap)
