"""Starting a program so that it ends at its deadline, when the matrix is told to stop, and when the matrix dies.

Every program runs below a supervisor of its own (``ci/run/supervisor.py``), which ends everything that the program
started. The supervisor's end, too, is the end of its program: the kernel kills the program, ``end`` its process group,
and inside ``adopting_orphans`` whoever else is left of it.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType

from ci.records.results import ProcessResult
from ci.run.supervisor import PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG, below, kill_all, processes, set_for_process

GRACE_SECONDS = 5.0  # between TERM and KILL
POLL_SECONDS = 0.05
TICK_SECONDS = 1.0
SUPERVISOR_SECONDS = 10.0  # what the supervisor may take beyond the grace to end everyone
INSIST_SECONDS = 1.0  # signals closer together are one wish: `timeout` and shells send theirs twice
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SUPERVISOR = Path(__file__).with_name("supervisor.py")


@dataclass
class Children:
    """Which of this process's children are supervisors, and which were there before orphans were adopted."""

    supervisors: set[int] = field(default_factory=set)
    earlier: set[int] | None = None  # None: orphans are not adopted
    lock: threading.Lock = field(default_factory=threading.Lock)  # a supervisor is started, or orphans are looked for


_children = Children()


class Stopped(Exception):
    """The matrix was told to stop, by a signal or by its deadline: a stage was ended, and its case is not over."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Stop:
    """Whether, and why, the matrix is to stop. One for a run; every thread of it looks at it."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._asked = False
        self._reason = ""
        self._signalled = 0.0  # when the first signal came
        self.signum = 0
        self.insisted = False  # a signal came again: end the programs now, without a grace

    def ask(self, reason: str, signum: int = 0) -> None:
        """Stop soon. The first reason counts; a second signal, a second or more after the first, insists."""
        if signum:
            now = time.monotonic()
            self._signalled = self._signalled or now
            self.insisted = self.insisted or now - self._signalled >= INSIST_SECONDS
        if not self._asked:  # not the event itself: a signal may come while the event is being set
            self._asked, self._reason, self.signum = True, reason, signum
            self._event.set()

    @property
    def asked(self) -> bool:
        return self._asked

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
    """Inside, SIGINT, SIGTERM and SIGHUP ask for a stop, unless they are ignored (``nohup``). For the main thread."""

    def ask(signum: int, _frame: FrameType | None) -> None:
        stop.ask(signal.Signals(signum).name, signum)

    heeded = [number for number in STOP_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, ask) for number in heeded}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def adopting_orphans() -> Iterator[None]:
    """Inside, what loses its supervisor becomes this process's child (on Linux), so that it is found and killed.

    Inside, start nobody in a session of its own but by ``running``: that is how an orphan is told from others.
    """
    own = os.getpid()
    with _children.lock:
        _children.earlier = {process for process, (parent, _, _) in processes().items() if parent == own}
    set_for_process(PR_SET_CHILD_SUBREAPER, 1)
    try:
        yield
    finally:
        set_for_process(PR_SET_CHILD_SUBREAPER, 0)
        with _children.lock:
            _children.earlier = None


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
    keep: Sequence[int] = (),
) -> Iterator[Job]:
    """Start ``argv``; on leaving, however that happens, end what is left of it.

    Its output is appended to ``log`` under a line that repeats the command. ``environment`` is added to the matrix's
    own. ``cores`` are those it may run on; none means all. ``grace`` is how long it may take to end after a TERM, from
    whoever it comes: when the matrix itself dies, too. ``keep`` are open descriptors that the supervisor holds until
    nobody is left of the program; the program does not get them. Raises OSError when the log cannot be written.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    grace = GRACE_SECONDS if grace is None else grace
    limits = {"OMP_NUM_THREADS": str(len(cores))} if cores else {}
    supervised = (
        *(sys.executable, "-I", "-S", str(SUPERVISOR)),
        *(str(grace), ",".join(map(str, cores)) or "all", ",".join(map(str, keep)) or "none"),
        *argv,
    )
    with log.open("ab") as output:
        output.write(
            ("$ " + " ".join([*(f"{key}={value}" for key, value in environment.items()), *argv]) + "\n").encode()
        )
        output.flush()
        with _children.lock:
            process = subprocess.Popen(
                supervised,
                cwd=cwd,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **limits, **environment},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=keep,
            )
            _children.supervisors.add(process.pid)
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
            return end(job, timed_out=True, stop=stop)
        if on_tick is not None and now >= next_tick:
            on_tick()
            next_tick = now + TICK_SECONDS
        if stop.wait(min(POLL_SECONDS, max(deadline - now, 0.0))):
            end(job, stop=stop)
            raise Stopped(stop.reason)
    return end(job)


def end(job: Job, timed_out: bool = False, stop: Stop | None = None) -> ProcessResult:
    """End the program and all it started, if it still runs: TERM, and KILL after its grace. Returns how it ended.

    The grace is over at once when ``stop`` is insisted on.
    """
    if _collect(job) is None:
        supervisor = job.process.pid  # nobody else's number before it is collected; send_signal would collect it
        os.kill(supervisor, signal.SIGTERM)
        os.kill(supervisor, signal.SIGCONT)
        until = time.monotonic() + job.grace + SUPERVISOR_SECONDS
        while _collect(job) is None and time.monotonic() < until:
            if stop is not None and stop.insisted:
                os.kill(supervisor, signal.SIGTERM)
            time.sleep(POLL_SECONDS)
        if job.result is None:  # the supervisor itself hangs
            _kill_group(supervisor)
            while _collect(job) is None:
                time.sleep(POLL_SECONDS)
    assert job.result is not None
    if timed_out:
        job.result = replace(job.result, timed_out=True)
    return job.result


def _collect(job: Job) -> ProcessResult | None:
    """The result once the program has ended; None before."""
    if job.result is not None:
        return job.result
    supervisor = job.process.pid
    if sys.platform == "linux":  # Python has no waitid on macOS
        if os.waitid(os.P_PID, supervisor, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return None
        _kill_group(supervisor)  # while the group is surely its own: numbers of the collected are given out again
    process, status, usage = os.wait4(supervisor, os.WNOHANG)
    if process:
        job.process.returncode = os.waitstatus_to_exitcode(status)
        with _children.lock:
            _children.supervisors.discard(supervisor)
            if job.process.returncode != 0:  # with 0, it came to its own end, and left nobody
                kill_all(_orphans, _collect_orphans, SUPERVISOR_SECONDS)
        job.result = ProcessResult(
            returncode=job.process.returncode,
            timed_out=False,
            seconds=time.monotonic() - job.started,
            cpu_seconds=usage.ru_utime + usage.ru_stime,
            memory_gb=usage.ru_maxrss * (1.0 if sys.platform == "darwin" else 1024.0) / 1e9,
        )
    return job.result


def _kill_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return  # nobody is left in it: Linux says it in the first way, macOS in the second


def _orphans() -> set[int]:
    """Those that have not ended and have no supervisor any more."""
    present = processes()
    adopted = _adopted(present)
    return {process for process in adopted if not present[process][2]} | below(adopted, present)


def _adopted(present: Mapping[int, tuple[int, int, bool]]) -> set[int]:
    """This process's children that some supervisor left behind: they are in a session of another, and no supervisors.

    What this process starts beside its supervisors (git, ffmpeg) is in its own session.
    """
    if _children.earlier is None:
        return set()
    own, session, known = os.getpid(), os.getsid(0), _children.supervisors | _children.earlier
    return {
        process
        for process, (parent, sid, _) in present.items()
        if parent == own and sid != session and process not in known
    }


def _collect_orphans() -> None:
    for process in _adopted(processes()):
        os.waitpid(process, os.WNOHANG)


def ask_for_term_when_parent_dies(parent: int) -> None:
    """Have Linux send the calling process a TERM when its parent, process ``parent``, dies. Elsewhere: nothing."""
    if sys.platform == "linux":
        set_for_process(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died in between
            os.kill(os.getpid(), signal.SIGTERM)
