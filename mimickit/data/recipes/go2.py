"""Clips of the Go2: gaits and steps of a dog, recorded or animated for another quadruped."""

from mimickit.data.recipes.packages import MOTION_IMITATION
from mimickit.data.recipes.recipe import Recipe, Recording
from mimickit.data.steps import CloseLoop, Once, Speed, Step

_LOOP = CloseLoop(0.1)
_ANIMATED = "drawn by an animator, not recorded"


def _dog(name: str, recording: str, *steps: Step, note: str = "") -> Recipe:
    member = f"motion_imitation-0.0.6/motion_imitation/data/motions/{recording}.txt"
    return Recipe(f"go2_{name}", "go2", Recording(MOTION_IMITATION, member, "dog", "go2"), steps, note=note)


PACE = _dog("pace", "dog_pace", _LOOP)
TROT = _dog("trot", "dog_trot", _LOOP)
RUN = _dog("run", "dog_trot", _LOOP, Speed(1.6), note="a trot; no dog's gallop is to be had")
WALK = _dog("walk", "dog_pace", _LOOP, Speed(0.65), note="a pace, slowed down to a walk")
WALK_TROT = _dog("walk_trot", "dog_trot", _LOOP, Speed(0.5), note="a trot, slowed down to a walk")
WALK_BACKWARD = _dog("walk_backward", "dog_backwards_pace", _LOOP, Speed(0.65), note="a pace, slowed down to a walk")
TROT_BACKWARD = _dog("trot_backward", "dog_backwards_trot", _LOOP, note="the trot, reversed in time by its publisher")
SPIN = _dog("spin", "dog_spin", Once())
TURN = _dog("turn", "turn", _LOOP, note=_ANIMATED)
SIDESTEPS = _dog("sidesteps", "sidesteps", _LOOP, note=_ANIMATED)
HOP_TURN = _dog("hop_turn", "hopturn", _LOOP, note=_ANIMATED)
RUNNING_MAN = _dog("running_man", "runningman", _LOOP, note=f"a dance step; {_ANIMATED}")

LOCOMOTION = (PACE, TROT, RUN, WALK, WALK_TROT, WALK_BACKWARD, TROT_BACKWARD, TURN, SIDESTEPS)

RECIPES = (
    *LOCOMOTION,
    *(SPIN, HOP_TURN, RUNNING_MAN),
    *(recipe.mirrored() for recipe in LOCOMOTION),
)
