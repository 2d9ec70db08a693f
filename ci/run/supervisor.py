"""Stands between the matrix and one program it started, so that nothing the program starts outlives it.

``python -I -S supervisor.py GRACE_SECONDS CORES KEPT PROGRAM [ARGUMENT ...]``. Descendants that lose their parent
become this process's children, even those in a session of their own, so all of them can be found. They are ended (TERM,
and KILL after GRACE_SECONDS) when the program has ended, when this process gets a TERM, and when its standard input
closes: the matrix holds the other end of it, and however the matrix dies, the kernel closes that. The grace is the same
then: a long training still writes its checkpoint. A TERM during the grace ends it. When this process itself is killed,
the kernel kills the program.

CORES is a list as in ``0,1``, or ``all``. KEPT lists descriptors that this process holds until it ends and that the
program does not get, or is ``none``: with the root's lock among them, nobody else starts work in the root while
somebody of this run is left in it.

This process then ends as the program did: with its exit code, or by the same signal. It imports next to nothing: it
starts with every stage.
"""

import ctypes
import os
import select
import signal
import sys
import time
from collections.abc import Callable

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
POLL_SECONDS = 0.02
CANNOT_START = 127
LIFELINE = 0  # standard input
ENDED = (b"Z", b"X")  # states of a thread in /proc
HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


def main(arguments: list[str]) -> int:
    """Run the program to its end; returns its status as ``os.waitpid`` gives it."""
    grace, cores, kept, program = float(arguments[0]), arguments[1], arguments[2], arguments[3:]
    set_for_process(PR_SET_CHILD_SUBREAPER, 1)
    if sys.platform == "linux" and cores != "all":
        os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    if kept != "none":
        for descriptor in kept.split(","):
            os.set_inheritable(int(descriptor), False)
    wake_read, wake_write = os.pipe()
    for end in (wake_read, wake_write):
        os.set_blocking(end, False)
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the matrix decides what Ctrl-C means
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    leader = _start(program)
    status: int | None = None
    while status is None and not asked:
        readable, _, _ = select.select([LIFELINE, wake_read], [], [])
        if wake_read in readable:
            _drain(wake_read)
        status = _collect(leader)
        if LIFELINE in readable and not os.read(LIFELINE, 1):
            break
    if status is None:
        status = _end(leader, grace, asked)
    rest = _kill_everyone(leader)
    if status is None:
        status = signal.SIGKILL.value if rest is None else rest
    return status


def set_for_process(option: int, value: int) -> None:
    """``prctl(option, value)`` on Linux; nothing elsewhere."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def processes() -> dict[int, tuple[int, int, bool]]:
    """Of every process: its parent, its session, and whether it has ended. From /proc; elsewhere than on Linux: {}."""
    found: dict[int, tuple[int, int, bool]] = {}
    if sys.platform == "linux":
        for name in os.listdir("/proc"):
            fields = _stat(f"/proc/{name}/stat") if name.isdigit() else []
            if fields:  # else it has ended in between
                found[int(name)] = int(fields[1]), int(fields[3]), fields[0] in ENDED and not _has_live_thread(name)
    return found


def below(ancestors: set[int], present: dict[int, tuple[int, int, bool]]) -> set[int]:
    """Those of ``present`` that descend from ``ancestors`` and have not ended."""
    family = set(ancestors)
    growing = True
    while growing:
        children = {process for process, (parent, _, _) in present.items() if parent in family} - family
        family |= children
        growing = bool(children)
    return {process for process in family - ancestors if not present[process][2]}


def kill_all(find: Callable[[], set[int]], collect: Callable[[], None], seconds: float = float("inf")) -> None:
    """KILL until ``find`` names nobody, at most for ``seconds``; ``collect`` is to collect who has ended.

    Everyone is stopped first, so that nobody starts another between being counted and being killed. Who may not be
    killed (a program with another owner) is left alone.
    """
    refused: set[int] = set()
    until = time.monotonic() + seconds
    while True:
        seen: set[int] = set()
        while True:
            present = find() - refused
            refused |= {process for process in present - seen if not send(process, signal.SIGSTOP)}
            if present <= seen:
                break
            seen |= present
        for process in seen - refused:
            send(process, signal.SIGKILL)
        collect()
        if not seen or time.monotonic() >= until:
            return
        time.sleep(POLL_SECONDS)


def send(process: int, number: int) -> bool:
    """Send a signal. False, and a line on standard error, when this process may not; who has ended needs none."""
    try:
        os.kill(process, number)
    except ProcessLookupError:
        return True
    except PermissionError:
        _say(f"process {process} may not be ended by the one that started it")
        return False
    return True


def _start(program: list[str]) -> int:
    """Start the program, as posix_spawn would, and bound to this process's life, which posix_spawn cannot."""
    supervisor = os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)  # no handler of this process's is to run in the child
    leader = os.fork()
    if leader == 0:
        try:
            _become(program, supervisor)
        except OSError as error:
            _say(f"{program[0]} cannot be started: {error.strerror}")
        finally:
            os._exit(CANNOT_START)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
    return leader


def _become(program: list[str], supervisor: int) -> None:
    os.dup2(os.open(os.devnull, os.O_RDONLY), LIFELINE)
    signal.set_wakeup_fd(-1)
    for number in (*HANDLED, *IGNORED_BY_PYTHON):
        signal.signal(number, signal.SIG_DFL)
    set_for_process(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != supervisor:  # it died in between
        os._exit(CANNOT_START)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
    os.execvp(program[0], program)


def _end(leader: int, grace: float, asked: list[int]) -> int | None:
    """TERM to everyone, and a while for the program to end by itself; its status if it does.

    A TERM to this process meanwhile ends the while.
    """
    told = len(asked)
    for process in _descendants():
        send(process, signal.SIGTERM)
        send(process, signal.SIGCONT)  # who is stopped does not see the TERM
    until = time.monotonic() + grace
    status = _collect(leader)
    while status is None and time.monotonic() < until and len(asked) == told:
        time.sleep(POLL_SECONDS)
        status = _collect(leader)
    return status


def _kill_everyone(leader: int) -> int | None:
    """KILL until nobody is left; the program's status if it was among them."""
    found: list[int] = []

    def collect() -> None:
        status = _collect(leader)
        if status is not None:
            found.append(status)

    kill_all(_descendants, collect)
    return found[0] if found else None


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


def _descendants() -> set[int]:
    return below({os.getpid()}, processes())


def _has_live_thread(process: str) -> bool:
    """Whether a thread still runs: a process whose first thread has ended looks as if all of it had."""
    try:
        threads = os.listdir(f"/proc/{process}/task")
    except OSError:
        return False
    states = [_stat(f"/proc/{process}/task/{thread}/stat")[:1] for thread in threads]
    return any(state and state[0] not in ENDED for state in states)


def _stat(path: str) -> list[bytes]:
    """The fields behind the name: state, parent, group, session, ...; [] when the process is not there any more."""
    try:
        with open(path, "rb") as handle:
            return handle.read().rpartition(b")")[2].split()
    except OSError:
        return []


def _say(text: str) -> None:
    try:
        os.write(2, f"{text}\n".encode())
    except OSError:
        return  # the log's disk is full: no reason to leave somebody running


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
