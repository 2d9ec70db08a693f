"""The folder of a run: making it, finding it again, and keeping two runs out of one."""

import fcntl
from collections.abc import Iterator
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
def locked(root: Path) -> Iterator[None]:
    """Hold the root; the kernel lets go of it when this process dies.

    UsageError when another process holds it, or when nothing can be written there.
    """
    try:
        lock = (root / _LOCK).open("w")
    except OSError as error:
        raise UsageError(f"{root} cannot be written: {error.strerror}.") from error
    with lock as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"another process is at work in {root}.") from None
        yield
