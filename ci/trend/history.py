"""history.tsv: what every case came to, night by night. Written in one step, and read back without mercy."""

import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import date, datetime
from pathlib import Path
from typing import Any

from ci.records.tables import write_table

SWEEP = "(the sweep)"  # stands for a profile's whole run where something speaks against no single case


@dataclass(frozen=True)
class HistoryRow:
    """One case of one profile in one night. The fields are the columns, in order; ``None`` is an empty cell.

    A row of the case SWEEP is there only when something speaks against the run as a whole, and never passed.
    """

    night: str  # ISO date
    started: str | None  # of the run; ISO time
    run_url: str | None
    commit: str | None
    profile: str
    engine: str | None
    device_name: str | None
    driver: str | None
    case: str
    passed: bool
    failure: str | None  # a class of ci/failures/table.py, or a kind of ci/gate/findings.py
    samples: int | None = None
    samples_per_s: float | None = None
    mean_return: float | None = None
    mean_ep_len: float | None = None  # control steps
    long_samples: int | None = None
    long_samples_per_s: float | None = None
    seconds: float | None = None
    memory_gb: float | None = None  # 1e9 bytes

    @property
    def run(self) -> tuple[str, str, str | None]:
        """The run it is of: a job that is done again has the same."""
        return self.night, self.profile, self.run_url


COLUMNS = tuple(column.name for column in fields(HistoryRow))


def write_history(path: Path, rows: Iterable[HistoryRow]) -> list[HistoryRow]:
    """Replace the table in one step; returns its rows as they are read from it.

    ValueError, and the table as it was, for rows that could not be read again.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    write_table(draft, COLUMNS, map(astuple, rows))
    try:
        read = read_history(draft)
        os.replace(draft, path)
        return read
    finally:
        draft.unlink(missing_ok=True)


def read_history(path: Path) -> list[HistoryRow]:
    """The rows, in the order of the file. FileNotFoundError; ValueError that names the file, the line and the column.

    Columns are taken by name, all of them and no others; every cell must be what its column holds, every number finite,
    and no case may stand there twice for one run.
    """
    content = path.read_bytes()
    try:
        lines = content.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path}: line {number} is no text: {error}") from error
    if lines[-1] != "":
        raise ValueError(f"{path}: line {len(lines)} is cut off")
    header = lines[0].split("\t")
    if sorted(header) != sorted(COLUMNS):
        missing = sorted(set(COLUMNS) - set(header))
        unknown = sorted(set(header) - set(COLUMNS))
        doubled = sorted({name for name in header if header.count(name) > 1})
        raise ValueError(f"{path}: line 1: columns missing {missing}, unknown {unknown}, doubled {doubled}")
    rows = []
    lines_of: dict[tuple[object, ...], int] = {}
    for number, line in enumerate(lines[1:-1], start=2):
        place = f"{path}: line {number}"
        row = _read_row(place, header, line)
        earlier = lines_of.setdefault((*row.run, row.case), number)
        if earlier != number:
            raise ValueError(f"{place}, column case: {row.case!r} stands in line {earlier} for the same run")
        rows.append(row)
    return rows


def recorded(rows: Iterable[HistoryRow], new: Sequence[HistoryRow]) -> list[HistoryRow]:
    """``rows`` with ``new`` behind those of the same night, in place of what they say of the same runs."""
    runs = {row.run for row in new}
    kept = [row for row in rows if row.run not in runs]
    return sorted([*kept, *new], key=lambda row: row.night)


def last_nights(rows: Iterable[HistoryRow], count: int) -> list[HistoryRow]:
    """The rows of the last ``count`` nights that there are."""
    rows = list(rows)
    kept = set(sorted({row.night for row in rows})[-count:])
    return [row for row in rows if row.night in kept]


def night(text: str) -> str:
    """An ISO date; ValueError when it is none."""
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        raise ValueError("a date such as 2026-11-22")
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise ValueError("a date such as 2026-11-22") from None


def url(text: str) -> str:
    """An address that can stand in a document as it is; ValueError when it is none."""
    if not re.fullmatch(r"https?://[\w.~:/?#%&=+@-]+", text, re.ASCII):
        raise ValueError("an address that begins with https:// or http://")
    return text


def _read_row(place: str, header: Sequence[str], line: str) -> HistoryRow:
    cells = line.split("\t")
    if len(cells) != len(header):
        raise ValueError(f"{place} has {len(cells)} cells for {len(header)} columns")
    values: dict[str, Any] = {}
    for column, cell in zip(header, cells, strict=True):
        try:
            values[column] = _READERS[column](cell)
        except ValueError as error:
            raise ValueError(f"{place}, column {column}: {cell!r} is not {error}") from None
    row = HistoryRow(**values)
    if row.passed is (row.failure is not None):
        raise ValueError(f"{place}, column failure: {row.failure or ''!r} beside passed {int(row.passed)}")
    return row


def _time(cell: str) -> str:
    try:
        datetime.fromisoformat(cell)
    except ValueError:
        raise ValueError("an ISO time") from None
    return cell


def _name(cell: str) -> str:
    if not cell:
        raise ValueError("a name")
    return cell


def _word(cell: str) -> str:
    if not re.fullmatch(r"\w+", cell):
        raise ValueError("one word")
    return cell


def _truth(cell: str) -> bool:
    if cell not in ("0", "1"):
        raise ValueError("0 or 1")
    return cell == "1"


def _whole(cell: str) -> int:
    if not re.fullmatch(r"\d+", cell, re.ASCII):
        raise ValueError("a whole number")
    return int(cell)


def _number(cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError("a finite number")
    return value


def _or_nothing(read: Callable[[str], object]) -> Callable[[str], object]:
    return lambda cell: read(cell) if cell else None


_READERS: Mapping[str, Callable[[str], object]] = {
    **{"night": night, "profile": _word, "case": _name, "passed": _truth},
    **{"started": _or_nothing(_time), "run_url": _or_nothing(url), "failure": _or_nothing(_word)},
    **dict.fromkeys(("commit", "engine", "device_name", "driver"), _or_nothing(_name)),
    **dict.fromkeys(("samples", "long_samples"), _or_nothing(_whole)),
    **dict.fromkeys(
        ("samples_per_s", "mean_return", "mean_ep_len", "long_samples_per_s", "seconds", "memory_gb"),
        _or_nothing(_number),
    ),
}
