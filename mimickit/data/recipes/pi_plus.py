"""Clips of the Pi Plus: humanoid motions carried over to a robot of 0.7 m."""

from mimickit.data.recipes.humanoid import humanoid3d
from mimickit.data.recipes.recipe import Recipe
from mimickit.data.steps import CloseLoop, Retarget

_LOOP = CloseLoop(0.2)

RECIPES = tuple(
    Recipe(f"pi_plus_{motion}", "pi_plus", humanoid3d(motion), (_LOOP, Retarget("pi_plus")))
    for motion in ("walk", "run")
)
