"""What is measured: repeated numbers with a bound, as a row of a table, as JSON and as Markdown."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

COLUMNS = ("figure", "median", "min", "max", "unit", "bound", "verdict")


@dataclass(frozen=True)
class Figure:
    """One line of the table: repeated measurements, and the bound on their median.

    ``at_most`` may be given for what must not be exceeded, ``at_least`` for what must be reached; without either the
    figure is for information.
    """

    name: str
    unit: str
    values: list[float]
    at_least: float | None = None
    at_most: float | None = None

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError(f"{self.name}: a figure without a value; list it as not run instead")

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def ok(self) -> bool:
        """Within the bounds; a figure without one is for information. NaN is within none."""
        above = self.at_least is None or self.median >= self.at_least
        return above and (self.at_most is None or self.median <= self.at_most)

    @property
    def bound(self) -> str:
        bounds = [(self.at_least, "at least"), (self.at_most, "at most")]
        return " and ".join(f"{words} {shown(bound)}" for bound, words in bounds if bound is not None)

    @property
    def verdict(self) -> str:
        if not self.bound:
            return ""
        return "ok" if self.ok else "MISSED"

    @property
    def row(self) -> tuple[str, ...]:
        """The cells of ``COLUMNS``; a single value has no range."""
        spread = [shown(value) for value in (min(self.values), max(self.values))] if len(self.values) > 1 else ["", ""]
        return (self.name, shown(self.median), *spread, self.unit, self.bound, self.verdict)


def shown(value: float) -> str:
    """A number as the tables show it: three digits, or all digits before the point."""
    return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def figure_as_json(figure: Figure) -> dict[str, Any]:
    """The figure with its median and whether it is within its bounds, for a JSON file."""
    return {**asdict(figure), "median": figure.median, "ok": figure.ok}


def figure_from_json(content: Mapping[str, Any]) -> Figure:
    """What `figure_as_json` gave; the median and the verdict are formed anew. KeyError, TypeError, ValueError."""
    return Figure(
        content["name"],
        content["unit"],
        [float(value) for value in content["values"]],
        content["at_least"],
        content["at_most"],
    )


def figure_table(figures: Iterable[Figure], title: str) -> Table:
    """Median, spread and bound of every figure."""
    table = Table(*COLUMNS, title=title)
    for figure in figures:
        table.add_row(*figure.row)
    return table


def print_table(figures: Sequence[Figure], console: Console) -> None:
    """Print `figure_table`."""
    console.print(figure_table(figures, "Speed"))


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table; a vertical bar in a cell stays one."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    return [line(columns), "|" + "---|" * len(columns), *(line(row) for row in rows)]
