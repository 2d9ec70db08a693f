"""One merged root as rows of the history: what its files say of each case that was planned, and of the run."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ci.failures.table import FAILURES
from ci.files import read_json_object
from ci.gate.findings import KINDS, Finding
from ci.plan.plan import read_plan
from ci.profiles import PROFILES
from ci.records.results import CaseRow
from ci.records.roots import FINDINGS, PLAN, ROWS
from ci.records.run_record import NAME as RUN
from ci.records.tables import read_rows
from ci.trend.history import SWEEP, HistoryRow

FAILED = "failed"  # the finding that only repeats a row: the row has its class
JOB = "job"  # the finding that a case's failure brings with it, as it ends its job
NUMBERS = (
    *("samples", "samples_per_s", "mean_return", "mean_ep_len"),
    *("long_samples", "long_samples_per_s", "seconds", "memory_gb"),
)


@dataclass(frozen=True)
class Sweep:
    """A profile's run of one night: the files of its merged root."""

    profile: str
    commit: str
    started: datetime | None  # None when no shard came back
    run: Mapping[str, Any]  # run.json
    planned: tuple[str, ...]
    rows: Mapping[str, CaseRow]
    findings: tuple[Finding, ...]


def read_sweep(root: Path) -> Sweep:
    """The root's four tables. FileNotFoundError; ValueError that names the file and what is wrong with it."""
    plan = read_plan(root / PLAN)
    run = read_json_object(root / RUN)
    rows = read_rows(root / ROWS)
    findings = _findings(root / FINDINGS)
    for key, planned in (("plan", plan.id), ("profile", plan.profile), ("commit", plan.commit), ("shard", [1, 1])):
        if run.get(key) != planned:
            raise ValueError(f"{root / RUN}: '{key}' is {run.get(key)!r}, expected {planned!r}")
    if plan.profile not in PROFILES:
        raise ValueError(f"{root / PLAN}: there is no profile {plan.profile!r}")
    names = {case.name for case in plan.cases}
    if len(rows) != len({row.case for row in rows}) or not names.issuperset(row.case for row in rows):
        raise ValueError(f"{root / ROWS}: its cases are not those of {PLAN}, each once")
    unknown = sorted({row.failure for row in rows if row.failure} - set(FAILURES))
    if unknown:
        raise ValueError(f"{root / ROWS}: no such class of failure: {', '.join(unknown)}")
    return Sweep(
        profile=plan.profile,
        commit=plan.commit,
        started=_started(root / RUN, run),
        run=run,
        planned=tuple(case.name for case in plan.cases),
        rows={row.case: row for row in rows},
        findings=tuple(findings),
    )


def rows_of(sweep: Sweep, night: str, run_url: str | None) -> list[HistoryRow]:
    """A row for each planned case, and one for the run when something speaks against it that no case accounts for."""
    rows = [_row(sweep, name, night, run_url) for name in sweep.planned]
    all_passed = all(row.passed for row in rows)
    found = [
        *(one.kind for one in sweep.findings if one.case not in sweep.planned and (all_passed or one.kind != JOB)),
        *(["inconsistent"] if (sweep.run.get("all_pass") is True) is not (all_passed and not sweep.findings) else []),
    ]
    if found:
        seconds = sweep.run.get("seconds")
        rows.append(
            HistoryRow(
                **_shared(sweep, night, run_url),
                device_name=None,
                case=SWEEP,
                passed=False,
                failure=found[0],
                seconds=_finite(seconds if isinstance(seconds, (int, float)) else None),
            )
        )
    return rows


def lost_row(profile: str, night: str, run_url: str | None) -> HistoryRow:
    """What is known of a profile that came to no merged root that night."""
    return HistoryRow(night, None, run_url, None, profile, None, None, None, SWEEP, False, "missing")


def _row(sweep: Sweep, name: str, night: str, run_url: str | None) -> HistoryRow:
    row = sweep.rows.get(name)
    failure = _failure(row, [one.kind for one in sweep.findings if one.case == name])
    numbers: dict[str, Any] = {column: _finite(getattr(row, column, None)) for column in NUMBERS}
    shared = _shared(sweep, night, run_url)
    if row is not None:
        shared |= {"engine": row.engine or shared["engine"], "driver": row.driver or shared["driver"]}
    return HistoryRow(
        **shared,
        device_name=(row.device_name or None) if row else None,
        case=name,
        passed=failure is None,
        failure=failure,
        **numbers,
    )


def _shared(sweep: Sweep, night: str, run_url: str | None) -> dict[str, Any]:
    return {
        "night": night,
        "started": sweep.started.isoformat() if sweep.started else None,
        "run_url": run_url,
        "commit": sweep.commit,
        "profile": sweep.profile,
        "engine": str(sweep.run.get("engine") or "") or None,
        "driver": str(sweep.run.get("driver") or "") or None,
    }


def _failure(row: CaseRow | None, found: Sequence[str]) -> str | None:
    """The class under which a case did not pass; None when it did: its row says so and no finding is about it."""
    if row is None or (row.engine is None and not row.final_ok):
        return "missing"  # a row that merging made up, as no machine is in it
    if row.failure:
        return row.failure
    others = [kind for kind in found if kind != FAILED]
    if others:
        # Among classes of failure, 'unexpected' means a bug; of a planned case the gate means its tests in junit.xml.
        return "inconsistent" if others[0] == "unexpected" else others[0]
    if any(isinstance(value, float) and not math.isfinite(value) for value in vars(row).values()):
        return "non_finite"
    if row.final_ok and not found:
        return None
    return "not_run" if row.train_rc is None else "unexpected"


def _findings(path: Path) -> list[Finding]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = [Finding(**one) for one in content]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a list of findings: {error}") from error
    if not isinstance(content, list):
        raise ValueError(f"{path}: not a list of findings")
    unknown = sorted({str(one.kind) for one in found} - set(KINDS))
    if unknown:
        raise ValueError(f"{path}: no such kind of finding: {', '.join(unknown)}")
    return found


def _started(path: Path, run: Mapping[str, Any]) -> datetime | None:
    text = run.get("started")
    if text == "":
        return None
    try:
        started = datetime.fromisoformat(str(text))
    except ValueError:
        raise ValueError(f"{path}: 'started' is {text!r}, expected an ISO time") from None
    if started.tzinfo is None:
        raise ValueError(f"{path}: 'started' is {text!r}, without the offset from UTC")
    return started


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
