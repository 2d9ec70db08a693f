"""The last green run: what a report compares with."""

from collections.abc import Mapping
from pathlib import Path

from ci.files import read_json_object
from ci.records.results import CaseRow
from ci.records.roots import ROWS
from ci.records.run_record import NAME as RUN
from ci.records.tables import read_rows


def find_last_green(parent: Path, root: Path) -> Path | None:
    """The last folder below ``parent``, begun before ``root``, whose run passed with the same profile and engine.

    Of several, those that share the most cases with ``root`` come first: a run of a single case does not hide last
    night's. A folder whose run.json or table cannot be read is no green run, and neither is one without a common case.
    """
    own = _run(root)
    if own is None:
        return None
    cases = _cases(root)
    earlier = [
        (shared, str(run.get("started")), path)
        for path in parent.iterdir()
        if path != root
        and (run := _run(path)) is not None
        and run.get("all_pass") is True
        and (run.get("profile"), run.get("engine")) == (own.get("profile"), own.get("engine"))
        and str(run.get("started")) < str(own.get("started"))
        and (shared := len(cases & _cases(path)))
    ]
    return max(earlier)[2] if earlier else None


def read_baseline(source: Path) -> Mapping[str, CaseRow]:
    """The rows of a run's folder, or of a best_by_case.tsv, by case. FileNotFoundError, ValueError."""
    return {row.case: row for row in read_rows(source / ROWS if source.is_dir() else source)}


def _run(root: Path) -> dict[str, object] | None:
    try:
        return read_json_object(root / RUN)
    except (OSError, ValueError):
        return None


def _cases(root: Path) -> set[str]:
    try:
        return set(read_baseline(root))
    except (OSError, ValueError):
        return set()
