"""Stands between the matrix and one program it started, so that nothing the program starts outlives it.

``python -I -S supervisor.py GRACE_SECONDS CORES PROGRAM [ARGUMENT ...]``. Descendants that lose their parent become
this process's children, even those in a session of their own, so all of them can be found. They are ended (TERM, and
KILL after GRACE_SECONDS) when the program has ended, when this process gets a TERM, and when its standard input closes:
the matrix holds the other end of it, and however the matrix dies, the kernel closes that. CORES is a list as in
``0,1``, or ``all``.

This process then ends as the program did: with its exit code, or by the same signal. It imports next to nothing: it
starts with every stage.
"""

import ctypes
import os
import select
import signal
import sys
import time

PR_SET_CHILD_SUBREAPER = 36
POLL_SECONDS = 0.02
CANNOT_START = 127
LIFELINE = 0  # standard input


def main(arguments: list[str]) -> int:
    """Run the program to its end; returns its status as ``os.waitpid`` gives it."""
    grace, cores, program = float(arguments[0]), arguments[1], arguments[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        if cores != "all":
            os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    wake_read, wake_write = os.pipe()
    for end in (wake_read, wake_write):
        os.set_blocking(end, False)
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the matrix decides what Ctrl-C means
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    try:
        leader = os.posix_spawnp(
            program[0],
            program,
            os.environ,
            file_actions=[(os.POSIX_SPAWN_OPEN, LIFELINE, os.devnull, os.O_RDONLY, 0)],
            setsigdef=[signal.SIGTERM, signal.SIGINT, signal.SIGCHLD],
        )
    except OSError as error:
        print(f"{program[0]} cannot be started: {error.strerror}", file=sys.stderr)
        return CANNOT_START << 8
    status: int | None = None
    while status is None and not asked:
        readable, _, _ = select.select([LIFELINE, wake_read], [], [])
        if wake_read in readable:
            _drain(wake_read)
        status = _collect(leader)
        if LIFELINE in readable and not os.read(LIFELINE, 1):
            break
    if status is None:
        status = _end(leader, grace)
    _kill_all(leader)
    return status


def _end(leader: int, grace: float) -> int:
    """TERM to everyone, a while for the program to end by itself, then KILL."""
    for process in _descendants():
        _send(process, signal.SIGTERM)
    until = time.monotonic() + grace
    while time.monotonic() < until:
        status = _collect(leader)
        if status is not None:
            return status
        time.sleep(POLL_SECONDS)
    status = _kill_all(leader)
    return signal.SIGKILL if status is None else status


def _kill_all(leader: int) -> int | None:
    """KILL until nobody is left; the program's status if it was among them.

    Everyone is stopped first, so that nobody starts another between being counted and being killed.
    """
    found: int | None = None
    while True:
        seen: set[int] = set()
        while True:
            present = set(_descendants())
            for process in present - seen:
                _send(process, signal.SIGSTOP)
            if present <= seen:
                break
            seen |= present
        for process in seen:
            _send(process, signal.SIGKILL)
        if not seen:
            status = _collect(leader)
            return found if status is None else status
        status = _collect(leader)
        found = found if status is None else status
        time.sleep(POLL_SECONDS)


def _collect(leader: int) -> int | None:
    """Collect every child that has ended; the status of ``leader`` if it is one of them."""
    found = None
    while True:
        try:
            process, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if process == 0:
            return found
        if process == leader:
            found = status


def _descendants() -> list[int]:
    """All processes below this one that have not ended, from /proc (elsewhere than on Linux: none are found there)."""
    parents: dict[int, int] = {}
    ended: set[int] = set()
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as handle:
                fields = handle.read().rpartition(b")")[2].split()
        except OSError:
            continue  # it has ended in between
        parents[int(name)] = int(fields[1])
        if fields[0] in (b"Z", b"X"):
            ended.add(int(name))
    own = {os.getpid()}
    below: list[int] = []
    growing = True
    while growing:
        growing = False
        for process, parent in parents.items():
            if parent in own and process not in own:
                own.add(process)
                below.append(process)
                growing = True
    return [process for process in below if process not in ended]


def _send(process: int, number: int) -> None:
    try:
        os.kill(process, number)
    except ProcessLookupError:
        return  # it has ended: what was wanted


def _drain(descriptor: int) -> None:
    try:
        while os.read(descriptor, 4096):
            continue
    except BlockingIOError:
        return


if __name__ == "__main__":
    outcome = main(sys.argv[1:])
    if os.WIFSIGNALED(outcome):
        number = os.WTERMSIG(outcome)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    sys.stdout.flush()
    os._exit(os.waitstatus_to_exitcode(outcome))
