"""The folder of a run: making it, finding it again, and keeping two runs out of one."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from ci.errors import UsageError, nearest
from ci.journal import NAME as JOURNAL
from ci.journal import read_journal
from ci.plan.plan import Plan, read_plan
from ci.records import CaseResult
from ci.run_record import NAME as RUN
from ci.run_record import RunRecord, read_run

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


def read_root(root: Path) -> tuple[RunRecord, Plan]:
    """What the run in ``root`` was asked to do. UsageError when its files do not say."""
    try:
        return read_run(root / RUN), read_plan(root / PLAN)
    except FileNotFoundError as error:
        raise UsageError(f"{root} cannot be gone on with: {Path(error.filename).name} is missing.") from error
    except ValueError as error:
        raise UsageError(f"{root} cannot be gone on with: {error}.") from error


def read_case(repository: Path, root: Path, name: str) -> CaseResult | None:
    """What the journal in ``root`` says of a case; None when it was not begun. UsageError when it cannot be read."""
    try:
        return read_journal(root / "runs" / name / JOURNAL, repository)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UsageError(f"{error}. Remove that folder to have the case run again.") from error


def set_case_aside(root: Path, name: str) -> None:
    """Rename the folder of a case that is to start again, so that nothing in it is taken for the new results."""
    folder = root / "runs" / name
    number = 1
    while (aside := root / "runs" / f"{name}.earlier{number}").exists():
        number += 1
    if folder.exists():
        os.replace(folder, aside)


def require_same_code(record: RunRecord, found: tuple[str, str]) -> None:
    """UsageError when the code is not what the run was started with: half a table would come from other code."""
    if (record.commit, record.changes) != found:
        raise UsageError(
            f"the run was started with commit {record.commit[:12]}{' and changes to it' if record.changes else ''}, "
            f"this is {found[0][:12]}{' with changes' if found[1] else ''}: check that out to go on, or start a new "
            "run of what failed with --retry-failed."
        )
