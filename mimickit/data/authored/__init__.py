"""Sword-and-shield clips posed by hand, for want of a recording that may be used.

`swings` holds them as key poses (`poses`), `authoring` turns those into motions. To add a clip, add a swing to
`swings.SWINGS`.
"""

import hashlib
from difflib import get_close_matches
from pathlib import Path

from mimickit.data.authored.keys import DELAYS, FPS, Swing
from mimickit.data.authored.swings import SWINGS
from mimickit.data.motion import Motion
from mimickit.errors import InputError

__all__ = ["SWINGS", "author", "find_swing", "swing_digest"]

_VERSION = 1  # raise it when the same keys give other numbers


def find_swing(name: str) -> Swing:
    """The swing called ``name``. Raises `InputError` naming the nearest one."""
    if name in SWINGS:
        return SWINGS[name]
    nearest = get_close_matches(name, SWINGS, n=1, cutoff=0.0)[0]
    raise InputError(f"there is no swing {name!r}; the nearest one is {nearest!r}, and all are {', '.join(SWINGS)}")


def author(name: str, path: Path) -> Motion:
    """The swing called ``name`` as a motion at 60 frames per second, for the sword-and-shield humanoid in ``path``.

    The ground is z = 0; the clip starts in the guard at the origin, looking along x. Raises `InputError` for an unknown
    name, and for a character that has not the bodies or the reach.
    """
    from mimickit.data.authored.authoring import perform  # needs MuJoCo and SciPy, which the table does without

    return perform(name, find_swing(name), path)


def swing_digest(name: str) -> str:
    """SHA-256 (hexadecimal) of the poses, steps and times of a swing: a changed table is another clip."""
    text = f"{_VERSION} {FPS} {DELAYS!r} {find_swing(name)!r}"
    return hashlib.sha256(text.encode()).hexdigest()
