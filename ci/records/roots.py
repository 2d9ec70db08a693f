"""The folder of a run: making it, finding it again, and keeping two runs out of one."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from ci.errors import UsageError, nearest
from ci.records.run_record import NAME as RUN

PARENT = Path("output") / "train"
DEFAULT_NAME = "case_e2e_all_"
PLAN = "plan.json"
ROWS = "best_by_case.tsv"
MANIFEST = "case_manifest.tsv"
JUNIT = "junit.xml"
SUMMARY = "summary.md"
PAGE = "report.html"
FINDINGS = "findings.json"
PROGRESS = "progress.json"
_LOCK = ".lock"
_LOCK_POLL_SECONDS = 0.1


def make_root(parent: Path, name: str | None, stem: str = DEFAULT_NAME) -> Path:
    """A folder that did not exist before: results of an earlier run can never be taken for this one's."""
    if name is not None:
        names = [name]
    else:
        stem += datetime.now().strftime("%Y%m%d_%H%M%S")
        names = [stem, *(f"{stem}_{number}" for number in range(2, 10))]
    for root in (parent / name for name in names):
        try:
            root.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise UsageError(f"{root} cannot be made: {error}.") from error
        return root
    raise UsageError(f"{parent / names[-1]} exists already: choose another --root-out, or remove it.")


def find_root(repository: Path, given: str) -> Path:
    """The root that a person means by its path or by its name alone. UsageError when it is none."""
    parent = repository / PARENT
    for path in (Path(given), parent / given):
        if (path / RUN).is_file():
            return path.resolve()
    known = [path.parent.name for path in sorted(parent.glob(f"*/{RUN}"))]
    raise UsageError(f"{given} is no root of a run: it has no {RUN}{nearest(Path(given).name, known)}")


@contextmanager
def locked(root: Path, wait: float = 0.0, on_wait: Callable[[], None] | None = None) -> Iterator[int]:
    """Hold the root, and yield the lock's descriptor: whoever inherits it holds the root, too, until it ends.

    A killed run's programs may take a while to end: ``wait`` is for how many seconds to try, and ``on_wait`` is called
    once when there is somebody to wait for. UsageError, with the number of the process that took the lock, when the
    root is still held then; UsageError when nothing can be written there.
    """
    try:
        lock = os.open(root / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise UsageError(f"{root} cannot be written: {error.strerror}.") from error
    try:
        _take(lock, root, wait, on_wait)
        yield lock
    finally:
        os.close(lock)  # and no unlocking, which would be for all who hold it


def _take(lock: int, root: Path, wait: float, on_wait: Callable[[], None] | None) -> None:
    until = time.monotonic() + wait
    waiting = False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() >= until:
                holder = os.pread(lock, 32, 0).decode(errors="replace").strip() or "of unknown number"
                raise UsageError(
                    f"another process is at work in {root}: process {holder}, or a program it started that has not "
                    "ended yet."
                ) from None
        if not waiting and on_wait is not None:
            on_wait()
        waiting = True
        time.sleep(_LOCK_POLL_SECONDS)
    try:
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    except OSError as error:
        raise UsageError(f"{root} cannot be written: {error.strerror}.") from error
