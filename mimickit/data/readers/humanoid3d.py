"""pybullet's ``humanoid3d_*.txt`` recordings, converted to the humanoid.

A file is JSON: ``Loop`` ("wrap" or "none") and ``Frames``, rows of 44 numbers: seconds to the next frame; root
position; then rotations, ``wxyz`` for ball joints and an angle for knees and elbows. The source has y up, arms that
hang down in the zero pose, knees that bend with negative angles about its z axis, and quaternions that are not unit.
"""

import json

import numpy as np

from mimickit.data.motion import Motion
from mimickit.data.quaternions import multiply
from mimickit.errors import InputError

COLUMNS = 44
_BALL_COLUMNS = {  # our body: first of its four columns
    "torso": 8,
    "head": 12,
    "right_thigh": 16,
    "right_foot": 21,
    "right_upper_arm": 25,
    "left_thigh": 30,
    "left_foot": 35,
    "left_upper_arm": 39,
}
_HINGE_COLUMNS = {  # our body: column, and the sign that turns the source's angle into ours
    "right_shin": (20, -1.0),
    "right_lower_arm": (29, 1.0),
    "left_shin": (34, -1.0),
    "left_lower_arm": (43, -1.0),
}
_QUARTER_TURN = np.sqrt(0.5)
# our zero pose holds the arms sideways, the source's lets them hang: a quarter turn about x between them
ARM_OFFSETS = {
    "right_upper_arm": np.array([_QUARTER_TURN, 0.0, 0.0, _QUARTER_TURN]),
    "left_upper_arm": np.array([-_QUARTER_TURN, 0.0, 0.0, _QUARTER_TURN]),
}
_LOOPS = {"wrap": True, "none": False}


def _rotation(wxyz: np.ndarray) -> np.ndarray:
    """Source quaternions (N, 4) ``wxyz`` with y up as ``xyzw`` with z up: the axis (x, y, z) becomes (x, -z, y)."""
    w, x, y, z = wxyz.T
    return np.stack([x, -z, y, w], axis=-1)


def convert(data: bytes, source: str) -> Motion:
    """The recording in ``data`` as a motion of the humanoid; ``source`` names it in errors.

    The quaternions are as recorded, not normalised. Raises `InputError` for a file of another layout.
    """
    try:
        content = json.loads(data)
    except ValueError as error:
        raise InputError(f"{source}: not a JSON file ({error})") from error
    if not isinstance(content, dict) or content.get("Loop") not in _LOOPS or "Frames" not in content:
        raise InputError(f'{source}: expected an object with "Loop" (wrap or none) and "Frames"')
    try:
        frames = np.array(content["Frames"], dtype=float)
    except (TypeError, ValueError) as error:
        raise InputError(f'{source}: "Frames" is not a table of numbers ({error})') from error
    if frames.ndim != 2 or frames.shape[1] != COLUMNS:
        raise InputError(f'{source}: "Frames" has shape {frames.shape}, expected rows of {COLUMNS} numbers')

    joints = {body: _rotation(frames[:, column : column + 4]) for body, column in _BALL_COLUMNS.items()}
    joints |= {body: multiply(joints[body], offset) for body, offset in ARM_OFFSETS.items()}
    joints |= {body: sign * frames[:, column] for body, (column, sign) in _HINGE_COLUMNS.items()}
    x, y, z = frames[:, 1:4].T
    return Motion(
        times=np.concatenate([[0.0], np.cumsum(frames[:-1, 0])]),  # the last frame's own duration plays no part
        root_pos=np.stack([x, -z, y], axis=-1),
        root_rot=_rotation(frames[:, 4:8]),
        joints=joints,
        wrap=_LOOPS[content["Loop"]],
    )
