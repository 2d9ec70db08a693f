"""The TSV files of a run: written in one step, and read back without mercy."""

import csv
import io
import types
import typing
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from ci.cases import Case
from ci.files import write_text
from ci.records.results import ROW_COLUMNS, CaseRow

MANIFEST_COLUMNS = ("case", "method", "case_type", "mode", "agent_config", "env_config")


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A TSV with a header line. Tabs and line breaks inside a cell become spaces."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, quotechar=None)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(value) for value in row])
    write_text(path, text.getvalue())


def write_rows(path: Path, rows: Sequence[CaseRow]) -> None:
    """best_by_case.tsv."""
    write_table(path, ROW_COLUMNS, ([getattr(row, name) for name in ROW_COLUMNS] for row in rows))


def write_manifest(path: Path, cases: Sequence[Case]) -> None:
    """case_manifest.tsv: what was selected, before anything ran."""
    columns = ("name", *MANIFEST_COLUMNS[1:])
    write_table(path, MANIFEST_COLUMNS, ([getattr(case, name) for name in columns] for case in cases))


def read_rows(path: Path) -> list[CaseRow]:
    """The rows of a best_by_case.tsv. FileNotFoundError; ValueError that names the file, the line and the column.

    Columns are taken by name: a column that is missing is an error, one that is unknown too, and so is a cell that is
    not what its column holds. Numbers that are not finite are read as they are; judging them is the gate's business.
    """
    lines = path.read_text(encoding="utf-8").split("\n")
    if lines[-1] != "":
        raise ValueError(f"{path}: the last line is cut off")
    header = lines[0].split("\t")
    if sorted(header) != sorted(ROW_COLUMNS):
        missing = sorted(set(ROW_COLUMNS) - set(header))
        unknown = sorted(set(header) - set(ROW_COLUMNS))
        doubled = sorted({name for name in header if header.count(name) > 1})
        raise ValueError(
            f"{path}: line 1 is not the header of best_by_case.tsv: missing {missing}, unknown {unknown}, "
            f"doubled {doubled}"
        )
    return [_read_row(path, number, header, line) for number, line in enumerate(lines[1:-1], start=2)]


def _read_row(path: Path, number: int, header: Sequence[str], line: str) -> CaseRow:
    cells = line.split("\t")
    if len(cells) != len(header):
        raise ValueError(f"{path}: line {number} has {len(cells)} cells for {len(header)} columns")
    values: dict[str, Any] = {}
    for column, cell in zip(header, cells, strict=True):
        try:
            values[column] = _READERS[column](cell)
        except ValueError as error:
            raise ValueError(f"{path}: line {number}, column {column}: {cell!r} is not {error}") from error
    return CaseRow(**values)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float):
        return f"{value:.6g}"
    return " ".join(str(value).replace('"', "'").split())


def _whole(cell: str) -> int:
    try:
        return int(cell)
    except ValueError:
        raise ValueError("a whole number") from None


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        raise ValueError("a number") from None


def _truth(cell: str) -> bool:
    if cell not in ("0", "1"):
        raise ValueError("0 or 1")
    return cell == "1"


def _name(cell: str) -> str:
    if not cell:
        raise ValueError("a name")
    return cell


def _text(cell: str) -> str:
    return cell


def _or_nothing(read: Callable[[str], object]) -> Callable[[str], object]:
    return lambda cell: read(cell) if cell else None


_READER_OF_TYPE: dict[type, Callable[[str], object]] = {int: _whole, float: _number, bool: _truth, str: _name}


def _reader(column: str, hint: Any) -> Callable[[str], object]:
    if column == "note":
        return _text
    if isinstance(hint, types.UnionType):
        (kind,) = (member for member in typing.get_args(hint) if member is not types.NoneType)
        return _or_nothing(_READER_OF_TYPE[kind])
    return _READER_OF_TYPE[hint]


_READERS = {column: _reader(column, hint) for column, hint in typing.get_type_hints(CaseRow).items()}
