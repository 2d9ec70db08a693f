"""Pickles of General Motion Retargeting: a robot's motion at a fixed rate.

A dict of ``fps``, ``root_pos`` (N, 3) metres, ``root_rot`` (N, 4) ``xyzw`` and ``dof_pos`` (N, D), the robot's joint
angles in the order of its MJCF file. ``local_body_pos`` and ``link_body_list``, if there, are not needed.
"""

import math
from typing import Any

import numpy as np

from mimickit.data.character import Character, joints_of_dofs, num_dofs
from mimickit.data.motion import Motion
from mimickit.errors import InputError
from mimickit.plain_pickle import load_numbers

_ARRAYS = ("root_pos", "root_rot", "dof_pos")
_KEYS = ("fps", *_ARRAYS)


def _array(content: dict[str, Any], key: str, width: int, source: str) -> np.ndarray:
    try:
        array = np.asarray(content[key], dtype=float)
    except (TypeError, ValueError) as error:
        raise InputError(f"{source}: {key} is not an array of numbers ({error})") from error
    if array.ndim != 2 or array.shape[1] != width:
        raise InputError(f"{source}: {key} has shape {array.shape}, expected (N, {width})")
    return array


def convert(data: bytes, source: str, character: Character) -> Motion:
    """The motion of ``character`` in the pickle ``data`` (it does not wrap); ``source`` names it in errors.

    Only numbers are read, nothing in the file is run. Raises `InputError` for a file of another layout, or joints of
    another number than the character has.
    """
    try:
        content = load_numbers(data)
    except Exception as error:  # damaged bytes can make the unpickler raise anything
        raise InputError(f"{source}: not a pickle of numbers ({str(error) or type(error).__name__})") from error
    if not isinstance(content, dict) or any(key not in content for key in _KEYS):
        found = ", ".join(map(str, content)) if isinstance(content, dict) else f"a {type(content).__name__}"
        raise InputError(f"{source}: expected a dict with {', '.join(_KEYS)}; found {found}")
    try:
        fps = float(content["fps"])
    except (TypeError, ValueError):
        raise InputError(f"{source}: fps is {content['fps']!r}, expected a number") from None
    if not (math.isfinite(fps) and fps > 0.0):
        raise InputError(f"{source}: fps is {fps}, expected a positive number")
    dofs = num_dofs(character)
    root_pos, root_rot, dof_pos = (
        _array(content, key, width, source) for key, width in zip(_ARRAYS, (3, 4, dofs), strict=True)
    )
    if not len(root_pos) == len(root_rot) == len(dof_pos):
        raise InputError(
            f"{source}: root_pos, root_rot and dof_pos have {len(root_pos)}, {len(root_rot)} and {len(dof_pos)} frames"
        )
    joints = joints_of_dofs(character, dof_pos)
    return Motion(np.arange(len(root_pos)) / fps, root_pos, root_rot, joints, wrap=False)
