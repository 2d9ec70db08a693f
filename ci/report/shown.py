"""What all reports share: the verdict, the order of the cases, why one failed, and how numbers and logs are shown."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ci.failures.classify import Failure
from ci.failures.table import FAILURES
from ci.files import tail
from ci.gate.findings import Finding
from ci.records.results import CaseRow, Entry, StageRecord

LOG_LINES = 30
LINE_CHARACTERS = 1_000  # of a line of a log; a longer one is cut in its middle
NOTHING = "-"

# Terminal sequences (colours, cursor, titles), then what else no document may hold.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True)
class Column:
    """A number of a case's row: what a table calls it, the field, and the format of its value."""

    heading: str
    field: str
    style: str
    always: bool = True  # False: only where there is something to show

    def value(self, row: CaseRow) -> float | None:
        """The number, None where the case has none."""
        value: float | None = getattr(row, self.field)
        return value

    def text(self, row: CaseRow) -> str:
        return number(self.value(row), self.style)


COLUMNS = (
    Column("envs", "num_envs", "d"),
    Column("samples", "samples", ",d"),
    Column("samples/s", "samples_per_s", ",.0f"),
    Column("long samples", "long_samples", ",d", always=False),
    Column("long samples/s", "long_samples_per_s", ",.0f", always=False),
    Column("mean return", "mean_return", ".3f"),
    Column("episode length", "mean_ep_len", ".1f"),
    Column("episodes", "episodes", "d"),
    Column("frames", "frames", "d"),
    Column("train s", "train_seconds", ".1f"),
    Column("long s", "long_seconds", ".1f", always=False),
    Column("test s", "test_seconds", ".1f"),
    Column("viz s", "viz_seconds", ".1f"),
    Column("repeats", "repeats", "d", always=False),
)


def columns_of(entries: Iterable[Entry]) -> tuple[Column, ...]:
    """The columns; those of a long training and of repetitions only where a case has some."""
    rows = [entry.row for entry in entries]
    return tuple(column for column in COLUMNS if column.always or any(column.value(row) for row in rows))


def passed(entry: Entry) -> bool:
    """Whether a case passed: its row says so and its journal shows it."""
    return entry.row.final_ok and entry.result is not None and entry.result.ok


def all_pass(entries: Sequence[Entry], findings: Sequence[Finding]) -> bool:
    """The verdict: there are cases, every one of them passed, and nothing else was found."""
    return bool(entries) and not findings and all(passed(entry) for entry in entries)


def verdict(entries: Sequence[Entry], findings: Sequence[Finding]) -> str:
    """'all_pass True: 37 of 37 cases passed', with the number of findings when there are some."""
    text = f"all_pass {all_pass(entries, findings)}: {sum(map(passed, entries))} of {len(entries)} cases passed"
    return f"{text}, {len(findings)} finding{'s' if len(findings) > 1 else ''}" if findings else text


def in_order(entries: Sequence[Entry]) -> list[Entry]:
    """Failures first, then by name."""
    return sorted(entries, key=lambda entry: (passed(entry), entry.row.case))


@dataclass(frozen=True)
class Trouble:
    """Why a case did not pass: the stage where it ended ('case' before the first), its failure, that stage's log."""

    stage: str
    failure: Failure
    log: Path | None

    @property
    def kind(self) -> str:
        return self.failure.kind

    @property
    def message(self) -> str:
        return self.failure.message or self.failure.about.meaning

    @property
    def remedy(self) -> str:
        return self.failure.about.remedy


def trouble(entry: Entry) -> Trouble | None:
    """Why the case did not pass; None when it did."""
    if passed(entry):
        return None
    row, result = entry.row, entry.result
    if result is None:
        said = f": {row.note}" if row.note else ""
        kind = row.failure if row.failure in FAILURES else "no_evidence"
        return Trouble("case", Failure(kind, f"attempts.json is missing or cannot be read{said}"), None)
    record = _failed_record(entry)
    failure = result.failure or (record.failure if record else None)
    if failure is None and result.ok:
        failure = Failure("no_evidence", "attempts.json says that it passed, best_by_case.tsv that it did not")
    if failure is None:
        failure = Failure("unexpected" if result.finished else "not_run", result.note or "it did not finish")
    return Trouble(record.name if record else "case", failure, record.log if record else None)


def _failed_record(entry: Entry) -> StageRecord | None:
    result = entry.result
    if result is None:
        return None
    for record in (result.data, result.prior):
        if record is not None and not record.ok:
            return record
    return result.attempts[-1].failed_stage if result.attempts else None


@dataclass(frozen=True)
class Explained:
    """A finding as a report shows it. Of a case that failed it tells the failure itself, and what that one asks for."""

    finding: Finding
    message: str
    remedy: str


def explained(findings: Sequence[Finding], entries: Sequence[Entry]) -> list[Explained]:
    """``findings`` in their order, each with its message and its remedy."""
    troubles = {entry.row.case: trouble(entry) for entry in entries}
    lines = []
    for finding in findings:
        own = troubles.get(finding.case) if finding.kind == "failed" else None
        message = f"{own.stage} failed ({own.kind}): {own.message}" if own else finding.message
        lines.append(Explained(finding, message, own.remedy if own else finding.about.remedy))
    return lines


def number(value: float | None, style: str) -> str:
    """A number in ``style``; '-' for none; 'nan' and 'inf' as they are, also where whole numbers are expected."""
    if value is None:
        return NOTHING
    if not math.isfinite(value):
        return str(float(value))
    return format(value, style)


def printable(text: str) -> str:
    """``text`` without terminal sequences, its lines ended by \\n; what no document can hold becomes U+FFFD."""
    lines = _ESCAPES.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", lines)


def log_tail(log: Path | None, lines: int = LOG_LINES) -> list[str]:
    """The last lines of a log, fit for a document; [] when there is none."""
    return [_shortened(printable(line)) for line in tail(log, lines)] if log is not None else []


def _shortened(line: str) -> str:
    left_out = len(line) - LINE_CHARACTERS
    if left_out <= 0:
        return line
    half = LINE_CHARACTERS // 2
    return f"{line[:half]} [... {left_out:,} characters ...] {line[-half:]}"
