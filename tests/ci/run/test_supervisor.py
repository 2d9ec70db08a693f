"""Supervisors that are killed, processes that are hard to find or to end, and a supervisor on its own."""

import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

from ci.run import supervisor
from ci.run.process import SUPERVISOR, Stop, adopting_orphans, finish, running
from tests.ci.run.test_process import DEAF, LINUX, alive, run, until

# Writes its number once it is deaf to TERM, in the group that it was started in or in a session of its own.
LEAF = """
import os, signal, sys, time
signal.signal(15, signal.SIG_IGN)
if sys.argv[2] == "leaves":
    os.setsid()
with open(sys.argv[1], "a") as handle:
    handle.write(f"{os.getpid()}\\n")
time.sleep(600)
"""


def parent_of(program: str, seconds: float) -> str:
    """A program that starts ``program`` with its own arguments and lives for a while."""
    return (
        "import subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-c', {program!r}, *sys.argv[1:]])\ntime.sleep({seconds})"
    )


PARENT = parent_of(LEAF, 600.0)


@LINUX
@pytest.mark.parametrize(
    ("program", "leaves", "adopt"),
    [(LEAF, "leaves", False), (PARENT, "stays", False), (PARENT, "leaves", True)],
    ids=["the program, in a session of its own", "its child, in its group", "its child, in a session of its own"],
)
def test_nobody_survives_a_supervisor_that_is_killed(tmp_path: Path, program: str, leaves: str, adopt: bool) -> None:
    pids = tmp_path / "pids"
    argv = [sys.executable, "-c", program, str(pids), leaves]
    with adopting_orphans() if adopt else nullcontext(), running(argv, tmp_path, {}, tmp_path / "log") as job:
        until(lambda: pids.exists() and pids.read_text().endswith("\n"))
        os.kill(job.process.pid, signal.SIGKILL)
        assert finish(job, 10.0, Stop()).returncode == -signal.SIGKILL
        assert not adopt or not alive(int(pids.read_text()))  # at once
        until(lambda: not alive(int(pids.read_text())))


@LINUX
def test_who_is_no_orphan_lives_on_when_a_supervisor_is_killed(tmp_path: Path) -> None:
    """Other cases' programs, what the matrix itself has started, and what it had as a child before."""
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    earlier = subprocess.Popen(sleep, start_new_session=True)
    pids = tmp_path / "pids"
    other = [sys.executable, "-c", PARENT, str(pids), "leaves"]
    try:
        with (
            adopting_orphans(),
            running(other, tmp_path, {}, tmp_path / "log", grace=0.2) as lives,
            running(sleep, tmp_path, {}, tmp_path / "log") as dies,
        ):
            own = subprocess.Popen(sleep)
            until(lambda: pids.exists() and pids.read_text().endswith("\n"))
            os.kill(dies.process.pid, signal.SIGKILL)
            finish(dies, 10.0, Stop())
            time.sleep(0.2)
            assert (earlier.poll(), own.poll()) == (None, None)
            assert lives.result is None
            assert alive(lives.process.pid)
            assert alive(int(pids.read_text()))
            own.kill()
            own.wait()
        assert not alive(int(pids.read_text()))
    finally:
        earlier.kill()
        earlier.wait()


# Its first thread ends, another goes on: the process looks as if it had ended.
HEADLESS = """
import ctypes, os, sys, threading, time
threading.Thread(target=lambda: time.sleep(600)).start()
with open(sys.argv[1], "w") as handle:
    handle.write(f"{os.getpid()}\\n")
ctypes.CDLL(None).pthread_exit(None)
"""


@LINUX
@pytest.mark.parametrize(("program", "code"), [(HEADLESS, -signal.SIGTERM), (parent_of(HEADLESS, 1.0), 0)])
def test_a_process_whose_first_thread_is_over_is_ended_too(tmp_path: Path, program: str, code: int) -> None:
    ended = run(tmp_path, program, str(tmp_path / "pid"), timeout=2.0)
    assert (ended.returncode, ended.timed_out) == (code, code != 0)
    assert not alive(int((tmp_path / "pid").read_text()))


def test_a_term_to_a_supervisor_in_its_grace_kills_the_program(tmp_path: Path) -> None:
    argv = [sys.executable, str(SUPERVISOR), "60", "all", "none", sys.executable, "-c", DEAF]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as alone:
        try:
            assert alone.stdout is not None
            assert alone.stdin is not None
            assert alone.stdout.readline() == b"deaf\n"
            alone.stdin.close()
            time.sleep(0.5)
            assert alone.poll() is None
            alone.terminate()
            assert alone.wait(timeout=10.0) == -signal.SIGKILL
        finally:
            alone.kill()


def test_who_may_not_be_killed_is_told_of_and_left(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    sent: list[tuple[int, int]] = []
    there = {11, 22}

    def kill(process: int, number: int) -> None:
        if process == 11:
            raise PermissionError
        sent.append((process, number))
        if number == signal.SIGKILL:
            there.discard(process)

    monkeypatch.setattr(os, "kill", kill)
    supervisor.kill_all(lambda: set(there), lambda: None, seconds=5.0)
    assert sent == [(22, signal.SIGSTOP), (22, signal.SIGKILL)]
    assert capfd.readouterr().err == "process 11 may not be ended by the one that started it\n"
