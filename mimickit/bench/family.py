"""A program and all that it starts: who of them is there, and their end."""

import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from ci.run.supervisor import kill_all, processes

VARIABLE = "MIMICKIT_BENCH_FAMILY"
TRAININGS = (b"spawn_main", b"run.py")  # in the command line: of our own launcher's processes, and of torchrun's
_PROC = Path("/proc")


class Family:
    """The processes whose environment has a variable that this gives them.

    So those are found too that lost their parents or began a session of their own. One stays in the family until it
    has ended: while it is being killed its memory is gone, and with it its environment, but a driver may still hold it.
    Linux only; elsewhere nobody is found.
    """

    def __init__(self) -> None:
        self._mark = secrets.token_hex(8)
        self._seen: set[int] = set()

    @property
    def environment(self) -> Mapping[str, str]:
        """To start the program with."""
        return {VARIABLE: self._mark}

    def alive(self) -> set[int]:
        """Process ids of all that have not ended."""
        entry = f"{VARIABLE}={self._mark}".encode()
        found = set()
        for pid in (pid for pid, (_, _, ended) in processes().items() if not ended):
            variables = _read(pid, "environ").split(b"\0")
            if entry in variables or (pid in self._seen and variables == [b""]):
                found.add(pid)
        self._seen = found
        return found

    def trainings(self) -> list[int]:
        """The training processes that the program started, in order: process ids grow."""
        alive, present = self.alive(), processes()
        parents = {pid: present[pid][0] for pid in alive if pid in present}
        programs = {pid for pid, parent in parents.items() if parent == os.getpid()}
        started = sorted(pid for pid, parent in parents.items() if parent in programs)
        return [pid for pid in started if any(word in _read(pid, "cmdline") for word in TRAININGS)]

    def kill(self, seconds: float) -> None:
        """KILL all of them, and wait so long for their end."""
        kill_all(self.alive, lambda: None, seconds)


def described(pid: int) -> str:
    """A process for a person: its id and the beginning of its command."""
    words = _read(pid, "cmdline").replace(sys.executable.encode(), b"python").split(b"\0")
    return f"{pid} ({b' '.join(words).decode(errors='replace').strip()[:80] or 'being ended'})"


def _read(pid: int, name: str) -> bytes:
    """Empty for a process that is gone, or another user's."""
    try:
        return (_PROC / str(pid) / name).read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""
