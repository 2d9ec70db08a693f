"""A plan is read as it was written, tells every difference that matters, and is refused when it was tampered with."""

import dataclasses
import json

import pytest

from ci.plan.plan import Plan, PlannedCase, read_plan, write_plan
from ci.profiles import PROFILES


@pytest.fixture
def plan():
    cases = (
        PlannedCase("amp_args", "trainable", ("train", "long", "test", "viz"), 12.5, True),
        PlannedCase("view_args", "nontrainable", ("train", "test", "viz"), 3.0, False),
    )
    return Plan(
        settings=PROFILES["longcycle"],
        engine_config="data/engines/newton_engine.yaml",
        engine="newton",
        device="cuda",
        device_nontrainable="cpu",
        seed=7,
        commit="c" * 40,
        changes="",
        cases=cases,
        shards=(("amp_args",), ("view_args",)),
        why="all",
        nonce="tonight",
    )


def test_it_comes_back_as_it_was(plan, tmp_path):
    write_plan(tmp_path / "plan.json", plan)
    read = read_plan(tmp_path / "plan.json")
    assert read == plan
    assert read.id == plan.id
    assert (read.profile, read.dirty) == ("longcycle", False)
    assert (read.device_of("trainable"), read.device_of("nontrainable")) == ("cuda", "cpu")
    assert read.case("view_args").stages == ("train", "test", "viz")


@pytest.mark.parametrize(
    "change",
    [
        {"settings": dataclasses.replace(PROFILES["longcycle"], test_episodes=1)},
        {"settings": dataclasses.replace(PROFILES["longcycle"], default_ladder=(1,))},
        {"settings": dataclasses.replace(PROFILES["longcycle"], long_budget_hours=2.0)},
        {"engine_config": "data/engines/other.yaml"},
        {"engine": "mujoco"},
        {"device": "cpu"},
        {"device_nontrainable": "cuda"},
        {"seed": 8},
        {"commit": "d" * 40},
        {"changes": "1234"},
        {"nonce": "yesterday"},
        {"shards": (("amp_args", "view_args"),)},
        {"cases": (PlannedCase("amp_args", "trainable", ("train", "test", "viz"), 12.5, True),)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_decides_a_result_is_in_the_id(plan, change):
    assert dataclasses.replace(plan, **change).id != plan.id


def test_what_decides_nothing_is_not(plan):
    cases = tuple(dataclasses.replace(case, seconds=1.0, measured=False) for case in plan.cases)
    assert dataclasses.replace(plan, why="because", cases=cases).id == plan.id


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content.update(format=1), "'format' is 1, expected 2"),
        (lambda content: content.update(seed=8), "changed by hand"),
        (lambda content: content["settings"].update(test_episodes=1), "changed by hand"),
        (lambda content: content["settings"].update(colour="red"), "not a plan: not a profile of this version"),
        (lambda content: content.pop("engine"), "not a plan: 'engine'"),
        (lambda content: content.update(seed=True), "'seed' is True"),
        (lambda content: content["cases"].clear(), "it has no case"),
        (lambda content: content["shards"].append([]), "a shard is empty"),
        (lambda content: content["shards"].append(["amp_args"]), "do not hold each of its cases once"),
        (lambda content: content["cases"].append(content["cases"][0]), "it names a case twice"),
        (lambda content: content["cases"][0].update(stages=[]), "a case has no stage"),
        (lambda content: content["cases"][0].update(stages="train"), "not a plan: 'stages' is 'train'"),
    ],
)
def test_what_is_no_plan_is_named(plan, tmp_path, change, words):
    path = tmp_path / "plan.json"
    write_plan(path, plan)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=words):
        read_plan(path)
