"""Running what is measured: each a program of its own with a deadline and a log, none left behind."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

STOP_SECONDS = 20.0  # between TERM and KILL: a training ends with its iteration
TAIL_LINES = 15

Job = TypeVar("Job")
Made = TypeVar("Made")


class ProgramError(Exception):
    """A program did not do what it was run for; the message says what, ``tail`` is the end of its log."""

    def __init__(self, what: str, reason: str, tail: str):
        super().__init__(f"{what}: {reason}")
        self.what, self.reason, self.tail = what, reason, tail


@dataclass(frozen=True)
class Ended:
    """How a program ended; ``returncode`` is negative for a signal."""

    name: str
    log: Path
    returncode: int
    seconds: float
    timed_out: bool

    @property
    def how(self) -> str:
        """In words."""
        if self.timed_out:
            return f"still ran at its deadline, after {self.seconds:.0f} s"
        if self.returncode < 0:
            return f"ended by {signal.Signals(-self.returncode).name}"
        return f"exit code {self.returncode}"

    def require(self) -> "Ended":
        """This, or ProgramError unless the program succeeded."""
        if self.timed_out or self.returncode != 0:
            raise ProgramError(self.name, self.how, log_tail(self.log))
        return self

    def result(self) -> dict[str, Any]:
        """The JSON object that a successful program printed last; ProgramError when there is none."""
        return last_json(self.require())


def log_tail(log: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log that have something on them."""
    if not log.exists():
        return ""
    text = log.read_text(encoding="utf-8", errors="replace")
    return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])


def last_json(ended: Ended) -> dict[str, Any]:
    """The last line that is a JSON object: libraries may say something after it, when the process ends."""
    for line in reversed(ended.log.read_text(encoding="utf-8", errors="replace").splitlines()):
        if line.startswith("{"):
            with contextlib.suppress(ValueError):
                return json.loads(line)
    raise ProgramError(ended.name, "printed no result: no line of its log is a JSON object", log_tail(ended.log))


class Programs:
    """Runs programs, several at once from several threads; used as a context, it ends what still runs on leaving.

    Args:
        folder: where the logs go.
        environment: variables on top of this process's own, for every program.

    Attributes:
        commands: what was started, as a person would type it.
    """

    def __init__(self, folder: Path, console: Console, environment: Mapping[str, str] | None = None):
        self.folder = folder
        self.commands: list[str] = []
        self._environment = environment if environment is not None else {}
        self._console = console
        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        self._progress = Progress(*columns, console=console, transient=True)
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def __enter__(self) -> "Programs":
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
        self._progress.stop()

    def run(
        self,
        name: str,
        command: Sequence[str],
        deadline_s: float,
        environment: Mapping[str, str] | None = None,
        hold: Callable[[], object] | None = None,
        folder: Path | None = None,
    ) -> Ended:
        """Run ``command`` to its end or its deadline; its output goes to ``name``.log.

        Args:
            environment: variables on top of those.
            folder: where it runs, if not here.
            hold: called when the program itself has ended; what it has left is killed when that returns.
        """
        log = self.folder / f"{name.replace(' ', '_').replace('/', '_')}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        shown = " ".join([*(f"{key}={value}" for key, value in (environment or {}).items()), *shortened(command)])
        task = self._progress.add_task(name)
        start = time.perf_counter()
        with log.open("wb") as output:
            with self._lock:
                if self._stopped:
                    raise ProgramError(name, "not started: the benchmark was stopped", "")
                process = subprocess.Popen(
                    command,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                    env={**os.environ, **self._environment, **(environment or {})},
                    cwd=folder,
                    start_new_session=True,
                )
                self._running.add(process)
                self.commands.append(shown)
            timed_out = False
            try:
                try:
                    process.wait(deadline_s)
                except subprocess.TimeoutExpired:
                    timed_out = True
                seconds = time.perf_counter() - start
                if hold and not timed_out:
                    hold()
            finally:
                _end([process])
                with self._lock:
                    self._running.discard(process)
                self._progress.remove_task(task)
        ended = Ended(name, log, process.returncode, seconds, timed_out)
        said = "" if ended.returncode == 0 and not timed_out else f"  {ended.how}: {log}"
        self._console.print(f"{seconds:7.1f} s  {name}{said}", markup=False, highlight=False, soft_wrap=True)
        return ended

    def stop(self) -> None:
        """End every program that runs, and start none any more."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        _end(running)

    def spread(self, jobs: Sequence[Job], devices: Sequence[str], work: Callable[[Job, str], Made]) -> list[Made]:
        """``work(job, device)`` for every job, one on a device at a time; results in the order of ``jobs``.

        An exception of ``work`` ends the others' programs and is raised here.
        """
        free: Queue[str] = Queue()
        for device in devices:
            free.put(device)

        def take(job: Job) -> Made:
            device = free.get()
            try:
                return work(job, device)
            finally:
                free.put(device)

        pool = ThreadPoolExecutor(len(devices))
        try:
            return [future.result() for future in [pool.submit(take, job) for job in jobs]]
        except BaseException:
            self.stop()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def shortened(command: Sequence[str]) -> list[str]:
    """The words of a command as a person would type them: this Python is ``python``; and of a path outside this folder
    only its name, for a record is read elsewhere."""
    return ["python" if word == sys.executable else _here(word) for word in command]


def _here(word: str) -> str:
    path = Path(word)
    if not path.is_absolute():
        return word
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else f".../{path.name}"


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """End the programs' process groups: TERM, and KILL for what is still there after ``STOP_SECONDS``."""
    running = [process for process in processes if process.poll() is None]
    for process in running:
        _signal(process, signal.SIGTERM)
    until = time.monotonic() + STOP_SECONDS
    for process in running:
        try:
            process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            _signal(process, signal.SIGKILL)
            process.wait()
    for process in processes:
        _signal(process, signal.SIGKILL)  # children that outlived it


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
