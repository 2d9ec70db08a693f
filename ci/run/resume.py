"""Going on with a run: what its folder says was asked for, and how far each case came."""

import os
from pathlib import Path

from ci.errors import UsageError
from ci.plan.plan import Plan, read_plan
from ci.records.journal import NAME as JOURNAL
from ci.records.journal import read_journal
from ci.records.results import CaseResult
from ci.records.roots import PLAN
from ci.records.run_record import NAME as RUN
from ci.records.run_record import RunRecord, read_run


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
