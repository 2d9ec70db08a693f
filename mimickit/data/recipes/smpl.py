"""Clips of the SMPL body: recordings of it, and humanoid motions carried over."""

from mimickit.data.recipes.humanoid import humanoid3d
from mimickit.data.recipes.packages import HOLOSOMA_RETARGETING
from mimickit.data.recipes.recipe import Recipe, Recording
from mimickit.data.steps import CloseLoop, Homed, Retarget, Step

_LOOP = CloseLoop(0.2)
_REPEATING = ("walk", "run", "spinkick", "jump", "cartwheel", "dance_a", "backflip", "roll")
_ENDING = ("kick", "punch", "getup_faceup")


def _retargeted(motion: str, *steps: Step) -> Recipe:
    return Recipe(f"smpl_{motion}", "smpl", humanoid3d(motion), (*steps, Retarget("smpl")))


def _carry(name: str, take: str) -> Recipe:
    recording = Recording(
        HOLOSOMA_RETARGETING, f"holosoma_retargeting/demo_data/OMOMO_new/{take}.pt", "smpl_arrays", "smpl"
    )
    return Recipe(f"smpl_{name}", "smpl", recording, (Homed(),), note="without its box")


RECIPES = (
    *(_retargeted(motion, _LOOP) for motion in _REPEATING),
    *(_retargeted(motion) for motion in _ENDING),
    _carry("box_carry_a", "sub3_largebox_003"),
    _carry("box_carry_b", "sub10_largebox_049"),
)
