"""Clips of the humanoid with sword and shield: swings authored here, and the humanoid's motions carried over."""

from mimickit.data.authored import SWINGS
from mimickit.data.recipes import humanoid
from mimickit.data.recipes.humanoid import humanoid3d
from mimickit.data.recipes.recipe import Authored, Recipe, Recording
from mimickit.data.steps import Retarget

_CARRIED = ("punch", "kick", "spinkick", "jump", "spin")


def _carried(name: str, source: Recording | Recipe) -> Recipe:
    return Recipe(f"sword_shield_{name}", "sword_shield", source, (Retarget("sword_shield"),))


ATTACKS = tuple(Recipe(f"sword_shield_{name}", "sword_shield", Authored(name)) for name in SWINGS)
CARRIED = tuple(_carried(motion, humanoid3d(motion)) for motion in _CARRIED)
LOCOMOTION = tuple(
    _carried(recipe.name.removeprefix("humanoid_"), recipe)
    for recipe in (humanoid.WALK, humanoid.RUN, humanoid.ISAACLAB_WALK, humanoid.ISAACLAB_RUN, *humanoid.LOCOMOTION)
)

RECIPES = (*ATTACKS, *CARRIED, *LOCOMOTION, *(recipe.mirrored() for recipe in LOCOMOTION))
