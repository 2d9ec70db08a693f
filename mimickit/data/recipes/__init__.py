"""The pinned table: which recording, in which wheel, becomes which clip."""

import dataclasses
import hashlib
import json
import types
from collections.abc import Mapping
from difflib import get_close_matches

from mimickit.errors import InputError

CLIP_FPS = 60
"""Frames per second of every clip that is built."""


@dataclasses.dataclass(frozen=True)
class Package:
    """One wheel on the package index, pinned. Only unzipped, never installed: one file serves every machine."""

    name: str
    version: str
    filename: str
    size: int  # bytes
    sha256: str
    licence: str
    pip_options: tuple[str, ...]  # select this very file, whatever Python and platform run pip


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How one clip is made. Every field takes part in `Recipe.digest`, so a changed recipe rebuilds its clip."""

    name: str  # also the clip's file name, without .pkl
    package: Package
    member: str  # path of the recording inside the wheel
    converter: str  # a key of `build.CONVERTERS`
    converter_version: int  # raise it when the numbers a converter writes change
    character: str = "humanoid"  # folder of the clip, and of the model in data/assets
    source_frames: int | None = None  # keep only this many frames of the recording
    note: str = ""

    @property
    def clip(self) -> str:
        """Path of the clip below the motions folder, with forward slashes."""
        return f"{self.character}/{self.name}.pkl"

    def digest(self) -> str:
        """SHA-256 (hexadecimal) of everything that decides the clip's bytes."""
        facts = (self.package.sha256, self.member, self.converter, self.converter_version, self.character)
        text = json.dumps([*facts, self.source_frames, CLIP_FPS])
        return hashlib.sha256(text.encode()).hexdigest()


PYBULLET = Package(
    name="pybullet",
    version="3.2.7",
    filename="pybullet-3.2.7-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    size=103_196_742,
    sha256="5d858abf7c12a21ef3ed351cf81dac1b5e486ec25c9ab59bfc84beb89034edff",
    licence="zlib",
    pip_options=(
        "--implementation=cp",
        "--python-version=3.11",
        "--abi=cp311",
        "--platform=manylinux_2_17_x86_64",
        "--platform=manylinux2014_x86_64",
    ),
)
ISAACLAB = Package(
    name="isaaclab",
    version="3.0.0",
    filename="isaaclab-3.0.0-py3-none-any.whl",
    size=12_395_885,
    sha256="625f752c7dd912eb8efade85daeb7a8119d620266852380d17d8f9e701b80bca",
    licence="BSD-3-Clause",
    pip_options=("--python-version=3.12",),
)

_CRAWL_NOTE = "without the recording's last 6 frames, which drop the root 12 cm through the ground to close the loop"


def _humanoid3d(motion: str, source_frames: int | None = None, note: str = "") -> Recipe:
    member = f"pybullet_data/data/motions/humanoid3d_{motion}.txt"
    return Recipe(f"humanoid_{motion}", PYBULLET, member, "humanoid3d", 1, source_frames=source_frames, note=note)


def _isaaclab(motion: str) -> Recipe:
    member = f"isaaclab_tasks/contrib/humanoid_amp/motions/humanoid_{motion}.npz"
    return Recipe(f"humanoid_isaaclab_{motion}", ISAACLAB, member, "isaaclab", 1)


_ALL = (
    _humanoid3d("backflip"),
    _humanoid3d("cartwheel"),
    _humanoid3d("crawl", source_frames=171, note=_CRAWL_NOTE),
    _humanoid3d("dance_a"),
    _humanoid3d("dance_b"),
    _humanoid3d("getup_facedown"),
    _humanoid3d("getup_faceup"),
    _humanoid3d("jump"),
    _humanoid3d("kick"),
    _humanoid3d("punch"),
    _humanoid3d("roll"),
    _humanoid3d("run"),
    _humanoid3d("spin"),
    _humanoid3d("spinkick"),
    _humanoid3d("walk"),
    _isaaclab("dance"),
    _isaaclab("run"),
    _isaaclab("walk"),
)
RECIPES: Mapping[str, Recipe] = types.MappingProxyType({recipe.name: recipe for recipe in _ALL})


def find_recipe(name: str) -> Recipe:
    """The recipe called ``name``, with or without folder and ``.pkl``. Raises `InputError` naming the nearest one."""
    key = name.rsplit("/", 1)[-1].removesuffix(".pkl")
    if key in RECIPES:
        return RECIPES[key]
    nearest = get_close_matches(key, RECIPES, n=1, cutoff=0.0)[0]
    raise InputError(
        f"no recipe builds a clip called {name!r}; the nearest one is {nearest!r} "
        "(python -m mimickit.data list shows all of them)"
    )
