"""Going on with a run that was ended: what is finished stays, what is not is done, and the tables come out the same."""

import dataclasses
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
from ci.run.pool import Pool
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
    assert stages_of(three, SECOND) == ["train", "test", "viz", "train", "test", "viz"]


@pytest.mark.parametrize("stage", ["test", "viz"])
def test_a_model_that_is_another_by_now_is_trained_again(three, stage):
    """Before its test it is known by what the training left; after it, by what was read, too."""
    root = kill_in(three, f"{SECOND}:{stage}")
    (root / "runs" / SECOND / "base_e64" / "train" / "model.pt").write_text("[0.25, 1.0]")
    outcome = three.run("--resume", "mine")
    assert outcome.code == 0
    assert "train: run again, its evidence does not hold: model.pt is another" in outcome.printed
    count = 2 if stage == "test" else 3
    assert stages_of(three, SECOND) == [*("train", "test", "viz")[:count], "train", "test", "viz"]


def test_passed_cases_stay_as_they_are(three):
    outcome = three.run("--root-out", "mine")
    assert outcome.code == 0
    count = len(three.calls())
    journals = {path: path.read_bytes() for path in (outcome.root / "runs").glob("*/attempts.json")}
    rows = [{**row, "memory_gb": ""} for row in outcome.rows]  # the journals round that
    assert len(journals) == 3
    again = three.run("--resume", "mine")
    assert again.code == 0
    assert len(three.calls()) == count
    assert {path: path.read_bytes() for path in journals} == journals
    assert [{**row, "memory_gb": ""} for row in again.rows] == rows
    assert again.printed.count("kept, its evidence holds") == 9


def test_the_numbers_of_what_is_kept_are_those_of_its_files(three):
    root = three.run("--root-out", "mine").root
    journal = root / "runs" / FIRST / "attempts.json"
    before = journal.read_text()
    assert before.count('"mean_return": 5.25') == 2
    journal.write_text(before.replace('"mean_return": 5.25', '"mean_return": NaN'))
    outcome = three.run("--resume", "mine")
    assert outcome.code == 0
    assert [row["mean_return"] for row in outcome.rows] == ["5.25"] * 3
    assert journal.read_text() == before


def test_a_case_that_passed_on_a_lower_rung_stays_as_it_is(three):
    outcome = three.run("--root-out", "mine", train_oom_above=20)
    count = len(three.calls())
    before = table(outcome.root, "best_by_case.tsv")
    assert three.run("--resume", "mine").code == 0
    assert len(three.calls()) == count
    assert table(outcome.root, "best_by_case.tsv") == before


@pytest.mark.parametrize(
    ("gone", "again"),
    [
        ("train/model.pt", ["train", "test", "viz"]),
        ("train/log.txt", ["train", "test", "viz"]),
        ("test/test_metrics.json", ["test", "viz"]),
        ("viz/video.mp4", ["viz"]),
    ],
)
def test_a_passed_case_whose_evidence_is_gone_runs_again(three, gone, again):
    outcome = three.run("--root-out", "mine")
    before = table(outcome.root, "best_by_case.tsv")
    count = len(three.calls())
    (outcome.root / "runs" / FIRST / "base_e64" / gone).unlink()
    assert three.run("--resume", "mine").code == 0
    assert [call["stage"] for call in three.calls()[count:]] == again
    assert table(outcome.root, "best_by_case.tsv") == before


def test_a_part_that_was_ended_before_the_stages_forgets_none_of_them(three):
    """Here in the data step, which every part goes through."""
    root = three.run("--root-out", "mine").root
    count = len(three.calls())
    journals = {path: path.read_bytes() for path in (root / "runs").glob("*/attempts.json")}
    ended = three.run("--resume", "mine", "--deadline", "0.5", data_takes=30)
    assert ended.code == 1
    assert {row["final_ok"] for row in ended.rows} == {"0"}
    assert three.run("--resume", "mine", "--deadline", "600").code == 0
    assert len(three.calls()) == count
    assert {path: path.read_bytes() for path in journals} == journals


def test_what_was_done_on_another_device_is_kept(three, monkeypatch):
    given = ("--devices-train", "cuda:0,cuda:1", "--one-device-each", "--profile", "smoke", "--root-out", "mine")
    outcome = three.run(*given)
    assert {row["device"] for row in outcome.rows} == {"cuda:0"}
    before, count = table(outcome.root, "best_by_case.tsv"), len(three.calls())
    real = Pool.take

    def on_the_other(pool, devices, *others):
        share = real(pool, ["cuda:1"], *others)
        return share and dataclasses.replace(share, devices=("cuda:1",))

    monkeypatch.setattr(Pool, "take", on_the_other)
    assert three.run("--resume", "mine").code == 0
    assert len(three.calls()) == count
    assert table(outcome.root, "best_by_case.tsv") == before


def test_a_try_with_other_samples_is_not_kept(three):
    kill_in(three, f"{SECOND}:viz")
    agent = three.repository / "data/agents/ppo_agent.yaml"
    agent.write_text(agent.read_text().replace("steps_per_iter: 8", "steps_per_iter: 4"))
    outcome = three.run("--resume", "mine")
    assert outcome.code == 0
    assert stages_of(three, SECOND) == ["train", "test", "viz"] * 2
    assert {row["case"]: row["samples"] for row in outcome.rows}[SECOND] == str(64 * 4 * 4)


def test_a_try_with_another_agent_file_is_not_kept(three):
    """Its samples are the same."""
    kill_in(three, f"{SECOND}:viz")
    arg_file = three.repository / "args" / f"{SECOND}.txt"
    three.write("data/agents/other_agent.yaml", "agent_name: PPO\nsteps_per_iter: 8\n")
    arg_file.write_text(arg_file.read_text().replace("ppo_agent", "other_agent"))
    outcome = three.run("--resume", "mine")
    assert outcome.code == 0
    assert stages_of(three, SECOND) == ["train", "test", "viz"] * 2
    assert {row["case"]: row["agent_config"] for row in outcome.rows}[SECOND] == "data/agents/other_agent.yaml"


PRIOR = "data/prior.pt"


@pytest.fixture
def without_prior(make_matrix, case_adder):
    """A repository whose case needs a prior that nobody has trained."""
    matrix = make_matrix()
    case_adder(matrix, SECOND)
    agent = matrix.repository / "data/agents/ppo_agent.yaml"
    agent.write_text(agent.read_text() + f"smp_prior_model: {PRIOR}\n")
    return matrix


def test_a_prior_of_the_run_is_used_to_its_end(without_prior):
    """Even when the one that was missing is there by then."""
    matrix = without_prior
    root = kill_in(matrix, f"{SECOND}:viz")
    matrix.write(PRIOR, "from the archive")
    outcome = matrix.run("--resume", "mine")
    assert outcome.code == 0
    assert [call["stage"] for call in matrix.calls()] == ["prior", "train", "test", "viz", "viz"]
    assert {call["options"]["agent_config"][0] for call in matrix.calls()[1:]} == {outcome.row["agent_config"]}
    assert outcome.row["agent_config"] == f"output/train/mine/runs/{SECOND}/prior/ppo_agent.yaml"
    assert outcome.row["note"] == "with a motion prior of 300 iterations, made for this run"
    rows = table(root, "best_by_case.tsv")
    (matrix.repository / PRIOR).unlink()
    assert table(matrix.run("--root-out", "unbroken").root, "best_by_case.tsv") == rows


def test_what_was_trained_with_another_prior_is_not_kept(without_prior):
    matrix = without_prior
    root = kill_in(matrix, f"{SECOND}:viz")
    (root / "runs" / SECOND / "prior" / "prior.pt").unlink()
    assert matrix.run("--resume", "mine").code == 0
    assert [call["stage"] for call in matrix.calls()] == ["prior", "train", "test", "viz"] * 2


def test_the_prior_that_is_there_by_now_is_used_where_the_run_has_none(without_prior):
    matrix = without_prior
    root = kill_in(matrix, f"{SECOND}:viz")
    (root / "runs" / SECOND / "prior" / "prior.pt").unlink()
    matrix.write(PRIOR, "from the archive")
    outcome = matrix.run("--resume", "mine")
    assert outcome.code == 0
    assert [call["stage"] for call in matrix.calls()][4:] == ["train", "test", "viz"]
    assert (outcome.row["agent_config"], outcome.row["note"]) == ("data/agents/ppo_agent.yaml", "")


def test_what_the_reader_said_of_an_earlier_model_is_not_said_of_this_one(three):
    root = kill_in(three, f"{SECOND}:test", faults="model_nan 1\n")
    log = root / "runs" / SECOND / "base_e64" / "checkpoint_train.log"
    log.write_text('$ the reader\n{"tensors": 1, "parameters": 2, "finite": true, "bad": []}\n')
    outcome = three.run("--resume", "mine")
    assert outcome.code == 1
    assert stages_of(three, SECOND) == ["train", "test", "test"]
    assert {row["case"]: row["failure"] for row in outcome.rows}[SECOND] == "divergence"


def stages_of(matrix, case: str) -> list[str]:
    """The stages that the stub was started for, in order."""
    return [call["stage"] for call in matrix.calls() if call["options"]["arg_file"][0] == f"args/{case}.txt"]


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


def test_two_cannot_go_on_at_once(three, monkeypatch):
    monkeypatch.setattr("ci.run.e2e.ROOT_SECONDS", 0.5)
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


def test_a_failed_case_goes_on_at_the_stage_that_failed_and_the_rung_it_was_on(three):
    three.run("--root-out", "mine", train_oom_above=20, test_nan_in=FIRST)
    count = len(three.calls())
    outcome = three.run("--resume", "mine", "--resume-skip-status", "ok")  # by now, 64 would fit
    assert outcome.code == 0
    again = [(call["stage"], call["options"]["num_envs"]) for call in three.calls()[count:]]
    assert again == [("test", ["10"]), ("viz", ["1"])]
    assert {row["case"]: row["num_envs"] for row in outcome.rows}[FIRST] == "16"


def test_a_ladder_that_ended_is_tried_again_on_its_last_rung(three):
    three.run(FIRST, "--root-out", "mine", train_oom_above=8)
    count = len(three.calls())
    outcome = three.run("--resume", "mine", "--resume-skip-status", "ok")
    assert outcome.code == 0
    assert three.calls()[count]["options"]["num_envs"] == ["16"]
    assert outcome.row["num_envs"] == "16"


def test_code_that_changes_while_it_runs_is_red(three, monkeypatch):
    from ci.host import Checkout

    monkeypatch.setattr("ci.run.sweep.checkout", lambda _: Checkout("unknown", True, "1234"))
    outcome = three.run("--root-out", "mine")
    assert outcome.code == 1
    assert [row["final_ok"] for row in outcome.rows] == ["1", "1", "1"]
    assert "the code changed while it ran; at the end it was unknown 1234" in outcome.printed


def test_code_that_nobody_can_name_at_the_end_is_red(three, monkeypatch):
    def refuse(_):
        raise UsageError("git has gone")

    monkeypatch.setattr("ci.run.sweep.checkout", refuse)
    outcome = three.run("--root-out", "mine")
    assert outcome.code == 1
    assert "the code changed while it ran; at the end it was git has gone" in outcome.printed


def test_what_a_stop_ended_counts_as_time(three):
    outcome = three.run("--root-out", "mine", "--deadline", "2", sleep_in=f"{SECOND}:train")
    row = {row["case"]: row for row in outcome.rows}[SECOND]
    assert float(row["seconds"]) > 0.5
    assert row["train_rc"] == "-15"
    assert "go on with: nox -s e2e -- --resume mine" in outcome.printed
