"""The closing table of a terminal."""

from collections.abc import Sequence

from ci.records.results import Entry
from ci.report.shown import Column, columns_of, number, passed

# Headings that are narrower here than elsewhere.
SHORT = {"environments": "envs", "mean return": "return", "episode length": "ep. len", "long samples/s": "long s/s"}


def result_lines(entries: Sequence[Entry]) -> list[str]:
    """One aligned line per case under a header, in the order given; never cut off."""
    columns = [column for column in columns_of(entries) if not column.field.endswith("_seconds")]
    table = [("case", "result", *(SHORT.get(column.heading, column.heading) for column in columns), "seconds")]
    for entry in entries:
        result = "passed" if passed(entry) else f"FAILED {entry.row.failure or ''}".rstrip()
        table.append((entry.row.case, result, *(_cell(column, entry) for column in columns), _seconds(entry)))
    widths = [max(len(line[index]) for line in table) for index in range(len(table[0]))]
    lines = []
    for line in table:
        left = [word.ljust(width) for word, width in zip(line[:2], widths[:2], strict=True)]
        right = [word.rjust(width) for word, width in zip(line[2:], widths[2:], strict=True)]
        lines.append("  ".join([*left, *right]).rstrip())
    return lines


def _cell(column: Column, entry: Entry) -> str:
    return column.text(entry.row)


def _seconds(entry: Entry) -> str:
    return number(entry.row.seconds, ".1f")
