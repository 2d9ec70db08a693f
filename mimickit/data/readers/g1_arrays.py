"""Recordings of the Unitree G1 as numpy archives: the robot's own joint angles, so nothing is retargeted here.

Two layouts, both with ``fps`` and ``joint_pos`` over N frames, in the world's frame with z up:

- with ``joint_names`` (29,): ``joint_pos`` (N, 36) is root position 3, root rotation ``wxyz`` 4, then the angles in the
  order of the names;
- without: ``joint_pos`` (N, 29) holds the angles in the order of `JOINTS`; the root is body 0 of ``body_pos_w``
  (N, 30, 3) and ``body_quat_w`` (N, 30, 4), ``wxyz``.
"""

from collections.abc import Mapping

import numpy as np

from mimickit.data.motion import Motion
from mimickit.data.readers.arrays import array_names, check_shapes, frame_rate, read_arrays
from mimickit.errors import InputError

_LEG = ("hip_pitch", "hip_roll", "hip_yaw", "knee", "ankle_pitch", "ankle_roll")
_ARM = ("shoulder_pitch", "shoulder_roll", "shoulder_yaw", "elbow", "wrist_roll", "wrist_pitch", "wrist_yaw")
JOINTS = (  # depth first in the robot's MJCF: legs, waist, arms
    *(f"left_{name}_joint" for name in _LEG),
    *(f"right_{name}_joint" for name in _LEG),
    *("waist_yaw_joint", "waist_roll_joint", "waist_pitch_joint"),
    *(f"left_{name}_joint" for name in _ARM),
    *(f"right_{name}_joint" for name in _ARM),
)
# a joint moves the link of its own name, but for the last of the waist
_BODIES = {name: name.removesuffix("_joint") + "_link" for name in JOINTS} | {"waist_pitch_joint": "torso_link"}
_ROOT_COLUMNS = 7


def _from_bodies(arrays: Mapping[str, np.ndarray], source: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Root position (N, 3), root rotation ``wxyz`` (N, 4) and angles (N, 29) of the layout without names."""
    angles, positions, rotations = (arrays[key] for key in ("joint_pos", "body_pos_w", "body_quat_w"))
    bodies = len(JOINTS) + 1  # one link per joint, and the pelvis
    check_shapes(
        {
            "joint_pos": (angles, (len(JOINTS),)),
            "body_pos_w": (positions, (bodies, 3)),
            "body_quat_w": (rotations, (bodies, 4)),
        },
        source,
    )
    return positions[:, 0], rotations[:, 0], angles


def _from_names(arrays: Mapping[str, np.ndarray], source: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same of the layout with names."""
    names = arrays["joint_names"].ravel().tolist()
    if sorted(names) != sorted(JOINTS):
        wrong = sorted(set(names) ^ set(JOINTS)) or ["some of them twice"]
        raise InputError(f"{source}: joint_names are not the G1's {len(JOINTS)} joints: {', '.join(wrong)}")
    coordinates = arrays["joint_pos"]
    check_shapes({"joint_pos": (coordinates, (_ROOT_COLUMNS + len(JOINTS),))}, source)
    columns = [_ROOT_COLUMNS + names.index(name) for name in JOINTS]
    return coordinates[:, :3], coordinates[:, 3:_ROOT_COLUMNS], coordinates[:, columns]


def convert(data: bytes, source: str) -> Motion:
    """The recording in ``data`` as a motion of the G1 (it does not wrap); ``source`` names it in errors.

    Raises `InputError` for an archive of another layout or other joints than the robot's.
    """
    named = "joint_names" in array_names(data, source)
    numbers = ("fps", "joint_pos") if named else ("fps", "joint_pos", "body_pos_w", "body_quat_w")
    arrays = read_arrays(data, numbers, source, words=("joint_names",) if named else ())
    root_pos, root_wxyz, angles = (_from_names if named else _from_bodies)(arrays, source)
    fps = frame_rate(arrays["fps"], "fps", source)
    return Motion(
        times=np.arange(len(angles)) / fps,
        root_pos=root_pos,
        root_rot=root_wxyz[:, [1, 2, 3, 0]],
        joints={_BODIES[name]: angles[:, column] for column, name in enumerate(JOINTS)},
        wrap=False,
    )
