"""Captures of people climbing over boxes: joint positions, and the boxes they climb on.

`convert` reads a numpy array (N, 53, 3) at 120 frames per second, in metres with z up. `boxes` reads the Wavefront file
beside it, in the same frame and at the same, human size: feet on a box have their toes 3 to 5 cm above its top. (The
scale of 0.74 that the robot descriptions next to them put on the boxes fits a robot, not the person.)

No file names the 53 joints. Their order follows from the distances that stay constant: pelvis, two of the spine, neck,
head; collar, shoulder, elbow, wrist and fifteen finger joints of the left arm, then of the right; hip, knee, ankle and
toe of the left leg, then of the right; both ankles once more. Left and right follow from the toes, which point forward.
"""

import io

import numpy as np

from mimickit.data.boxes import Box
from mimickit.data.motion import Landmarks
from mimickit.errors import InputError

FPS = 120.0
JOINTS = 53
_LANDMARKS = {  # name: index of the joint
    **{"pelvis": 0, "chest": 2, "neck": 3, "head": 4},
    **{"left_shoulder": 6, "left_elbow": 7, "left_wrist": 8, "left_hand": 15},
    **{"right_shoulder": 25, "right_elbow": 26, "right_wrist": 27, "right_hand": 34},
    **{"left_hip": 43, "left_knee": 44, "left_ankle": 45, "left_toe": 46},
    **{"right_hip": 47, "right_knee": 48, "right_ankle": 49, "right_toe": 50},
}
_CORNERS = 8
_TOLERANCE = 0.01  # metres that a corner may be off


def convert(data: bytes, source: str) -> Landmarks:
    """Points of the body from the capture in ``data``, as recorded; ``source`` names it in errors.

    ``left_hand`` and ``right_hand`` are the middle knuckles. Raises `InputError` for a file of another layout.
    """
    try:
        joints = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{source}: not a numpy array ({error})") from error
    if not isinstance(joints, np.ndarray) or joints.ndim != 3 or joints.shape[1:] != (JOINTS, 3) or len(joints) < 2:
        found = f"shape {joints.shape}" if isinstance(joints, np.ndarray) else "an archive of arrays"
        raise InputError(f"{source}: expected positions (N, {JOINTS}, 3) of at least 2 frames, found {found}")
    bad = np.argwhere(~np.isfinite(joints))
    if bad.size:
        raise InputError(f"{source}: joint {bad[0][1]} of frame {bad[0][0]} is not a finite position")
    positions = {name: joints[:, index].astype(float) for name, index in _LANDMARKS.items()}
    return Landmarks(np.arange(len(joints)) / FPS, positions, wrap=False)


def boxes(data: bytes, source: str) -> list[Box]:
    """The boxes of a Wavefront file, eight corners each; ``source`` names it in errors.

    Their turns are between -pi/4 and pi/4, so that the first edge is the one along the world's x.
    Raises `InputError` for a file that holds anything but upright boxes, saying which one is not.
    """
    try:
        rows = [line.split()[1:] for line in data.decode().splitlines() if line.startswith("v ")]
        corners = np.array(rows, dtype=float)
    except ValueError as error:
        raise InputError(f"{source}: not a Wavefront file of corners ({error})") from error
    if corners.ndim != 2 or corners.shape[1] != 3 or len(corners) % _CORNERS:
        raise InputError(f"{source}: {len(corners)} corners; expected boxes of {_CORNERS} corners with 3 numbers each")
    groups = corners.reshape(-1, _CORNERS, 3)
    return [_box(group, f"{source}, box {number}") for number, group in enumerate(groups, start=1)]


def _box(corners: np.ndarray, where: str) -> Box:
    """The box of eight corners (8, 3) in any order."""
    center = corners.mean(axis=0)
    bottom = corners[corners[:, 2] < center[2]]
    if len(bottom) != _CORNERS // 2:
        raise InputError(f"{where}: {len(bottom)} of its corners are below its centre, expected 4 of an upright box")
    away = bottom[:, :2] - bottom[0, :2]
    nearest_first = np.argsort(np.linalg.norm(away, axis=-1))
    edge = away[nearest_first[2]]  # after the corner itself and the other, shorter edge, and before the diagonal
    quarter_turns = np.round(np.arctan2(edge[1], edge[0]) / (np.pi / 2.0))
    yaw = float(np.arctan2(edge[1], edge[0]) - quarter_turns * np.pi / 2.0)
    cosine, sine = np.cos(yaw), np.sin(yaw)
    own = (corners - center) @ np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    half = np.abs(own).mean(axis=0)
    error = np.abs(np.abs(own) - half).max()
    if not error < _TOLERANCE:
        raise InputError(f"{where}: a corner is {error:.3f} m away from where an upright box has it")
    (x, y, z), (length, width, height) = center.tolist(), (2.0 * half).tolist()
    return Box((x, y, z), yaw, (length, width, height))
