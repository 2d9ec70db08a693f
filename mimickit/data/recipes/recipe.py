"""How a clip is made: where its motion comes from, and what is done to it."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mimickit.data.authored import swing_digest
from mimickit.data.characters import CHARACTERS, existing_model_path
from mimickit.data.files import sha256_of
from mimickit.data.recipes.packages import Package
from mimickit.data.steps import Mirror, Retarget, Step

CLIP_FPS = 60
"""Frames per second of every clip that is built."""

_PIPELINE_VERSION = 2  # raise it when what happens to every clip changes


@dataclasses.dataclass(frozen=True)
class Recording:
    """A file in a package on the index."""

    package: Package
    member: str  # its path inside the package
    reader: str  # a key of `pipeline.READERS`
    character: str | None  # whose motion it is; None for landmarks of somebody
    version: int = 1  # raise it when the numbers the reader gives change

    def facts(self) -> list[Any]:
        """What decides its numbers."""
        return [self.package.sha256, self.member, self.reader, self.character, self.version]


@dataclasses.dataclass(frozen=True)
class Authored:
    """A motion made up in this repository, from key poses."""

    name: str  # a key of `authored.SWINGS`

    def facts(self) -> list[Any]:
        """What decides its numbers."""
        return ["authored", self.name, swing_digest(self.name)]


@dataclasses.dataclass(frozen=True)
class Prop:
    """An object that belongs to a clip: where it stands so that hands and feet meet it."""

    file: str  # below data/assets
    pos: tuple[float, float, float]  # metres


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How one clip is made. All that decides the clip's bytes is part of `Recipe.digest`: a changed recipe rebuilds it.

    A recipe whose ``source`` is another recipe starts from that clip's motion, before it was set on the ground.
    """

    name: str  # also the clip's file name, without .pkl
    character: str  # a key of `CHARACTERS`
    source: "Recording | Authored | Recipe"
    steps: tuple[Step, ...] = ()
    props: tuple[Prop, ...] = ()
    note: str = ""

    @property
    def clip(self) -> str:
        """Path of the clip below the motions folder, with forward slashes."""
        return f"{CHARACTERS[self.character].motions}/{self.name}.pkl"

    def mirrored(self) -> "Recipe":
        """The same clip with left and right exchanged."""
        return Recipe(f"{self.name}_mirrored", self.character, self, (Mirror(),), note=self.note)

    def origin(self) -> Recording | Authored:
        """Where the motion comes from in the end."""
        return self.source.origin() if isinstance(self.source, Recipe) else self.source

    def all_steps(self) -> Iterator[Step]:
        """Every step from the origin on."""
        if isinstance(self.source, Recipe):
            yield from self.source.all_steps()
        yield from self.steps

    def characters(self) -> list[str]:
        """Every character on the way, whose file takes part in the clip: the recording's, and those retargeted to."""
        origin = self.origin()
        recorded = [origin.character] if isinstance(origin, Recording) and origin.character else []
        targets = [step.character for step in self.all_steps() if isinstance(step, Retarget)]
        return list(dict.fromkeys([*recorded, *targets, self.character]))

    def digest(self, assets: Path) -> str:
        """SHA-256 (hexadecimal) of everything that decides the clip's bytes; ``assets`` holds the characters."""
        steps = [[type(step).__name__, step.version, dataclasses.asdict(step)] for step in self.all_steps()]
        models = [sha256_of(existing_model_path(name, assets)) for name in self.characters()]
        facts = [_PIPELINE_VERSION, CLIP_FPS, self.characters(), models, self.origin().facts(), steps, bool(self.props)]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
