"""Starting a program in a process group of its own and making sure that nothing of it is left.

A job ends when its first process ends, at its deadline, or when the matrix itself is told to stop; each time the whole
group is ended: TERM, then KILL. If the matrix is killed outright, Linux sends its jobs a TERM.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

GRACE_SECONDS = 5.0  # between TERM and KILL
POLL_SECONDS = 0.05
TICK_SECONDS = 1.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class Stopped(BaseException):
    """The matrix was told to stop by a signal. Not an Exception: nothing may take it for a failed case."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


@dataclass(frozen=True)
class ProcessResult:
    """How a job ended: the exit code (negative: the signal), whether the deadline did it, and its seconds."""

    returncode: int
    timed_out: bool
    seconds: float


@dataclass
class Job:
    """A running process group."""

    process: subprocess.Popen[bytes]
    started: float


@dataclass
class _Deferral:
    """Stop signals that arrived while the matrix was in the middle of something that must be completed."""

    depth: int = 0
    pending: int | None = None


_deferral = _Deferral()


@contextmanager
def stop_signals_raise() -> Iterator[None]:
    """Inside, SIGINT, SIGTERM and SIGHUP raise Stopped in the main thread."""

    def raise_stopped(signum: int, _frame: FrameType | None) -> None:
        if _deferral.depth:
            _deferral.pending = signum
        else:
            raise Stopped(signum)

    previous = {number: signal.signal(number, raise_stopped) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def stop_signals_wait() -> Iterator[None]:
    """Inside, a stop signal is kept back; it raises Stopped on leaving."""
    _deferral.depth += 1
    try:
        yield
    finally:
        _deferral.depth -= 1
        pending = _deferral.pending
        if pending is not None and not _deferral.depth:
            _deferral.pending = None
            raise Stopped(pending)


@contextmanager
def running(argv: Sequence[str], cwd: Path, environment: Mapping[str, str], log: Path) -> Iterator[Job]:
    """Start ``argv`` as the leader of a new group; on leaving, however that happens, end what is left of the group.

    Its output is appended to ``log`` under a line that repeats the command. ``environment`` is added to the matrix's
    own. Raises OSError when the program cannot be started.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    added = [f"{key}={value}" for key, value in environment.items()]
    matrix = os.getpid()
    job: Job | None = None
    try:
        with log.open("ab") as output:
            output.write(("$ " + " ".join([*added, *argv]) + "\n").encode())
            output.flush()
            with stop_signals_wait():
                process = subprocess.Popen(
                    argv,
                    cwd=cwd,
                    env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    preexec_fn=lambda: ask_for_term_when_parent_dies(matrix),
                )
                job = Job(process, time.monotonic())
        yield job
    finally:
        if job is not None:
            end_group(job)


def finish(job: Job, timeout: float, on_tick: Callable[[], None] | None = None) -> ProcessResult:
    """Wait for the job, at most ``timeout`` seconds from its start; then end whatever of its group is left.

    ``on_tick`` is called about once a second.
    """
    deadline = job.started + timeout
    next_tick = time.monotonic() + TICK_SECONDS
    timed_out = False
    try:
        while not _has_exited(job):
            now = time.monotonic()
            if now >= deadline:
                timed_out = True
                break
            if on_tick is not None and now >= next_tick:
                on_tick()
                next_tick = now + TICK_SECONDS
            time.sleep(min(POLL_SECONDS, max(deadline - now, 0.0)))
    finally:
        end_group(job)
    return ProcessResult(job.process.returncode, timed_out, time.monotonic() - job.started)


def end_group(job: Job) -> None:
    """End every process of the job's group, TERM first, KILL after GRACE_SECONDS, and collect the leader.

    The leader is not collected until the group has been signalled, so its number cannot be another's by then.
    """
    if job.process.returncode is not None:
        return
    with stop_signals_wait():
        if not _has_exited(job):
            _signal_group(job, signal.SIGTERM)
            until = time.monotonic() + GRACE_SECONDS
            while not _has_exited(job) and time.monotonic() < until:
                time.sleep(POLL_SECONDS)
        _signal_group(job, signal.SIGKILL)
        job.process.wait()


def _has_exited(job: Job) -> bool:
    """True once the leader ended; it stays a zombie, so that its group can still be signalled."""
    return os.waitid(os.P_PID, job.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _signal_group(job: Job, number: signal.Signals) -> None:
    try:
        os.killpg(job.process.pid, number)
    except ProcessLookupError:
        return  # nobody is left: what was wanted
    except PermissionError:
        if sys.platform != "darwin":  # macOS says so of a group of zombies
            raise


def ask_for_term_when_parent_dies(parent: int) -> None:
    """Have Linux send the calling process a TERM when its parent, process ``parent``, dies. Elsewhere: nothing."""
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died in between
            os.kill(os.getpid(), signal.SIGTERM)
