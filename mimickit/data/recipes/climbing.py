"""Clips over boxes: a climber's captured points carried over to a character, and the boxes at its scale."""

import math

from mimickit.data.recipes.packages import HOLOSOMA_RETARGETING
from mimickit.data.recipes.recipe import Prop, Recipe, Recording
from mimickit.data.steps import Placed, Retarget, Section, Speed, Without

_WALL_YAW = 0.0776  # of the wall in the recordings; it is crossed along its own y axis
_GROUND, _STEP, _BLOCK, _WALL = 0.0, 0.18, 0.47, 0.95  # heights of what hands and feet rest on, metres

_VAULT_NOTE = (
    "a climb over a wall on hands and knees, without the pause on top, twice as fast; no vault in one go is to be had"
)
_CLIMB_NOTE = "onto a block, then onto a wall"


def _capture(number: int, frames: str) -> Recording:
    name = f"mocap_climb_seq_{number}"
    member = f"holosoma_retargeting/demo_data/climb/{name}/{name}_joint_positions_{frames}.npy"
    return Recording(HOLOSOMA_RETARGETING, member, "climbing", None)


def vault(character: str, x: float, y: float, props: tuple[Prop, ...]) -> Recipe:
    """Over the wall along x, from a step; ``x`` and ``y`` (metres) put the wall's middle at x = 1, y = 0."""
    steps = (
        *(Section(270, 1890), Without(825, 910), Speed(2.0)),
        Retarget(character, (_GROUND, _STEP, _WALL)),
        Placed(-_WALL_YAW - math.pi / 2, x, y),
    )
    return Recipe(f"{character}_vault", character, _capture(1, "f0-2422"), steps, props, _VAULT_NOTE)


def climb(character: str, x: float, y: float, props: tuple[Prop, ...]) -> Recipe:
    """Up a block and a wall along x; ``x`` and ``y`` (metres) put the wall's middle at x = 2, y = 0."""
    steps = (
        Section(150, 930),
        Retarget(character, (_GROUND, _BLOCK, _WALL)),
        Placed(-_WALL_YAW + math.pi / 2, x, y),
    )
    return Recipe(f"{character}_climb", character, _capture(3, "f200-2600"), steps, props, _CLIMB_NOTE)
