"""``ci e2e --executor local``: a run in parts, whose jobs are processes of this machine."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ci import __main__ as entry
from ci import options
from ci.cluster import command
from ci.cluster.executors import EXECUTORS
from ci.errors import UsageError
from ci.plan import command as matrix

# What depends on where and when a case ran.
PLACES = ("out_dir", "train_out_dir", "train_log", "test_log", "viz_log")
TIMES = ("train_seconds", "test_seconds", "viz_seconds", "seconds", "memory_gb")


def without(row: dict[str, str]) -> dict[str, str]:
    return {column: cell for column, cell in row.items() if column not in (*PLACES, *TIMES)}


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def processes_of(repository: Path) -> list[str]:
    """Command lines that name the repository."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if int(path.parent.name) != os.getpid() and any(str(repository) in word for word in words):
            found.append(" ".join(words))
    return found


def test_two_shards_pass_as_one_run_does(cluster, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,1")
    parts = cluster.run()
    assert (parts.code, parts.lines[-1]) == (0, "all_pass True")
    whole = cluster.matrix.run()
    assert [without(row) for row in parts.rows] == [without(row) for row in whole.rows]
    assert len(parts.rows) == 3
    assert [(job["shard"], job["exit_code"], job["lost"]) for job in parts.jobs] == [("1/2", 0, []), ("2/2", 0, [])]
    train = cluster.repository / "output" / "train"
    assert {path.name for path in train.glob("night*")} == {"night", "night_1", "night_2"}
    assert [Path(job["root"]) for job in parts.jobs] == [train / "night_1", train / "night_2"]
    assert all(Path(job["log"]).parent == cluster.repository / "output/cluster/night/jobs" for job in parts.jobs)
    assert parts.said("shard 1/2", "SUBMITTED")
    assert parts.said("shard 1/2", "RUNNING")
    assert parts.said("shard 2/2", "passed")
    assert not processes_of(cluster.repository)


def test_a_job_is_told_its_shard_and_its_deadline_and_sees_the_gpus_that_are_here(cluster, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    cluster.run()
    first, second = sorted(cluster.started(), key=lambda job: job["shard"])
    plan = str(cluster.repository / "output" / "cluster" / "night" / "plan.json")
    # Two cases of profile smoke, of unknown length, at all their limits: 2 * 7500 s. The other shard has one.
    given = ["--devices-train", "cpu", "--jobs", "1", "--require-deps", "numpy"]
    assert first["argv"] == [
        *("--plan", plan, "--shard", "1/2", "--root-out", "night_1", "--deadline", "15000"),
        *given,
    ]
    assert second["argv"][3:8] == ["2/2", "--root-out", "night_2", "--deadline", "7500"]
    assert first["CUDA_VISIBLE_DEVICES"] is None  # submitit would have it empty: no GPU


def test_a_case_that_fails_is_red_with_its_row_and_its_job_is_not_repeated(cluster):
    cluster.plan_for(test_nan_in="amp_b_args")
    parts = cluster.run()
    assert (parts.code, parts.lines[-1]) == (1, "all_pass False")
    assert {row["case"]: (row["final_ok"], row["failure"]) for row in parts.rows} == {
        "add_a_args": ("1", ""),
        "amp_b_args": ("0", "divergence"),
        "ase_c_args": ("1", ""),
    }
    assert [job["exit_code"] for job in parts.jobs] == [0, 1]
    assert len(cluster.started()) == 2
    log = parts.jobs[1]["log"]
    assert parts.said(f"the end of {log}:")
    assert parts.said("    | ", "amp_b_args", "FAILED")


def test_a_job_that_is_lost_before_its_root_is_there_is_submitted_once_more(cluster):
    cluster.plan_for("die_early 2/2")
    parts = cluster.run()
    assert (parts.code, parts.lines[-1]) == (0, "all_pass True")
    assert sorted(job["shard"] for job in cluster.started()) == ["1/2", "2/2", "2/2"]
    (lost,) = parts.jobs[1]["lost"]
    assert lost["state"] == "INTERRUPTED"
    again = parts.jobs[1]["job"]
    assert parts.said("shard 2/2: lost before it began (INTERRUPTED): submitted once more")
    merged = parts.lines.index(
        f"shard 2/2: job {lost['job']} was lost (INTERRUPTED) before the shard began; submitted again as job {again}"
    )
    assert merged > parts.lines.index(next(line for line in parts.lines if "passed" in line))
    assert not processes_of(cluster.repository)


def test_it_is_submitted_once_more_and_not_twice(cluster):
    cluster.plan_for("die_early_always 2/2")
    parts = cluster.run()
    assert (parts.code, parts.lines[-1]) == (1, "all_pass False")
    assert [job["shard"] for job in cluster.started()].count("2/2") == 2
    assert parts.said("shard 2/2", "(INTERRUPTED), before the shard began")
    assert parts.said("missing: shard 2/2 did not come back")


def test_a_job_that_is_lost_after_that_is_red_and_not_repeated(cluster):
    cluster.plan_for("die_late 1/2", stage_takes=0.5)
    parts = cluster.run()
    assert (parts.code, parts.lines[-1]) == (1, "all_pass False")
    assert sorted(job["shard"] for job in cluster.started()) == ["1/2", "2/2"]
    assert parts.said("shard 1/2", "(INTERRUPTED), after the shard began")
    until(lambda: not processes_of(cluster.repository))


def test_a_shard_that_is_refused_is_red_and_its_log_is_shown(cluster):
    cluster.plan_for("refuse all")
    parts = cluster.run()
    assert (parts.code, parts.lines[-1]) == (1, "all_pass False")
    assert len(cluster.started()) == 2
    assert parts.said("shard 2/2", "exit code 2")
    assert "    | error: the plan was made for another commit" in parts.lines


def test_a_job_that_cannot_start_its_program_is_red_and_says_why(cluster):
    cluster.program = (str(cluster.repository / "nothing"),)
    parts = cluster.run()
    assert (parts.code, parts.lines[-1]) == (1, "all_pass False")
    assert parts.said("shard 1/2", "its job failed: FailedJobError")
    assert parts.said("    | FileNotFoundError", "nothing")


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_ending_the_run_ends_its_jobs(cluster, tmp_path, name, code):
    cluster.plan_for(train_sleep=tmp_path / "pids")
    runner = cluster.start("add_a_args")
    try:
        until((tmp_path / "pids").exists)
        os.killpg(runner.pid, signal.Signals[name]) if name == "SIGINT" else runner.send_signal(signal.Signals[name])
        printed, _ = runner.communicate(timeout=30)
    finally:
        runner.kill()
    assert runner.returncode == code
    assert not processes_of(cluster.repository)
    lines = printed.splitlines()
    assert any(line.startswith(f"ending, by {name}: 1 job(s) are cancelled") for line in lines)
    assert "python -m ci merge output/train/night_1 --plan output/cluster/night/plan.json" in printed
    assert lines[-1] == "all_pass False"
    # In order: the job had a result, though a terminal's Ctrl-C goes to all processes, and the run wrote its tables.
    (job,) = json.loads((cluster.repository / "output/cluster/night/jobs.json").read_text())["shards"]
    assert (job["state"], job["exit_code"]) == ("FINISHED", 143)
    run = json.loads((cluster.repository / "output/train/night_1/run.json").read_text())
    assert run["ended"] == "ended by SIGTERM"


def test_a_signal_while_it_plans_submits_nothing(cluster, monkeypatch):
    plan = matrix.run

    def interrupted(arguments, repository):
        os.kill(os.getpid(), signal.SIGINT)
        return plan(arguments, repository)

    monkeypatch.setattr(matrix, "run", interrupted)
    parts = cluster.run()
    assert parts.code == 130
    assert "ending, by SIGINT: nothing was submitted" in parts.lines
    assert not cluster.started()
    assert not list((cluster.repository / "output" / "cluster").iterdir())


def test_the_same_name_is_not_taken_twice(cluster):
    (cluster.repository / "output" / "train" / "night_2").mkdir(parents=True)
    with pytest.raises(UsageError, match="night_2 exists already: choose another --root-out"):
        cluster.run()
    assert not list((cluster.repository / "output" / "cluster").iterdir())
    assert not cluster.started()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--resume", "x"], "--resume is for a run on this machine, not for --executor local"),
        (["--shard", "1/2"], "--shard is for a run on this machine"),
        (["--plan", "plan.json"], "--plan is for a run on this machine"),
        (["--retry-failed", "x"], "--retry-failed is for a run on this machine"),
        (["--list"], "--list is for a run on this machine"),
        (["--slurm", "partition=gpu"], "--slurm cannot be given beside --executor local"),
        (["no_such_case"], "no_such_case"),
    ],
)
def test_what_jobs_cannot_do_is_refused(cluster, given, words):
    with pytest.raises(UsageError, match=words):
        cluster.run(*given)
    assert not list((cluster.repository / "output" / "cluster").glob("*"))


def test_one_deadline_for_all_is_passed_on(cluster, monkeypatch):
    asked = []
    monkeypatch.setattr(command, "open_executor", lambda name, request: asked.append(request.minutes) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cluster.run("--deadline", "90")
    assert asked == [2 + 10]  # minutes, and those a run may take to end


def test_without_submitit_it_says_how_to_install_it():
    repository = Path(__file__).resolve().parents[3]
    code = "import sys; sys.modules['submitit'] = None; from ci.__main__ import main; sys.exit(main(sys.argv[1:]))"
    words = [sys.executable, "-c", code, "e2e", "--executor", "local"]
    answer = subprocess.run(words, cwd=repository, capture_output=True, text=True)
    assert answer.returncode == 2
    assert answer.stderr == (
        "error: --executor needs the package submitit. Install with: "
        "python -m pip install -c constraints.txt -e .[slurm]\n"
    )


def test_the_command_line_knows_every_executor():
    assert (options.HERE, *EXECUTORS) == options.EXECUTORS


@pytest.mark.parametrize("given", [["--shards", "2"], ["--slurm", "mem=1G"]])
def test_what_belongs_to_a_cluster_is_refused_without_one(given, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(entry, "REPOSITORY", tmp_path)
    assert entry.main(["e2e", *given]) == 2
    assert "--shards and --slurm belong to --executor slurm" in capsys.readouterr().err
