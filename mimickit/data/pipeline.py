"""From a recipe to a clip: read, step by step, resample, set on the ground."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

from mimickit.data.authored import author
from mimickit.data.character import Character, check_joints, load_character, lowest_points
from mimickit.data.characters import model_path
from mimickit.data.encoding import clip_bytes
from mimickit.data.measure import ground_level
from mimickit.data.motion import Landmarks, Motion, checked_motion, lifted, resampled
from mimickit.data.readers import climbing, dog, g1_arrays, humanoid3d, isaaclab, smpl_arrays
from mimickit.data.recipes.recipe import CLIP_FPS, Authored, Recipe, Recording
from mimickit.data.steps import Take

# How a recording becomes a motion, or landmarks: from the file's bytes, and its name for errors.
READERS: Mapping[str, Callable[[bytes, str], Motion | Landmarks]] = {
    "humanoid3d": humanoid3d.convert,
    "isaaclab": isaaclab.convert,
    "g1_arrays": g1_arrays.convert,
    "dog": dog.convert,
    "smpl_arrays": smpl_arrays.convert,
    "climbing": climbing.convert,
}


@dataclasses.dataclass(frozen=True)
class Clip:
    """A clip, made."""

    character: Character
    motion: Motion  # at CLIP_FPS
    lift: float  # metres the recording was raised; told to the user, not written

    def encoded(self) -> bytes:
        """The file's bytes."""
        return clip_bytes(self.character, self.motion, CLIP_FPS)


class Maker:
    """Makes motions of recipes, and keeps those that other recipes start from.

    ``read`` gives the recording that a recipe's `Recipe.origin` names; ``assets`` holds the characters.
    """

    def __init__(self, read: Callable[[Recording], bytes], assets: Path):
        self._read = read
        self._assets = assets
        self._made: dict[Recipe, Take] = {}

    def take(self, recipe: Recipe) -> Take:
        """The recipe's motion before it is resampled and set on the ground.

        Raises `InputError` naming the recording for numbers that make no motion.
        """
        source = recipe.source
        if isinstance(source, Recipe):
            if source not in self._made:
                self._made[source] = self.take(source)
            take = self._made[source]
        elif isinstance(source, Authored):
            motion = author(source.name, model_path(recipe.character, self._assets))
            take = Take(motion, recipe.character, source.name)
        else:
            motion = READERS[source.reader](self._read(source), source.member)
            take = Take(motion, source.character, source.member)
        for step in recipe.steps:
            if isinstance(take.motion, Motion):
                take = dataclasses.replace(take, motion=checked_motion(take.motion, take.name))
            take = step.apply(take, self._assets)
        return take

    def clip(self, recipe: Recipe) -> Clip:
        """The recipe's clip; errors as of `take`.

        It is lifted (or lowered) as a whole, so that the ground is where the character's lowest point stays most of the
        time: a flight or a frame that dips does not shift it. A clip with props keeps its height, as they have theirs.
        """
        take = self.take(recipe)
        motion = checked_motion(take.require_motion(), take.name)
        character = load_character(model_path(recipe.character, self._assets))
        check_joints(character, motion, take.name)
        motion = resampled(motion, CLIP_FPS)
        lift = 0.0 if recipe.props else -ground_level(lowest_points(character, motion))
        return Clip(character, lifted(motion, lift), lift)
