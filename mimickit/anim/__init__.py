"""Kinematics of characters and motion clips: batched torch, no physics."""

from pathlib import Path

from mimickit.anim.char_model import CharModel
from mimickit.anim.mjcf import load_mjcf
from mimickit.anim.urdf import load_urdf
from mimickit.errors import InputError

_READERS = {".xml": load_mjcf, ".mjcf": load_mjcf, ".urdf": load_urdf}


def load_character(path: Path | str) -> CharModel:
    """The kinematic tree of an MJCF or URDF file, chosen by its ending."""
    suffix = Path(path).suffix.lower()
    if suffix not in _READERS:
        raise InputError(f"{path}: a character is an MJCF (.xml, .mjcf) or URDF (.urdf) file, not '{suffix}'")
    return _READERS[suffix](path)
