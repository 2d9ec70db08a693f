"""Starting a program so that it ends at its deadline, when the matrix is told to stop, and when the matrix dies.

Every program runs below a supervisor of its own (``ci/supervisor.py``), which ends everything that the program started.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from ci.records.results import ProcessResult

PR_SET_PDEATHSIG = 1
GRACE_SECONDS = 5.0  # between TERM and KILL
POLL_SECONDS = 0.05
TICK_SECONDS = 1.0
SUPERVISOR_SECONDS = 10.0  # what the supervisor may take beyond the grace to end everyone
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SUPERVISOR = Path(__file__).with_name("supervisor.py")


class Stopped(Exception):
    """The matrix was told to stop, by a signal or by its deadline: a stage was ended, and its case is not over."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Stop:
    """Whether, and why, the matrix is to stop. One for a run; every thread of it looks at it."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._reason = ""
        self.signum = 0

    def ask(self, reason: str, signum: int = 0) -> None:
        """Stop soon. The first reason counts."""
        if not self._event.is_set():
            self._reason, self.signum = reason, signum
            self._event.set()

    @property
    def asked(self) -> bool:
        return self._event.is_set()

    @property
    def reason(self) -> str:
        return self._reason

    def wait(self, seconds: float) -> bool:
        """Sleep, at most until a stop is asked for; whether it is."""
        return self._event.wait(seconds)

    def check(self) -> None:
        """Raise Stopped when a stop is asked for."""
        if self.asked:
            raise Stopped(self._reason)


@contextmanager
def stop_on_signals(stop: Stop) -> Iterator[None]:
    """Inside, SIGINT, SIGTERM and SIGHUP ask for a stop. For the main thread."""

    def ask(signum: int, _frame: FrameType | None) -> None:
        stop.ask(signal.Signals(signum).name, signum)

    previous = {number: signal.signal(number, ask) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@dataclass
class Job:
    """A running program and its descendants."""

    process: subprocess.Popen[bytes]
    started: float
    grace: float
    result: ProcessResult | None = None


@contextmanager
def running(
    argv: Sequence[str],
    cwd: Path,
    environment: Mapping[str, str],
    log: Path,
    cores: Sequence[int] = (),
    grace: float | None = None,
) -> Iterator[Job]:
    """Start ``argv``; on leaving, however that happens, end what is left of it.

    Its output is appended to ``log`` under a line that repeats the command. ``environment`` is added to the matrix's
    own. ``cores`` are those it may run on; none means all. Raises OSError when the log cannot be written.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    grace = GRACE_SECONDS if grace is None else grace
    limits = {"OMP_NUM_THREADS": str(len(cores))} if cores else {}
    supervised = (
        *(sys.executable, "-I", "-S", str(SUPERVISOR)),
        *(str(grace), ",".join(map(str, cores)) or "all"),
        *argv,
    )
    with log.open("ab") as output:
        output.write(
            ("$ " + " ".join([*(f"{key}={value}" for key, value in environment.items()), *argv]) + "\n").encode()
        )
        output.flush()
        process = subprocess.Popen(
            supervised,
            cwd=cwd,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **limits, **environment},
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    job = Job(process, time.monotonic(), grace)
    try:
        yield job
    finally:
        end(job)
        if process.stdin is not None:
            process.stdin.close()


def finish(job: Job, timeout: float, stop: Stop, on_tick: Callable[[], None] | None = None) -> ProcessResult:
    """Wait for the program, at most ``timeout`` seconds from its start, then end what is left of it.

    ``on_tick`` is called about once a second. Raises Stopped when a stop is asked for meanwhile.
    """
    deadline = job.started + timeout
    next_tick = time.monotonic() + TICK_SECONDS
    while _collect(job) is None:
        now = time.monotonic()
        if now >= deadline:
            return end(job, timed_out=True)
        if on_tick is not None and now >= next_tick:
            on_tick()
            next_tick = now + TICK_SECONDS
        if stop.wait(min(POLL_SECONDS, max(deadline - now, 0.0))):
            end(job)
            raise Stopped(stop.reason)
    return end(job)


def end(job: Job, timed_out: bool = False) -> ProcessResult:
    """End the program and all it started, if it still runs: TERM, and KILL after its grace. Returns how it ended."""
    if _collect(job) is None:
        job.process.send_signal(signal.SIGTERM)
        until = time.monotonic() + job.grace + SUPERVISOR_SECONDS
        while _collect(job) is None and time.monotonic() < until:
            time.sleep(POLL_SECONDS)
        if job.result is None:  # the supervisor itself hangs
            os.killpg(job.process.pid, signal.SIGKILL)
            while _collect(job) is None:
                time.sleep(POLL_SECONDS)
    assert job.result is not None
    if timed_out and not job.result.timed_out:
        done = job.result
        job.result = ProcessResult(done.returncode, True, done.seconds, done.cpu_seconds, done.memory_gb)
    return job.result


def _collect(job: Job) -> ProcessResult | None:
    """The result once the program has ended; None before."""
    if job.result is None:
        process, status, usage = os.wait4(job.process.pid, os.WNOHANG)
        if process:
            job.process.returncode = os.waitstatus_to_exitcode(status)
            job.result = ProcessResult(
                returncode=job.process.returncode,
                timed_out=False,
                seconds=time.monotonic() - job.started,
                cpu_seconds=usage.ru_utime + usage.ru_stime,
                memory_gb=usage.ru_maxrss * (1.0 if sys.platform == "darwin" else 1024.0) / 1e9,
            )
    return job.result


def ask_for_term_when_parent_dies(parent: int) -> None:
    """Have Linux send the calling process a TERM when its parent, process ``parent``, dies. Elsewhere: nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died in between
            os.kill(os.getpid(), signal.SIGTERM)
