"""A clip file as a motion of a character."""

import dataclasses
import warnings
from pathlib import Path

import numpy as np

from mimickit.anim import load_character as load_char_model
from mimickit.anim.clip import ROOT_DIM, LoopMode, check_clip, load_clip
from mimickit.data.character import Character, joints_of_dofs, load_character, num_dofs
from mimickit.data.characters import CHARACTERS, model_path
from mimickit.data.motion import Motion
from mimickit.data.quaternions import from_exponential_map, unit_and_continuous
from mimickit.errors import InputError


@dataclasses.dataclass(frozen=True)
class CharacterClip:
    """A clip together with the character it is for."""

    path: Path
    name: str  # the character's, a key of `CHARACTERS`
    character: Character
    fps: float
    motion: Motion
    notes: tuple[str, ...]  # what was read otherwise than it is written


def characters_with(columns: int, assets: Path) -> list[str]:
    """Names of the characters below ``assets`` whose clips have ``columns`` numbers in a frame."""
    present = [name for name in CHARACTERS if model_path(name, assets).is_file()]
    return [name for name in present if num_dofs(load_character(model_path(name, assets))) == columns - ROOT_DIM]


def guess_character(path: Path, columns: int, assets: Path) -> str:
    """The character a clip is for: told by its folder, else by its name, else by the ``columns`` of its frames.

    Raises `InputError` when none of these tells it, or several characters have as many columns.
    """
    folders = [name for name, entry in CHARACTERS.items() if path.absolute().parent.name == entry.motions]
    prefixes = [name for name, entry in CHARACTERS.items() if path.name.startswith(f"{entry.prefix}_")]
    if told := folders or prefixes:
        return told[0]
    fitting = characters_with(columns, assets)
    if len(fitting) == 1:
        return fitting[0]
    found = f"{', '.join(fitting)} all have" if fitting else f"no character in {assets} has"
    raise InputError(
        f"{path}: neither its folder nor its name says which character it is for, and {found} {columns} numbers in a "
        f"frame; say --character, one of {', '.join(CHARACTERS)}"
    )


def motion_of_frames(character: Character, frames: np.ndarray, fps: float, wrap: bool, source: str) -> Motion:
    """The motion that a clip's ``frames`` (N, 6 + dofs) describe; the inverse of `character.to_frames`."""
    joints = {
        name: unit_and_continuous(track, source) if track.ndim == 2 else track
        for name, track in joints_of_dofs(character, frames[:, ROOT_DIM:]).items()
    }
    root_rot = unit_and_continuous(from_exponential_map(frames[:, 3:6]), source)
    return Motion(np.arange(len(frames)) / fps, frames[:, :3], root_rot, joints, wrap)


def read_clip(path: Path, name: str | None, assets: Path) -> CharacterClip:
    """Read a clip of the character called ``name``; None guesses it.

    Raises `InputError` for a file that is no clip, a clip of another character (naming those that it fits), and
    numbers that are not finite (naming frame and column).
    """
    clip = load_clip(path)
    columns = clip.frames.shape[1]
    chosen = name if name is not None else guess_character(path, columns, assets)
    model = model_path(chosen, assets)
    character = load_character(model)
    if columns != ROOT_DIM + num_dofs(character):
        fitting = characters_with(columns, assets)
        advice = f"it fits {', '.join(fitting)}: say --character" if fitting else f"it fits no character in {assets}"
        raise InputError(
            f"{path}: its frames have {columns} numbers, but {chosen} needs {ROOT_DIM + num_dofs(character)} "
            f"(6 for the root and {num_dofs(character)} for the joints); {advice}"
        )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        clip = check_clip(clip, load_char_model(model))
    motion = motion_of_frames(character, clip.frames, clip.fps, clip.loop_mode is LoopMode.WRAP, str(path))
    return CharacterClip(path, chosen, character, clip.fps, motion, tuple(str(warning.message) for warning in caught))
