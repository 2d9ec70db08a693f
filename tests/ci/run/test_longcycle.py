"""A probe, a long training, its test and its film; a long training goes on where it was when the run broke."""

import json

import pytest

from ci.errors import UsageError
from tests.ci.run.test_resume import kill_in

CASE = "deepmimic_humanoid_ppo_args"
LONG = ("--profile", "longcycle", "--default-ladder", "32,16")


def options_of(matrix, stage: str) -> list[dict[str, list[str]]]:
    """Of each time the stub was started for a stage, by the folder it wrote into."""
    return [call["options"] for call in matrix.calls() if call["options"]["out_dir"][0].endswith(f"/{stage}")]


def test_a_probe_finds_the_rung_and_the_long_model_is_tested(matrix):
    outcome = matrix.run(*LONG, "--long-max-samples", "500000", train_oom_above=20)
    assert outcome.code == 0
    assert [options["num_envs"] for options in options_of(matrix, "train")] == [["32"], ["16"]]
    (long,) = options_of(matrix, "long")
    assert (long["num_envs"], long["max_samples"]) == (["16"], ["500000"])
    assert "max_seconds" not in long
    for stage in ("test", "viz"):
        (options,) = options_of(matrix, stage)
        assert options["model_file"][0].endswith("/base_e16/long/model.pt")
    row = outcome.row
    assert (row["samples"], row["long_samples"], row["long_ok"], row["long_rc"]) == (
        str(16 * 8 * 4),
        "500000",
        "1",
        "0",
    )
    assert float(row["long_seconds"]) > 0
    assert row["long_log"].endswith("/long.log")
    assert [stage["name"] for stage in outcome.attempts()[-1]["stages"]] == ["train", "long", "test", "viz"]


def test_a_budget_in_hours_ends_it_from_inside(matrix):
    outcome = matrix.run(*LONG, "--long-budget-hours", "2.5")
    assert outcome.code == 0
    (long,) = options_of(matrix, "long")
    assert long["max_seconds"] == ["9000"]
    assert "max_samples" not in long
    assert outcome.row["long_samples"] == "400000"


def test_both_limits_may_be_given(matrix):
    assert matrix.run(*LONG, "--long-budget-hours", "2", "--long-max-samples", "70000").code == 0
    (long,) = options_of(matrix, "long")
    assert (long["max_seconds"], long["max_samples"]) == (["7200"], ["70000"])


def test_a_long_training_goes_on_from_its_checkpoint(matrix):
    root = kill_in(matrix, f"{CASE}:long", *LONG, "--long-max-samples", "500000")
    folder = root / "runs" / CASE / "base_e32" / "long"
    assert (folder / "train_state.pt").exists()
    outcome = matrix.run("--resume", "mine")
    assert outcome.code == 0
    first, second = options_of(matrix, "long")
    assert "resume" not in first
    assert second["resume"] == ["true"]
    assert (first["max_samples"], second["max_samples"]) == (["500000"], ["500000"])
    assert len(options_of(matrix, "train")) == 1
    assert not folder.with_name("long.earlier1").exists()
    assert len((folder.with_suffix(".log")).read_text().split("$ ")) == 3  # both parts are in one log


def test_a_long_training_that_had_no_checkpoint_starts_again(matrix):
    root = kill_in(matrix, f"{CASE}:long", *LONG)
    folder = root / "runs" / CASE / "base_e32" / "long"
    (folder / "train_state.pt").unlink()
    assert matrix.run("--resume", "mine").code == 0
    assert "resume" not in options_of(matrix, "long")[1]
    assert folder.with_name("long.earlier1").is_dir()


def test_a_long_training_that_was_too_short_fails(matrix):
    outcome = matrix.run(*LONG, "--long-max-samples", "500000", train_few_samples_in="long")
    assert outcome.code == 1
    assert (outcome.row["train_ok"], outcome.row["long_ok"], outcome.row["test_rc"]) == ("1", "0", "")
    assert "asked for 500000" in outcome.row["note"]
    assert outcome.row["failure"] == "no_evidence"


def test_a_long_model_that_is_not_finite_fails(matrix):
    outcome = matrix.run(*LONG, model_nan_in="long")
    assert outcome.code == 1
    assert (outcome.row["train_ok"], outcome.row["long_ok"]) == ("1", "0")
    assert outcome.failure("long")["kind"] == "divergence"


def test_a_case_that_does_not_train_has_no_long_training(matrix, case_adder):
    case_adder(matrix, "view_motion_humanoid_args", agent=None)
    outcome = matrix.run(*LONG, "view_motion_humanoid_args")
    assert outcome.code == 0
    assert options_of(matrix, "long") == []
    plan = json.loads((outcome.root / "plan.json").read_text())
    assert plan["cases"][0]["stages"] == ["train", "test", "viz"]


def test_long_options_belong_to_a_long_profile(matrix):
    with pytest.raises(UsageError, match="--long-budget-hours needs a profile with a long training"):
        matrix.run("--long-budget-hours", "1")
