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


@pytest.mark.parametrize(
    ("limits", "said", "words"),
    [
        (("hours",), {"wall_s": 7120.0}, "trained for 7120 s, asked for 7200"),
        (("hours",), {"ended_by": "max_samples"}, "ended_by is 'max_samples', asked for max_seconds"),
        (("samples",), {"ended_by": "max_seconds"}, "ended_by is 'max_seconds', asked for max_samples"),
        (("hours", "samples"), {"samples": 69_999}, "trained on 69999 samples, asked for 70000"),
        (("hours", "samples"), {"ended_by": "max_seconds"}, "trained for 12.5 s, asked for 7200"),
        (("hours", "samples"), {"ended_by": "max_seconds", "wall_s": 7200.5, "samples": 69_999}, None),
        (("hours", "samples"), {"ended_by": "signal", "interrupted": 15}, "interrupted is 15, asked for 0"),
        (("hours",), {"num_envs": 16}, "num_envs is 16, asked for 32"),
    ],
)
def test_a_long_training_is_held_to_the_limit_that_ended_it(matrix, limits, said, words):
    given = {"hours": ("--long-budget-hours", "2"), "samples": ("--long-max-samples", "70000")}
    options = [word for limit in limits for word in given[limit]]
    outcome = matrix.run(*LONG, *options, says_in_long=json.dumps(said))
    assert outcome.code == (words is not None)
    assert words is None or words in outcome.failure("long")["message"]


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


def test_a_long_training_that_lost_its_process_group_goes_on_from_its_checkpoint(matrix):
    flag = matrix.repository / "once"
    outcome = matrix.run(*LONG, "--long-max-samples", "500000", long_group_lost=flag)
    assert outcome.code == 0
    first, second = options_of(matrix, "long")
    assert ("resume" in first, second["resume"], second["max_samples"]) == (False, ["true"], ["500000"])
    folder = outcome.root / "runs" / CASE / "base_e32" / "long"
    assert (folder / "train_state.pt").exists()
    assert json.loads((folder / "error.earlier1.json").read_text())["kind"] == "process_group"
    assert not (folder / "error.json").exists()
    assert not folder.with_name("long.earlier1").exists()
    (repeated,) = outcome.attempts()[-1]["repeated"]
    assert repeated["log"].endswith("/long.earlier1.log")
    assert "process 1 is gone" in (matrix.repository / repeated["log"]).read_text()
    assert "process 1 is gone" not in folder.with_suffix(".log").read_text()
    assert outcome.row["note"] == "long was repeated after process_group"


def test_what_an_earlier_part_said_of_its_end_is_not_said_of_this_one(matrix):
    root = kill_in(matrix, f"{CASE}:long", *LONG)
    folder = root / "runs" / CASE / "base_e32" / "long"
    (folder / "error.json").write_text(json.dumps({"kind": "disk_full", "message": "no space left", "exit_code": 8}))
    outcome = matrix.run("--resume", "mine", train_killed=1)
    assert outcome.code == 1
    assert (outcome.row["failure"], outcome.row["long_rc"]) == ("signal", "-9")
    assert json.loads((folder / "error.earlier1.json").read_text())["kind"] == "disk_full"


def test_an_error_of_an_earlier_part_does_not_fail_one_that_succeeds(matrix):
    root = kill_in(matrix, f"{CASE}:long", *LONG)
    folder = root / "runs" / CASE / "base_e32" / "long"
    (folder / "error.json").write_text(json.dumps({"kind": "disk_full", "message": "no space left", "exit_code": 8}))
    assert matrix.run("--resume", "mine").code == 0


def test_the_summary_of_an_earlier_part_proves_nothing_about_this_one(matrix):
    root = kill_in(matrix, f"{CASE}:long", *LONG, "--long-max-samples", "1024")
    folder = root / "runs" / CASE / "base_e32" / "long"
    probe = json.loads((folder.with_name("train") / "train_summary.json").read_text())
    assert (probe["samples"], probe["ended_by"]) == (1024, "max_samples")
    (folder / "train_summary.json").write_text(json.dumps(probe))
    outcome = matrix.run("--resume", "mine", no_summary_in="long")
    assert outcome.code == 1
    assert outcome.failure("long")["message"] == "train_summary.json was not written"


def test_the_log_of_an_earlier_part_does_not_class_this_one(matrix):
    root = kill_in(matrix, f"{CASE}:long", *LONG)
    with (root / "runs" / CASE / "base_e32" / "long.log").open("a") as log:
        log.write("RuntimeError: NCCL error: unhandled system error\n")
    outcome = matrix.run("--resume", "mine", silent_exit_in="long")
    assert outcome.code == 1
    assert outcome.row["failure"] == "unexpected"
    assert outcome.row["repeats"] == "0"


def test_a_probe_with_another_model_by_now_is_run_again_and_all_that_follows(matrix):
    root = kill_in(matrix, f"{CASE}:viz", *LONG)
    (root / "runs" / CASE / "base_e32" / "train" / "model.pt").write_text("[0.25, 1.0]")
    assert matrix.run("--resume", "mine").code == 0
    assert [len(options_of(matrix, stage)) for stage in ("train", "long", "test", "viz")] == [2, 2, 2, 2]


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
