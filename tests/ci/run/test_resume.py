"""Going on with a run that was ended: what is finished stays, what is not is done, and the tables come out the same."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ci.errors import UsageError
from tests.ci.run.test_e2e_run import GIVEN, RUNNER

FIRST, SECOND, THIRD = "amp_humanoid_args", "deepmimic_humanoid_ppo_args", "view_motion_humanoid_args"
# What no two runs have in common.
VARYING = ("seconds", "memory_gb")


@pytest.fixture
def three(make_matrix, case_adder):
    """A repository with three cases."""
    matrix = make_matrix()
    case_adder(matrix, FIRST)
    case_adder(matrix, SECOND)
    case_adder(matrix, THIRD, agent=None)
    return matrix


def table(root: Path, name: str) -> list[list[str]]:
    """A TSV without what varies, and without the root's name."""
    rows = [line.split("\t") for line in (root / name).read_text().replace(root.name, "ROOT").splitlines()]
    keep = [index for index, column in enumerate(rows[0]) if not column.endswith(VARYING)]
    return [[row[index] for index in keep] for row in rows]


def kill_in(matrix, place: str, *arguments: str, name: str = "mine", faults: str = "") -> Path:
    """Start a run, and SIGKILL it once the stub sleeps in CASE:STAGE."""
    matrix.write("faults", f"sleep_in {place}\n{faults}")
    asleep = matrix.repository / "asleep"
    asleep.unlink(missing_ok=True)
    stub = str(Path(__file__).parents[1] / "stub_trainer.py")
    command = [sys.executable, "-c", RUNNER, str(matrix.repository), stub, *arguments]
    if "--resume" not in arguments:
        command += [*GIVEN, "--root-out", name]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    runner = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60.0
    while not asleep.exists():
        assert time.monotonic() < deadline
        assert runner.poll() is None, "it ended by itself"
        time.sleep(0.02)
    runner.kill()
    assert runner.wait() == -signal.SIGKILL
    return matrix.repository / "output" / "train" / name


@pytest.mark.parametrize("stage", ["train", "test", "viz"])
def test_a_killed_run_goes_on_and_ends_as_an_unbroken_one(three, stage):
    root = kill_in(three, f"{SECOND}:{stage}")
    before = [(call["options"]["arg_file"][0], call["stage"]) for call in three.calls()]
    outcome = three.run("--resume", "mine")
    assert outcome.code == 0
    assert outcome.root == root
    calls = [(call["options"]["arg_file"][0], call["stage"]) for call in three.calls()]
    assert sorted(calls) == sorted([*calls_of_all(), (f"args/{SECOND}.txt", stage)])
    again = calls[len(before) :]
    assert not set(again) & (set(before) - {(f"args/{SECOND}.txt", stage)})
    unbroken = three.run("--root-out", "unbroken")
    assert unbroken.code == 0
    for name in ("best_by_case.tsv", "case_manifest.tsv"):
        assert table(root, name) == table(unbroken.root, name)
    assert json.loads((root / "run.json").read_text())["ended"] == "done"
    assert len(json.loads((root / "run.json").read_text())["parts"]) == 2


def calls_of_all() -> list[tuple[str, str]]:
    return [(f"args/{case}.txt", stage) for case in (FIRST, SECOND, THIRD) for stage in ("train", "test", "viz")]


def test_a_run_may_be_killed_twice(three):
    kill_in(three, f"{FIRST}:test")
    kill_in(three, f"{SECOND}:viz", "--resume", "mine")
    outcome = three.run("--resume", "mine")
    assert outcome.code == 0
    calls = sorted((call["options"]["arg_file"][0], call["stage"]) for call in three.calls())
    assert calls == sorted([*calls_of_all(), (f"args/{FIRST}.txt", "test"), (f"args/{SECOND}.txt", "viz")])


def test_what_a_killed_stage_left_is_not_taken_for_a_result(three):
    """The killed test had written everything, metrics and print-outs; the next one writes nothing."""
    root = kill_in(three, f"{SECOND}:test")
    out_dir = root / "runs" / SECOND / "base_e64" / "test"
    shutil.copy(root / "runs" / FIRST / "base_e64" / "test" / "test_metrics.json", out_dir)
    shutil.copy(root / "runs" / FIRST / "base_e64" / "test.log", out_dir.with_suffix(".log"))
    outcome = three.run("--resume", "mine", test_silent=1)
    assert outcome.code == 1
    assert {row["case"]: row["failure"] for row in outcome.rows}[SECOND] == "no_evidence"
    assert (out_dir.with_name("test.earlier1") / "test_metrics.json").exists()


@pytest.mark.parametrize("spoil", ["model.pt", "train_summary.json", "log.txt"])
def test_a_stage_whose_evidence_is_gone_runs_again(three, spoil):
    root = kill_in(three, f"{SECOND}:viz")
    (root / "runs" / SECOND / "base_e64" / "train" / spoil).unlink()
    outcome = three.run("--resume", "mine")
    assert outcome.code == 0
    stages = [call["stage"] for call in three.calls() if SECOND in call["options"]["arg_file"][0]]
    assert stages == ["train", "test", "viz", "train", "test", "viz"]


def test_a_passed_case_is_looked_at_by_the_gate_again(three):
    root = kill_in(three, f"{SECOND}:train")
    journal = root / "runs" / FIRST / "attempts.json"
    content = json.loads(journal.read_text())
    content["attempts"][0]["stages"][1]["facts"]["mean_return"] = float("nan")
    journal.write_text(json.dumps(content))
    outcome = three.run("--resume", "mine")
    assert outcome.code == 1
    assert "non_finite" in outcome.printed


def test_rungs_that_did_not_fit_are_not_tried_again(three):
    root = kill_in(three, f"{FIRST}:train:32", faults="train_oom_above 20\n")
    outcome = three.run("--resume", "mine", train_oom_above=20)
    assert outcome.code == 0
    calls = [call["options"] for call in three.calls() if call["stage"] == "train"]
    tried = [options["num_envs"][0] for options in calls if FIRST in options["arg_file"][0]]
    assert tried == ["64", "32", "32", "16"]
    assert [attempt["num_envs"] for attempt in outcome.attempts(FIRST)] == [64, 32, 16]
    note = {row["case"]: row["note"] for row in outcome.rows}[FIRST]
    assert note == ("passed after out_of_memory with 64 environments (base); out_of_memory with 32 environments (base)")
    assert (root / "runs" / FIRST / "base_e32" / "train.earlier1").is_dir()


@pytest.mark.parametrize(
    ("status", "again"),
    [("all", []), ("ok", [(SECOND, "test"), (SECOND, "viz")]), ("none", None)],
)
def test_what_is_left_alone(three, status, again):
    failed = three.run("--root-out", "mine", test_nan_in=SECOND)
    assert failed.code == 1
    count = len(three.calls())
    outcome = three.run("--resume", "mine", "--resume-skip-status", status)
    assert outcome.code == (1 if status == "all" else 0)
    calls = [(Path(call["options"]["arg_file"][0]).stem, call["stage"]) for call in three.calls()[count:]]
    if again is None:
        again = [(Path(name).stem, stage) for name, stage in calls_of_all()]
        assert (outcome.root / "runs" / f"{FIRST}.earlier1").is_dir()
    assert sorted(calls) == sorted(again)


def test_retry_failed_is_a_run_of_its_own_of_what_failed(three):
    failed = three.run("--root-out", "mine", "--rand-seed", "5", "--train-iters", "3", test_nan_in=SECOND)
    tables = {name: (failed.root / name).read_bytes() for name in ("best_by_case.tsv", "run.json", "report.html")}
    count = len(three.calls())
    outcome = three.run("--retry-failed", "mine", "--root-out", "retried")
    assert outcome.code == 0
    assert [row["case"] for row in outcome.rows] == [SECOND]
    assert outcome.row["seed"] == "5"
    assert three.calls()[count]["options"]["max_samples"] == [str(64 * 8 * 3)]
    assert {name: (failed.root / name).read_bytes() for name in tables} == tables
    with pytest.raises(UsageError, match="every case passed in retried"):
        three.run("--retry-failed", "retried")


def test_options_of_the_earlier_run_are_not_given_again(three):
    kill_in(three, f"{FIRST}:train")
    with pytest.raises(UsageError, match="--train-iters cannot be given beside it"):
        three.run("--resume", "mine", "--train-iters", "3")
    with pytest.raises(UsageError, match="other is no root of a run"):
        three.run("--resume", "other")


def test_other_code_cannot_go_on(three, monkeypatch):
    root = kill_in(three, f"{FIRST}:train")
    content = json.loads((root / "run.json").read_text())
    content["commit"] = "f" * 40
    (root / "run.json").write_text(json.dumps(content))
    with pytest.raises(UsageError, match="started with commit ffffffffffff, this is unknown"):
        three.run("--resume", "mine")


def test_two_cannot_go_on_at_once(three):
    root = kill_in(three, f"{FIRST}:train")
    holder = f"""
import time
from pathlib import Path
from ci.records.roots import locked
with locked(Path({str(root)!r})):
    print("held", flush=True)
    time.sleep(60)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    process = subprocess.Popen([sys.executable, "-c", holder], stdout=subprocess.PIPE, env=environment)
    try:
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(UsageError, match="another process is at work in"):
            three.run("--resume", "mine")
    finally:
        process.kill()
        process.wait()


def test_a_journal_that_cannot_be_read_is_named(three):
    root = kill_in(three, f"{SECOND}:train")
    (root / "runs" / FIRST / "attempts.json").write_text("{")
    with pytest.raises(UsageError, match="attempts.json is not JSON"):
        three.run("--resume", "mine")


def test_a_deadline_ends_the_run_red_and_resumable(three):
    outcome = three.run("--root-out", "mine", "--deadline", "2", sleep_in=f"{SECOND}:train")
    assert outcome.code == 1
    assert outcome.printed.rstrip().endswith("all_pass False")
    assert {row["case"]: row["failure"] for row in outcome.rows}[SECOND] == "stopped"
    assert json.loads((outcome.root / "run.json").read_text())["ended"] == "ended by its deadline of 2 s"
    again = three.run("--resume", "mine", "--deadline", "600")
    assert again.code == 0
