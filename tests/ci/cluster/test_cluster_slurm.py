"""``ci e2e --executor slurm``, with five programs in place of Slurm's own."""

import argparse
import dataclasses
import io
import json
import re
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from ci.cluster import command
from ci.cluster import slurm as ways
from ci.cluster.executors import EXECUTORS
from ci.cluster.submission import Answer
from ci.errors import UsageError
from ci.plan.plan import read_plan
from ci.run import e2e
from ci.run.progress import PlainDisplay

REPOSITORY = Path(__file__).resolve().parents[3]
WORDS = ("--slurm", "partition=gpu,gpus-per-node=1,cpus-per-task=16,mem=64G", "--slurm", "exclude=n[1,3]")


def header(folder: Path, number: int = 4242) -> dict[str, str]:
    return json.loads((folder / f"{number}.json").read_text())["header"]


def calls(folder: Path, program: str) -> list[list[str]]:
    lines = [json.loads(line) for line in (folder / "calls.jsonl").read_text().splitlines()]
    return [words[1:] for words in lines if words[0] == program]


def until(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_what_is_asked_of_slurm_is_what_was_asked_for(cluster, slurm):
    parts = cluster.run(*WORDS, executor="slurm")
    assert (parts.code, parts.lines[-1]) == (0, "all_pass True")
    assert len(parts.rows) == 3
    jobs = cluster.repository / "output" / "cluster" / "night" / "jobs"
    assert header(slurm) == {
        "partition": "gpu",
        "gpus-per-node": "1",
        "cpus-per-task": "16",
        "mem": "64G",
        "exclude": "n[1,3]",
        "array": "0-1%2",
        "nodes": "1",
        # Two cases at all their limits are 250 minutes; 10 more to end in order.
        "time": "260",
        "signal": "USR2@90",
        "no-requeue": "",
        "job-name": "night",
        "wckey": "submitit",
        "open-mode": "append",
        "output": f"{jobs}/%A_%a_0_log.out",
    }
    (step,) = (line for line in (slurm / "4242.sh").read_text().splitlines() if line.startswith("srun "))
    assert " --cpus-per-task=16 " in step
    assert [(job["job"], job["exit_code"]) for job in parts.jobs] == [("4242_0", 0), ("4242_1", 0)]
    assert {job["SLURM_ARRAY_TASK_ID"]: job["shard"] for job in cluster.started()} == {"0": "1/2", "1": "2/2"}
    assert len(calls(slurm, "sbatch")) == 1
    assert not calls(slurm, "scancel")


def test_no_more_is_asked_than_was_asked_for(cluster, slurm):
    parts = cluster.run("add_a_args", "--deadline", "600", executor="slurm")
    assert parts.code == 0
    assert not {"partition", "gpus-per-node", "cpus-per-task", "mem", "array"} & set(header(slurm))
    assert header(slurm)["time"] == "20"  # the deadline, and 10 minutes to end
    assert "--cpus-per-task" not in (slurm / "4242.sh").read_text()
    assert parts.jobs[0]["job"] == "4242"


def test_a_word_takes_the_place_of_submitits_own(cluster, slurm):
    assert cluster.run("add_a_args", "--slurm", "wckey=mine,exclusive", executor="slurm").code == 0
    assert header(slurm)["wckey"] == "mine"
    assert header(slurm)["exclusive"] == ""


def test_a_machine_that_fails_before_the_shard_began_costs_nothing(cluster, slurm):
    cluster.plan_for("die_early 2/2")
    parts = cluster.run(executor="slurm")
    assert (parts.code, parts.lines[-1]) == (0, "all_pass True")
    assert parts.said("shard 2/2  job 4242_1", "NODE_FAIL")
    assert parts.said("shard 2/2: lost before it began (NODE_FAIL): submitted once more")
    assert parts.said("shard 2/2: job 4242_1 was lost (NODE_FAIL) before the shard began; submitted again as job 4243")
    assert parts.jobs[1]["lost"] == [{"job": "4242_1", "state": "NODE_FAIL"}]
    assert "array" not in header(slurm, 4243)
    assert len(calls(slurm, "sbatch")) == 2


def test_a_machine_that_fails_later_is_red(cluster, slurm):
    cluster.plan_for("die_late 2/2", stage_takes=0.5)
    parts = cluster.run(executor="slurm")
    assert (parts.code, parts.lines[-1]) == (1, "all_pass False")
    assert parts.said("shard 2/2", "(NODE_FAIL), after the shard began")
    assert len(calls(slurm, "sbatch")) == 1


def test_a_failing_job_is_not_repeated(cluster, slurm):
    cluster.plan_for("refuse 2/2")
    parts = cluster.run(executor="slurm")
    assert (parts.code, parts.lines[-1]) == (1, "all_pass False")
    assert parts.said("shard 2/2", "exit code 2")
    assert len(calls(slurm, "sbatch")) == 1


def test_the_minutes_in_the_documents_are_those_that_are_asked_for(slurm, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "PARENT", tmp_path)
    rows = re.findall(r"^\| (.*) \| (\d+) \| (\d+) \|$", (REPOSITORY / "docs" / "slurm.md").read_text(), re.MULTILINE)
    assert len(rows) == 4
    for words, jobs, minutes in rows:
        given = words.strip("`").split() if words.startswith("`") else []
        assert f"{jobs} job(s) of at most {minutes} min" in refused(["--profile", "nightly", *given])


def refused(words: list[str]) -> str:
    """What is said of a run of this repository before sbatch refuses it."""
    words = ["--executor", "slurm", "--slurm", "partition=nowhere", "--root-out", "documented", *words]
    parser = argparse.ArgumentParser()
    e2e.add_arguments(parser)
    stream = io.StringIO()
    with pytest.raises(UsageError, match="nowhere"):
        command.run(parser.parse_args(words), REPOSITORY, (), PlainDisplay(stream))
    return stream.getvalue()


def test_what_sbatch_refuses_is_told_and_leaves_nothing(cluster, slurm):
    with pytest.raises(UsageError, match="invalid partition specified: nowhere"):
        cluster.run("--slurm", "partition=nowhere", executor="slurm")
    assert not list((cluster.repository / "output" / "cluster").iterdir())
    assert cluster.run(executor="slurm").code == 0  # under the same name


def test_without_slurm_it_says_what_is_missing(cluster, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="there is no sbatch, srun, squeue, scancel here"):
        cluster.run(executor="slurm")


@pytest.mark.parametrize(("words", "noted"), [((), True), (("--slurm", "gres=gpu:1"), False)])
def test_a_plan_for_gpus_without_any_is_noted(cluster, slurm, words, noted):
    cluster.given = ("--engine-config", "newton_engine.yaml", "--profile", "pr")
    cluster.plan_for("refuse all")
    note = "note: the plan is for a GPU, and --slurm asks for none (gpus-per-node=1)"
    assert (note in cluster.run(*words, executor="slurm").lines) == noted


@pytest.mark.parametrize(
    ("given", "devices"),
    [
        (("--engine-config", "mujoco_engine.yaml", "--profile", "pr"), ("cpu", "cpu")),
        (("--profile", "pr"), ("cuda", "cuda")),
        (("--profile", "pr", "--devices-train", "cpu"), ("cpu", "cpu")),
        (("--profile", "smoke", "--devices-train", "all", "--devices-nontrainable", "cpu"), ("cuda", "cpu")),
    ],
)
def test_the_plan_is_for_the_devices_that_the_jobs_will_have(cluster, slurm, given, devices):
    cluster.given = given
    cluster.plan_for("refuse all")
    cluster.run(executor="slurm")
    plan = read_plan(cluster.repository / "output" / "cluster" / "night" / "plan.json")
    assert (plan.device, plan.device_nontrainable) == devices


def test_ctrl_c_cancels_jobs_that_run_and_jobs_that_wait(cluster, slurm, tmp_path):
    cluster.plan_for(sleep_in="amp_b_args:train:64")
    runner = cluster.start("amp_b_args", "add_a_args", executor="slurm", poll_seconds=0.3, result_seconds=0.6)
    try:
        until(lambda: (slurm / "4242_0.pid").exists() and (cluster.repository / "asleep").exists())
        runner.send_signal(signal.SIGINT)
        printed, _ = runner.communicate(timeout=40)
    finally:
        runner.kill()
    assert runner.returncode == 130
    assert "ending, by SIGINT" in printed
    assert printed.splitlines()[-1] == "all_pass False"
    (cancelled,) = calls(slurm, "scancel")
    states = {path.stem: path.read_text() for path in slurm.glob("*.state")}
    assert {job for job, state in states.items() if state == "CANCELLED"} == set(cancelled)
    until(lambda: not [path for path in slurm.glob("*.state") if path.read_text() == "RUNNING"])


def test_jobs_that_wait_are_cancelled_and_never_begin(cluster, slurm):
    (slurm / "hold").touch()
    runner = cluster.start(executor="slurm", poll_seconds=0.3, result_seconds=0.6)
    try:
        until(lambda: len(calls(slurm, "sacct")) > 1 if (slurm / "calls.jsonl").exists() else False)
        runner.send_signal(signal.SIGTERM)
        printed, _ = runner.communicate(timeout=40)
    finally:
        runner.kill()
        (slurm / "hold").unlink()
    assert runner.returncode == 143
    assert calls(slurm, "scancel") == [["4242_0", "4242_1"]]
    assert ": PENDING" in printed
    assert ": CANCELLED" in printed
    assert not cluster.started()


def waiting(folder: Path, **states: str) -> list[SimpleNamespace]:
    """Jobs of which the programs know the states, and nobody is at work."""
    for job, state in states.items():
        (folder / f"{job[1:]}.state").write_text(state)
    return [SimpleNamespace(job_id=job[1:]) for job in states]


@pytest.mark.parametrize("accounting", [True, False])
@pytest.mark.parametrize(
    ("said", "reasons"),
    [
        ("PartitionTimeLimit", {"7_1": "PartitionTimeLimit"}),
        (
            "Nodes required for job are DOWN, DRAINED|or reserved ",
            {"7_1": "Nodes required for job are DOWN, DRAINED|or reserved"},
        ),
        ("None", {}),
        ("", {}),
    ],
)
def test_why_a_job_waits_is_asked_for(slurm, accounting, said, reasons):
    if not accounting:
        (slurm / "no_accounting").touch()
    (slurm / "reason").write_text(said)
    answer = ways.ask(waiting(slurm, _7_0="RUNNING", _7_1="PENDING"))
    assert answer == Answer({"7_0": "RUNNING", "7_1": "PENDING"}, reasons=reasons)


def test_the_queue_is_not_asked_why_nobody_waits(slurm):
    assert ways.ask(waiting(slurm, _7="RUNNING")) == Answer({"7": "RUNNING"})
    assert not calls(slurm, "squeue")


def test_a_queue_that_is_silent_leaves_the_states_of_accounting(slurm):
    (slurm / "silent").touch()
    answer = ways.ask(waiting(slurm, _7="PENDING"))
    assert (answer.states, answer.reasons) == ({"7": "PENDING"}, {})
    assert answer.complaint.startswith("squeue: slurm_load_jobs error")


@pytest.mark.parametrize(
    ("printed", "state", "complaint"),
    [
        ("Welcome to the cluster\n7|RUNNING|None", "RUNNING", ""),
        ("7|PENDING|", "PENDING", ""),
        ("7|RUNNING", "UNKNOWN", "squeue: '7|RUNNING' is not understood"),
        ("7||None", "UNKNOWN", "squeue: '7||None' is not understood"),
        ("7|running|None", "UNKNOWN", "squeue: '7|running|None' is not understood"),
        ("8|RUNNING|None", "GONE", ""),
    ],
)
def test_a_row_that_is_not_understood_is_no_job_that_is_gone(slurm, printed, state, complaint):
    (slurm / "no_accounting").touch()
    (slurm / "bin" / "squeue").write_text(f"#!/bin/sh\ncat <<'END'\n{printed}\nEND\n")
    answer = ways.ask([SimpleNamespace(job_id="7")])
    assert (answer.states, answer.complaint) == ({"7": state}, complaint)


def test_a_job_that_waits_says_why_and_a_cancel_that_failed_is_repeated(cluster, slurm):
    for name in ("hold", "busy"):
        (slurm / name).touch()
    (slurm / "reason").write_text("PartitionTimeLimit")
    path = cluster.repository / "output" / "cluster" / "night" / "jobs.json"
    runner = cluster.start("add_a_args", executor="slurm", poll_seconds=0.3, result_seconds=0.6)
    try:
        until(lambda: path.exists() and json.loads(path.read_text())["shards"][0]["reason"] == "PartitionTimeLimit")
        runner.send_signal(signal.SIGINT)
        until(lambda: len(calls(slurm, "scancel")) > 1)
        (slurm / "busy").unlink()
        printed, _ = runner.communicate(timeout=40)
    finally:
        runner.kill()
        (slurm / "hold").unlink()
    assert runner.returncode == 130
    assert printed.count(": PENDING (PartitionTimeLimit)\n") == 1
    told = [line for line in printed.splitlines() if line.startswith("  cancelling: ")]
    busy = "scancel: scancel: error: Kill job error on job id 4242_0: Socket timed out on send/recv operation"
    assert told == [f"  cancelling: {busy}", "  cancelling: done"]


def test_without_accounting_the_queue_is_asked(cluster, slurm):
    (slurm / "no_accounting").touch()
    cluster.plan_for("die_early 2/2")
    parts = cluster.run(executor="slurm")
    assert (parts.code, parts.lines[-1]) == (1, "all_pass False")  # nobody knows that it was the machine
    assert parts.said("shard 2/2", "RUNNING")
    assert parts.said("shard 2/2", "ended without a result (GONE), before the shard began")
    assert parts.said("shard 1/2", "passed")


def test_while_slurm_is_silent_nothing_is_given_up(cluster, slurm, monkeypatch):
    for name in ("no_accounting", "silent"):
        (slurm / name).touch()
    asked = []

    def ask(jobs):
        asked.append(ways.ask(jobs))
        if len(asked) == 3:
            for name in ("no_accounting", "silent"):
                (slurm / name).unlink()
        return asked[-1]

    monkeypatch.setitem(EXECUTORS, "slurm", dataclasses.replace(EXECUTORS["slurm"], ask=ask))
    parts = cluster.run("add_a_args", executor="slurm")
    assert (parts.code, parts.lines[-1]) == (0, "all_pass True")
    silent = [line for line in parts.lines if "Unable to contact slurm controller" in line]
    assert silent == [
        "  asking about the jobs: squeue: slurm_load_jobs error: Unable to contact slurm controller (connect failure)"
    ]
    assert "  asking about the jobs: all is answered again" in parts.lines


def test_inside_a_job_nothing_of_it_is_passed_on(cluster, slurm, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "1000")
    assert cluster.run("add_a_args", executor="slurm").code == 0
    assert json.loads((slurm / "4242.json").read_text())["inherited"] == []


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ("7", ["7"]),
        ("7_3", ["7_3"]),
        ("7_[3]", ["7_3"]),
        ("7_[0,2-4%2]", ["7_0", "7_2", "7_3", "7_4"]),
        ("7_[0-1,9-10]", ["7_0", "7_1", "7_9", "7_10"]),
    ],
)
def test_ids_of_jobs_that_wait_are_ranges(ids, expected):
    assert list(ways._expanded(ids)) == expected
