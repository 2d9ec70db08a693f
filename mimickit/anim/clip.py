"""Motion clips: reading, checking and writing.

A ``.pkl`` clip is a pickled dict of plain numbers: ``loop_mode`` (0 clamp, 1 wrap), ``fps`` and ``frames``
(N x (6 + D): root position 3, root rotation as an exponential map 3, DoFs). A pickle can name any callable; this
reader rebuilds numbers, lists, NumPy arrays and tensors and refuses everything else, so no clip is ever executed.
"""

import math
import pickle
import warnings
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np

from mimickit.anim.char_model import CharModel, JointKind
from mimickit.errors import InputError, MissingDataError
from mimickit.files import write_atomically
from mimickit.plain_pickle import load_numbers

ROOT_DIM = 6  # root position and rotation in front of the DoFs of a frame


class LoopMode(IntEnum):
    """What happens after a clip's last frame."""

    CLAMP = 0
    WRAP = 1


@dataclass(frozen=True)
class Clip:
    """One motion: ``frames`` is float64 ``(N, 6 + D)``, N >= 2; ``fps`` in Hz."""

    name: str
    loop_mode: LoopMode
    fps: float
    frames: np.ndarray

    @property
    def length(self) -> float:
        """Seconds from the first frame to the last."""
        return (len(self.frames) - 1) / self.fps


def _read_pickle(path: Path) -> Any:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise MissingDataError(f"{path}: no such motion clip; `nox -s data` builds the open clips") from None
    except OSError as error:
        raise InputError(f"{path}: the motion clip cannot be read: {error.strerror}") from None
    try:
        return load_numbers(data)
    except Exception as error:  # rebuilding arrays and tensors from damaged bytes can raise anything
        detail = str(error) or type(error).__name__
        raise InputError(
            f"{path}: not a motion clip ({len(data)} bytes, truncated or of another kind): {detail}. "
            "A clip is a pickled dict of loop_mode, fps and frames, made of numbers"
        ) from None


def load_clip(path: Path | str) -> Clip:
    """Read a clip; numbers only, nothing in the file is executed.

    Raises:
        InputError: missing, truncated, naming code, without one of its three keys, or not a finite table. NaN is
            left in place for :func:`check_clip`, which knows the character.
    """
    path = Path(path)
    content = _read_pickle(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds a {type(content).__name__}, expected a dict of loop_mode, fps and frames")
    missing = [key for key in ("loop_mode", "fps", "frames") if key not in content]
    if missing:
        raise InputError(f"{path}: lacks {', '.join(missing)}; it has {', '.join(map(str, content))}")
    try:
        loop_mode = LoopMode(content["loop_mode"])
    except (ValueError, TypeError):
        raise InputError(f"{path}: loop_mode is {content['loop_mode']!r}, expected 0 (clamp) or 1 (wrap)") from None
    try:
        fps = float(content["fps"])
    except (ValueError, TypeError):
        raise InputError(f"{path}: fps is {content['fps']!r}, expected a number") from None
    if not (math.isfinite(fps) and fps > 0.0):
        raise InputError(f"{path}: fps is {fps}, expected a positive number")
    try:
        frames = np.asarray(content["frames"], dtype=np.float64)
    except (ValueError, TypeError):
        raise InputError(f"{path}: frames is not a table of numbers; every frame needs the same count") from None
    if frames.ndim != 2 or len(frames) < 2:
        raise InputError(f"{path}: frames has the shape {frames.shape}, expected at least 2 frames of 6 + DoFs numbers")
    return Clip(name=str(path), loop_mode=loop_mode, fps=fps, frames=frames)


def check_clip(clip: Clip, model: CharModel) -> Clip:
    """The clip, verified to fit the character: its number of DoFs, and every number finite.

    One spelling is read as what it means: a spherical joint that is NaN in all three components of *every* frame is an
    identity rotation whose writer divided a zero vector by its length (the published ``humanoid_walk.pkl`` has such a
    neck). It becomes zero, with a warning. Any other NaN or infinity is an error.
    """
    expected = ROOT_DIM + model.num_dofs
    if clip.frames.shape[1] != expected:
        raise InputError(
            f"{clip.name}: frames have {clip.frames.shape[1]} numbers ({clip.frames.shape[1] - ROOT_DIM} DoFs), but "
            f"{model.source} needs {expected} (6 + {model.num_dofs} DoFs); is the clip for another character?"
        )
    bad = ~np.isfinite(clip.frames)
    if not bad.any():
        return clip
    frames = clip.frames.copy()
    for joint, start in zip(model.joints, model.dof_starts, strict=True):
        columns = slice(ROOT_DIM + start, ROOT_DIM + start + 3)
        if joint.kind is JointKind.SPHERICAL and np.isnan(frames[:, columns]).all():
            frames[:, columns] = 0.0
            warnings.warn(
                f"{clip.name}: joint '{joint.name}' is NaN in all {len(frames)} frames, read as the identity rotation",
                stacklevel=2,
            )
    bad = ~np.isfinite(frames)
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        names = (
            "root x",
            "root y",
            "root z",
            "root rotation x",
            "root rotation y",
            "root rotation z",
            *model.dof_names,
        )
        raise InputError(
            f"{clip.name}: {int(bad.sum())} numbers are not finite; the first is frame {row}, '{names[column]}' "
            f"(column {column}) = {frames[row, column]}"
        )
    return Clip(name=clip.name, loop_mode=clip.loop_mode, fps=clip.fps, frames=frames)


def save_clip(path: Path | str, clip: Clip) -> None:
    """Write a clip as plain numbers; the same clip gives the same bytes. Atomic: a failure leaves no half file."""
    content = {
        "loop_mode": int(clip.loop_mode),
        "fps": clip.fps,
        "frames": [[float(value) for value in frame] for frame in clip.frames],
    }
    write_atomically(Path(path), pickle.dumps(content, protocol=4))
