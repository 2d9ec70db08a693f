"""Programs end when they should, whatever they start, and however the matrix ends."""

import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ci.records.results import ProcessResult
from ci.run import process as processes
from ci.run.process import Stop, Stopped, end, finish, running, stop_on_signals
from ci.run.stages import LONG_GRACE

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc, which Linux has")

DEAF = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"

# Forks for two seconds; every child leaves its group, its session and its parent, and ignores TERM.
BOMB = """
import os, signal, sys, time
def leave():
    if os.fork():
        return False
    os.setsid()
    if os.fork():
        os._exit(0)
    signal.signal(15, signal.SIG_IGN)
    with open(sys.argv[1], "a") as handle:
        handle.write(f"{os.getpid()}\\n")
    return True
end = time.time() + 2.0
for number in range(20):
    if leave():
        while time.time() < end:
            if leave():
                break
            time.sleep(0.05)
        time.sleep(600)
time.sleep(float(sys.argv[2]))
"""


def run(
    tmp_path: Path, program: str, *arguments: str, timeout: float = 20.0, grace: float = 0.5, **options: object
) -> ProcessResult:
    stop = options.pop("stop", None) or Stop()
    argv = [sys.executable, "-c", program, *arguments]
    with running(argv, tmp_path, {}, tmp_path / "log", grace=grace, **options) as job:
        return finish(job, timeout, stop)


def alive(pid: int) -> bool:
    """Whether any thread of a process still runs; one that ended and was not collected does not count."""
    try:
        stats = [thread.read_text() for thread in Path(f"/proc/{pid}/task").glob("*/stat")]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return any(stat.rsplit(")", 1)[1].split()[0] not in "ZX" for stat in stats)


def until(condition, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("pass", 0),
        ("import sys; sys.exit(3)", 3),
        ("import os; os.kill(os.getpid(), 11)", -11),
        ("import os; os.kill(os.getpid(), 9)", -9),
        ("import os; os.abort()", -6),
        ("import sys; sys.exit(143)", 143),
    ],
)
def test_a_program_ends_as_itself(tmp_path: Path, program: str, code: int) -> None:
    ended = run(tmp_path, program)
    assert (ended.returncode, ended.timed_out) == (code, False)


def test_a_program_that_does_not_exist_says_so(tmp_path: Path) -> None:
    with running(["/no/such/program"], tmp_path, {}, tmp_path / "log") as job:
        assert finish(job, 10.0, Stop()).returncode == 127
    assert "/no/such/program cannot be started: No such file" in (tmp_path / "log").read_text()


def test_output_is_appended_under_the_command(tmp_path: Path) -> None:
    for word in ("one", "two"):
        argv = [
            sys.executable,
            "-c",
            f"import os, sys; print('{word}', os.environ['COLOUR']); print('x', file=sys.stderr)",
        ]
        with running(argv, tmp_path, {"COLOUR": "red"}, tmp_path / "log") as job:
            finish(job, 10.0, Stop())
    lines = (tmp_path / "log").read_text().splitlines()
    assert [line for line in lines if not line.startswith("$")] == ["one red", "x", "two red", "x"]
    assert lines[0].startswith(f"$ COLOUR=red {sys.executable} -c ")


def test_it_tells_what_the_program_took(tmp_path: Path) -> None:
    """From a process as small as the matrix: Linux counts what a child was before it became the program."""
    program = "import time; memory = b'x' * 300_000_000\nwhile time.process_time() < 0.4: pass"
    small = f"""
import sys
from pathlib import Path
from ci.run.process import Stop, finish, running
with running([sys.executable, "-c", {program!r}], Path("."), {{}}, Path("log")) as job:
    ended = finish(job, 60.0, Stop())
print(ended.memory_gb, ended.cpu_seconds, ended.seconds)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", small]
    answer = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    memory, cpu, seconds = map(float, answer.stdout.split())
    assert 0.3 < memory < 0.4
    assert 0.4 <= cpu < 3.0
    assert seconds >= 0.4


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux pins processes to cores")
def test_a_program_has_its_cores_and_as_many_threads(tmp_path: Path) -> None:
    core = min(os.sched_getaffinity(0))
    run(tmp_path, "import os; print(os.sched_getaffinity(0), os.environ['OMP_NUM_THREADS'])", cores=(core,))
    assert (tmp_path / "log").read_text().splitlines()[-1] == f"{{{core}}} 1"


def test_a_deadline_ends_a_program(tmp_path: Path) -> None:
    ended = run(tmp_path, "import time; time.sleep(600)", timeout=0.5)
    assert (ended.returncode, ended.timed_out) == (-signal.SIGTERM, True)
    assert 0.5 <= ended.seconds < 5.0


def test_a_program_that_ends_in_its_own_way_at_its_deadline_may(tmp_path: Path) -> None:
    program = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(143)); print('on'); time.sleep(600)"
    ended = run(tmp_path, program, timeout=1.0, grace=20.0)
    assert (ended.returncode, ended.timed_out) == (143, True)
    assert ended.seconds < 10.0


def test_a_program_deaf_to_term_is_killed(tmp_path: Path) -> None:
    ended = run(tmp_path, DEAF, timeout=1.0, grace=0.3)
    assert (ended.returncode, ended.timed_out) == (-signal.SIGKILL, True)


@LINUX
@pytest.mark.parametrize("lives", [1.0, 600.0])
def test_nobody_survives_a_fork_bomb_whose_children_run_away(tmp_path: Path, lives: float) -> None:
    """Whether the program ends by itself while they go on, or is ended at its deadline."""
    pids = tmp_path / "pids"
    run(tmp_path, BOMB, str(pids), str(lives), timeout=1.5)
    born = [int(word) for word in pids.read_text().split()]
    assert len(born) > 40
    assert not any(map(alive, born))


@LINUX
def test_killing_the_matrix_ends_everyone(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    matrix = f"""
import sys
from pathlib import Path
from ci.run.process import Stop, finish, running
with running([sys.executable, "-c", {BOMB!r}, {str(pids)!r}, "600"], Path("."), {{}}, Path("log"), grace=0.3) as job:
    finish(job, 600.0, Stop())
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    process = subprocess.Popen([sys.executable, "-c", matrix], cwd=tmp_path, env=environment)
    try:
        until(lambda: pids.exists() and len(pids.read_text().split()) > 20)
    finally:
        process.kill()
        process.wait()
    until(lambda: not any(alive(int(word)) for word in pids.read_text().split()))
    time.sleep(0.3)
    assert not any(alive(int(word)) for word in pids.read_text().split())


def test_a_stop_ends_a_program_and_says_why(tmp_path: Path) -> None:
    stop = Stop()
    timer = threading.Timer(0.5, stop.ask, ["its deadline"])
    timer.start()
    with pytest.raises(Stopped, match="its deadline"):
        run(tmp_path, "import time; time.sleep(600)", stop=stop)
    timer.join()


def test_the_first_reason_to_stop_counts() -> None:
    stop = Stop()
    stop.check()
    with stop_on_signals(stop):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
    assert (stop.asked, stop.reason, stop.signum) == (True, "SIGTERM", signal.SIGTERM)
    with pytest.raises(Stopped, match="SIGTERM"):
        stop.check()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_an_exception_while_it_runs_ends_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    jobs = []

    def fail() -> None:
        with running([sys.executable, "-c", DEAF], tmp_path, {}, log, grace=0.2) as job:
            jobs.append(job)
            until(lambda: "\ndeaf" in log.read_text())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert jobs[0].result.returncode == -signal.SIGKILL


@LINUX
def test_a_program_starts_with_no_signal_blocked_or_ignored(tmp_path: Path) -> None:
    with running(["cat", "/proc/self/status"], tmp_path, {}, tmp_path / "log") as job:
        finish(job, 10.0, Stop())
    masks = dict(line.split(":") for line in (tmp_path / "log").read_text().splitlines() if line.startswith("Sig"))
    mine = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ)
    for name in ("SigBlk", "SigIgn"):
        assert not [number for number in mine if int(masks[name], 16) >> number - 1 & 1], name


def test_a_program_that_ends_just_before_it_is_told_to_ends_as_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect = processes._collect
    looks: list[int] = []

    def late(job: processes.Job) -> ProcessResult | None:
        looks.append(1)
        return None if len(looks) == 1 else collect(job)

    with running([sys.executable, "-c", "raise SystemExit(3)"], tmp_path, {}, tmp_path / "log") as job:
        os.waitid(os.P_PID, job.process.pid, os.WEXITED | os.WNOWAIT)
        monkeypatch.setattr(processes, "_collect", late)
        assert end(job).returncode == 3


def test_a_stopped_program_sees_that_it_is_to_end(tmp_path: Path) -> None:
    ended = run(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)", timeout=1.0, grace=30.0)
    assert (ended.returncode, ended.timed_out) == (-signal.SIGTERM, True)
    assert ended.seconds < 10.0


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    stop = Stop()
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signals(stop):
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.asked
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_second_signal_insists_but_not_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "INSIST_SECONDS", 0.3)
    stop = Stop()
    stop.ask("its deadline")
    stop.ask("its deadline")
    time.sleep(0.35)
    with stop_on_signals(stop):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
        assert not stop.insisted
        time.sleep(0.35)
        stop.ask("its deadline")
        assert not stop.insisted
        os.kill(os.getpid(), signal.SIGINT)
    assert stop.insisted
    assert (stop.reason, stop.signum) == ("its deadline", 0)


@pytest.mark.parametrize("timeout", [600.0, 1.0])
def test_insisting_ends_the_grace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, timeout: float) -> None:
    """Of a program that is told to end by the stop, and of one that is already at its deadline."""
    monkeypatch.setattr(processes, "INSIST_SECONDS", 0.2)
    stop, log = Stop(), tmp_path / "log"

    def ask_twice() -> None:
        until(lambda: log.exists() and "\ndeaf" in log.read_text())
        time.sleep(1.2)
        for _ in range(2):
            stop.ask("SIGINT", signal.SIGINT)
            time.sleep(0.5)

    impatient = threading.Thread(target=ask_twice)
    impatient.start()
    with running([sys.executable, "-c", DEAF], tmp_path, {}, log, grace=60.0) as job:
        if timeout == 1.0:
            assert finish(job, timeout, stop).timed_out
        else:
            with pytest.raises(Stopped):
                finish(job, timeout, stop)
        assert job.result is not None
        assert job.result.returncode == -signal.SIGKILL
        assert job.result.seconds < 15.0
    impatient.join()


def test_nox_waits_for_the_longest_grace() -> None:
    pytest.importorskip("nox")
    noxfile = importlib.import_module("noxfile")
    assert noxfile.STOP_SECONDS >= LONG_GRACE + processes.SUPERVISOR_SECONDS + 10.0
