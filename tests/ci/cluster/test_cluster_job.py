"""What runs inside a job: signals, a shard that has begun, a run that is cancelled."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
JOB = """
import json, sys
from pathlib import Path
from ci.cluster.job import ShardJob, run_shard
content = json.loads(sys.argv[1])
paths = {name: Path(content.pop(name)) for name in ("root", "cancelled", "repository")}
sys.exit(run_shard(ShardJob(**content, **paths)))
"""
# Says which of the two it is and what it got, and ends by itself on a TERM.
PROGRAM = """
import os, signal, sys, time
def end(number, frame):
    print("told", flush=True)
    sys.exit(143)
signal.signal(signal.SIGTERM, end)
print(*sys.argv[1:], os.environ.get("MINE"), os.environ.get("OTHER"), os.getcwd(), flush=True)
open("pid", "w").write(str(os.getpid()))
time.sleep(60 if "sleep" in sys.argv else 0)
sys.exit(7)
"""


def start(folder: Path, *words: str, **environment: str | None) -> subprocess.Popen[str]:
    content = {
        "start": [sys.executable, "-c", PROGRAM, "start", *words],
        "resume": [sys.executable, "-c", PROGRAM, "resume"],
        "root": str(folder / "root"),
        "cancelled": str(folder / "cancelled"),
        "repository": str(folder),
        "environment": environment,
    }
    command = [sys.executable, "-c", JOB, json.dumps(content)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)


def wait_for_pid(folder: Path) -> int:
    deadline = time.monotonic() + 30.0
    while not (folder / "pid").exists() or not (folder / "pid").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return int((folder / "pid").read_text())


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_it_begins_with_the_variables_it_is_to_have_and_gives_the_exit_code(tmp_path, monkeypatch):
    monkeypatch.setenv("OTHER", "2")
    job = start(tmp_path, MINE="1", OTHER=None)
    printed, _ = job.communicate(timeout=30)
    assert job.returncode == 7
    assert printed.splitlines()[-1] == f"start 1 None {tmp_path}"


def test_a_shard_that_has_begun_is_gone_on_with(tmp_path):
    (tmp_path / "root").mkdir()
    job = start(tmp_path)
    printed, _ = job.communicate(timeout=30)
    assert (job.returncode, printed.splitlines()[-1].split()[0]) == (7, "resume")


def test_a_cancelled_run_begins_nothing(tmp_path):
    (tmp_path / "cancelled").touch()
    job = start(tmp_path)
    printed, _ = job.communicate(timeout=30)
    assert (job.returncode, printed) == (143, "not begun: the run is cancelled\n")
    assert not (tmp_path / "pid").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2])
def test_what_tells_the_job_to_end_is_passed_on(tmp_path, number):
    job = start(tmp_path, "sleep")
    wait_for_pid(tmp_path)
    job.send_signal(number)
    printed, _ = job.communicate(timeout=30)
    assert (job.returncode, printed.splitlines()[-1]) == (143, "told")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_the_run_ends_with_its_job(tmp_path):
    job = start(tmp_path, "sleep")
    pid = wait_for_pid(tmp_path)
    job.kill()
    job.wait()
    deadline = time.monotonic() + 10.0
    while alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert job.stdout.read().splitlines()[-1] == "told"
    job.stdout.close()


def test_a_program_that_a_signal_ended_is_told_by_its_number(tmp_path):
    job = start(tmp_path, "sleep")
    os.kill(wait_for_pid(tmp_path), signal.SIGKILL)
    job.communicate(timeout=30)
    assert job.returncode == 137
