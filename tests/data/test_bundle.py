"""The open bundle as a whole: its datasets, and the built clips where they are."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from mimickit.data.clip_file import read_clip
from mimickit.data.manifest import ClipState, clip_state, read_manifest
from mimickit.data.measure import dof_limits, ground_clearance, joint_speeds, limit_violations
from mimickit.data.recipes import RECIPES
from mimickit.data.recipes.recipe import Recipe
from mimickit.data.steps import Retarget

ROOT = Path(__file__).parents[2]
MOTIONS = ROOT / "data" / "motions"
DATASETS = sorted((ROOT / "data" / "datasets").glob("*.yaml"))
# Clips that leave the ground, or stand on boxes, by design.
AIRBORNE = ("backflip", "spinkick", "jump", "hop", "run", "vault", "climb", "spin")


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
def built() -> dict[str, Recipe]:
    """The recipes whose clips were built here and are up to date."""
    manifest = read_manifest(MOTIONS)
    return {r.name: r for r in RECIPES.values() if clip_state(r, MOTIONS, manifest) is ClipState.CURRENT}


@pytest.mark.parametrize("name", RECIPES)
def test_a_built_clip_is_sound(built: dict[str, Recipe], assets: Path, name: str) -> None:
    """On the ground within 2 cm on average, no joint faster than a whip, and limits kept where we solved for joints."""
    if name not in built:
        pytest.skip(f"data/motions/{RECIPES[name].clip} is not built; python -m mimickit.data build --only {name}")
    recipe = built[name]
    clip = read_clip(MOTIONS / recipe.clip, recipe.character, assets)
    ground = ground_clearance(clip.character, clip.motion)
    assert ground.mean_sink < 0.02
    if not any(word in name for word in AIRBORNE):
        assert ground.mean_float < 0.03
    assert max(speeds.max() for speeds in joint_speeds(clip.motion).values()) < 40.0
    solved = any(isinstance(step, Retarget) for step in recipe.all_steps()) and recipe.character != "sword_shield"
    if solved or recipe.character in ("g1", "go2"):
        assert limit_violations(clip.character, clip.motion) == ()
    assert np.isfinite(dof_limits(clip.character)).all()
