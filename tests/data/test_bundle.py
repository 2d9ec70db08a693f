"""The open bundle as a whole: its datasets, and the built clips where they are."""

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from mimickit.data.clip_file import CharacterClip, read_clip
from mimickit.data.manifest import ClipState, clip_state, read_manifest
from mimickit.data.measure import (
    FEET,
    dof_limits,
    foot_tracks,
    ground_clearance,
    joint_speeds,
    limit_violations,
    loop_seam,
)
from mimickit.data.recipes import RECIPES
from mimickit.data.recipes.recipe import Authored, Recipe
from mimickit.data.steps import CloseLoop, Retarget

ROOT = Path(__file__).parents[2]
MOTIONS = ROOT / "data" / "motions"
DATASETS = sorted((ROOT / "data" / "datasets").glob("*.yaml"))
# Clips that may be more than 2 cm over the ground on average, with the reason. A mirrored copy goes by the original's
# name here and below.
OVER_THE_GROUND = {
    **dict.fromkeys(("humanoid_vault", "humanoid_climb", "g1_vault"), "on boxes"),
    **{f"humanoid_{motion}": "a flight" for motion in ("run", "isaaclab_run", "backflip", "jump", "spin", "spinkick")},
    **{f"sword_shield_{motion}": "a flight" for motion in ("run", "isaaclab_run", "jump", "spin", "spinkick")},
    **{f"smpl_{motion}": "a flight" for motion in ("run", "backflip", "jump", "spinkick")},
    **{f"g1_{motion}": "a flight" for motion in ("jump", "spinkick")},
    "go2_hop_turn": "two hops, 16 cm high",
    "humanoid_dance_b": "hops, 13 cm high",
    "humanoid_getup_faceup": "the recorded body lies 4 cm deeper than its feet stand, and is set on the ground lying",
}
# The fastest a joint may turn, rad/s: authored swings, recordings (a backflip's arms), motions carried over.
FASTEST = {"authored": 15.0, "recorded": 31.0, "retargeted": 40.0}
# How far a foot may slip in one stance (m), and how fast on average over its stances (m/s), in clips that are not
# retargeted. Those of sword_shield are authored; the others are recordings, which slip as they were published.
SLIP = {
    "sword_shield": (0.02, 0.02),
    "humanoid": (0.14, 0.17),
    "smpl": (0.15, 0.07),
    "g1": (0.12, 0.11),
    "go2": (0.08, 0.34),
}
SLIDING = {  # of which the motion is a slide or a pivot on the foot
    "humanoid_backflip": (0.11, 0.45),
    "humanoid_dance_a": (0.29, 0.33),
    "humanoid_dance_b": (0.19, 1.06),
    "humanoid_kick": (0.20, 0.27),
    "humanoid_punch": (0.38, 0.39),
    "humanoid_roll": (0.10, 0.44),
    "humanoid_spin": (0.24, 0.53),
    "g1_run": (0.07, 0.27),  # one short cycle: the fade that closes the loop is a quarter of it
    "go2_running_man": (0.28, 0.24),
}


def dataset_names(path: Path) -> list[str]:
    """Names of the recipes that a dataset's files come from."""
    entries = yaml.safe_load(path.read_text())["motions"]
    by_path = {f"data/motions/{recipe.clip}": name for name, recipe in RECIPES.items()}
    assert all(entry["weight"] == 1.0 for entry in entries)
    return [by_path[entry["file"]] for entry in entries]


def test_there_is_a_dataset_for_each_published_one() -> None:
    assert {path.stem for path in DATASETS} == {
        "dataset_g1_locomotion",
        "dataset_go2_locomotion",
        "dataset_humanoid_locomotion",
        "dataset_humanoid_sword_shield",
        "dataset_humanoid_sword_shield_locomotion",
    }


@pytest.mark.parametrize("path", DATASETS, ids=lambda path: path.stem)
def test_datasets_hold_enough_clips_of_one_character_once(path: Path) -> None:
    names = dataset_names(path)
    originals = [name for name in names if not name.endswith("_mirrored")]
    assert len(names) == len(set(names))
    assert len(names) >= 10
    assert len({RECIPES[name].character for name in names}) == 1
    if path.stem.endswith("locomotion"):
        assert {f"{name}_mirrored" for name in originals} == set(names) - set(originals)


@pytest.fixture(scope="module")
def read(assets: Path) -> Callable[[str], CharacterClip]:
    """Reads a clip that was built here and is up to date; the test is skipped without it."""
    manifest = read_manifest(MOTIONS)

    @functools.cache
    def clip(name: str) -> CharacterClip:
        recipe = RECIPES[name]
        state = clip_state(recipe, MOTIONS, assets, manifest)
        if state is not ClipState.CURRENT:
            pytest.skip(f"data/motions/{recipe.clip} is {state.value}; python -m mimickit.data build --only {name}")
        return read_clip(MOTIONS / recipe.clip, recipe.character, assets)

    return clip


def original(name: str) -> str:
    return name.removesuffix("_mirrored")


def kind(recipe: Recipe) -> str:
    """How the motion came about: a key of `FASTEST`."""
    if isinstance(recipe.origin(), Authored):
        return "authored"
    return "retargeted" if any(isinstance(step, Retarget) for step in recipe.all_steps()) else "recorded"


def test_the_exceptions_are_clips() -> None:
    assert {*OVER_THE_GROUND, *SLIDING} <= set(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_a_built_clip_stands_on_the_ground(read: Callable[[str], CharacterClip], name: str) -> None:
    clip = read(name)
    ground = ground_clearance(clip.character, clip.motion)
    assert ground.mean_sink < 0.02
    if original(name) not in OVER_THE_GROUND:
        assert ground.mean_float < 0.02


@pytest.mark.parametrize("name", RECIPES)
def test_joints_of_a_built_clip_keep_their_limits(read: Callable[[str], CharacterClip], name: str) -> None:
    """Of speed always; of angle where we solved for the joints, and where a robot was recorded."""
    clip, recipe = read(name), RECIPES[name]
    assert max(speeds.max() for speeds in joint_speeds(clip.motion).values()) < FASTEST[kind(recipe)]
    solved = kind(recipe) == "retargeted" and recipe.character != "sword_shield"  # which takes over the humanoid's
    if solved or recipe.character in ("g1", "go2"):
        assert limit_violations(clip.character, clip.motion) == ()
    assert np.isfinite(dof_limits(clip.character)).all()


@pytest.mark.parametrize("name", [name for name, recipe in RECIPES.items() if kind(recipe) != "retargeted"])
def test_feet_of_a_built_clip_slip_no_more_than_known(read: Callable[[str], CharacterClip], name: str) -> None:
    clip = read(name)
    worst, speed = SLIDING.get(original(name), SLIP[clip.name])
    for foot in foot_tracks(clip.character, clip.motion, FEET[clip.name]):
        assert foot.worst_stance_slip < worst, foot.name
        assert foot.mean_slip_speed(clip.fps) < speed, foot.name


CLOSED = [name for name, recipe in RECIPES.items() if any(isinstance(step, CloseLoop) for step in recipe.all_steps())]


@pytest.mark.parametrize("name", CLOSED)
def test_a_loop_that_was_closed_is_closed(read: Callable[[str], CharacterClip], name: str) -> None:
    clip = read(name)
    seam = loop_seam(clip.motion)
    assert clip.motion.wrap
    assert np.degrees(seam.joint_jump) < 5.0, seam.joint
    assert np.degrees(seam.root_turn) < 5.0
    assert seam.root_rise < 0.01
