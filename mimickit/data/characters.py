"""The characters that clips are made for, and where their files lie."""

import dataclasses
import types
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

from mimickit.errors import InputError


@dataclasses.dataclass(frozen=True)
class CharacterEntry:
    """Files of one character."""

    model: str  # MJCF below data/assets
    motions: str  # folder below data/motions
    prefix: str  # what its clips' names begin with


def _entry(folder: str, model: str, prefix: str) -> CharacterEntry:
    return CharacterEntry(f"{folder}/{model}.xml", folder, prefix)


CHARACTERS: Mapping[str, CharacterEntry] = types.MappingProxyType(
    {
        "humanoid": _entry("humanoid", "humanoid", "humanoid"),
        "sword_shield": _entry("sword_shield", "humanoid_sword_shield", "sword_shield"),
        "smpl": _entry("smpl", "smpl", "smpl"),
        "g1": _entry("g1", "g1", "g1"),
        "go2": _entry("go2", "go2", "go2"),
        "pi_plus": _entry("hightorque_pi_plus", "pi_22dof", "pi_plus"),
    }
)


def find_character(name: str) -> CharacterEntry:
    """The character called ``name``. Raises `InputError` naming the nearest one."""
    if name in CHARACTERS:
        return CHARACTERS[name]
    nearest = get_close_matches(name, CHARACTERS, n=1, cutoff=0.0)[0]
    raise InputError(
        f"there is no character {name!r}; the nearest one is {nearest!r}, and all are {', '.join(CHARACTERS)}"
    )


def model_path(name: str, assets: Path) -> Path:
    """The MJCF of the character called ``name``, below the folder ``assets``."""
    return assets / find_character(name).model


def existing_model_path(name: str, assets: Path) -> Path:
    """The same. Raises `InputError` when there is no such file."""
    path = model_path(name, assets)
    if not path.is_file():
        raise InputError(f"there is no character file {path}; run this from the repository's root, or pass --assets")
    return path
