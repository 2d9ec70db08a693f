"""Clips over boxes: a climber's captured points carried over to a character, and the boxes at its scale."""

import math

from mimickit.data.boxes import Box
from mimickit.data.recipes.packages import HOLOSOMA_RETARGETING
from mimickit.data.recipes.recipe import Prop, Recipe, Recording
from mimickit.data.steps import Placed, Retarget, Section, Speed, Without

_WALL_YAW = 0.0776  # of the wall in the recordings; it is crossed along its own y axis
# the boxes that are recorded along with the climber, in the recordings' world
_STEP = Box((0.0, -1.3999, 0.09), 0.0, (1.0, 1.0, 0.18))
_BLOCK = Box((-0.5129, -0.0019, 0.235), 0.0313, (1.0, 1.0, 0.47))
_WALL = Box((-0.2857, -0.6386, 0.475), _WALL_YAW, (1.6, 0.48, 0.95))

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
        Retarget(character, (_STEP, _WALL)),
        Placed(-_WALL_YAW - math.pi / 2, x, y),
    )
    return Recipe(f"{character}_vault", character, _capture(1, "f0-2422"), steps, props, _VAULT_NOTE)


def climb(character: str, x: float, y: float, props: tuple[Prop, ...]) -> Recipe:
    """Up a block and a wall along x; ``x`` and ``y`` (metres) put the wall's middle at x = 2, y = 0."""
    steps = (
        Section(150, 930),
        Retarget(character, (_BLOCK, _WALL)),
        Placed(-_WALL_YAW + math.pi / 2, x, y),
    )
    return Recipe(f"{character}_climb", character, _capture(3, "f200-2600"), steps, props, _CLIMB_NOTE)
