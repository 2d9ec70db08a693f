"""A night's numbers beside those of the nights before it: which of them are outside of the spread."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ci.trend.history import HistoryRow
from ci.trend.nights import Nights

NIGHTS = 10  # earlier green nights that a number is compared with, at most
FEWEST = 3  # and at least
# A number is outside when it is farther below the smallest, or above the largest, than half of what lies between the
# two. Of numbers that only scatter, 1.8 in a hundred are: without this margin it would be 18 (ten normal deviates).
MARGIN = 0.5
LEAST = 0.01  # of the median: where the earlier numbers are all but equal, nobody wants to know of less


@dataclass(frozen=True)
class Measure:
    """A number of a row: what a table calls it, its column, and its format."""

    heading: str
    column: str
    style: str


THROUGHPUT = (
    Measure("samples/s", "samples_per_s", ",.0f"),
    Measure("long samples/s", "long_samples_per_s", ",.0f"),
)
LEARNING = (Measure("mean return", "mean_return", ".3f"),)


@dataclass(frozen=True)
class Compared:
    """A number and the same of earlier nights, oldest first."""

    row: HistoryRow
    measure: Measure
    value: float
    earlier: tuple[float, ...]

    @property
    def enough(self) -> bool:
        return len(self.earlier) >= FEWEST

    @property
    def median(self) -> float:
        return statistics.median(self.earlier)

    @property
    def low(self) -> float:
        return min(self.earlier)

    @property
    def high(self) -> float:
        return max(self.earlier)

    @property
    def ratio(self) -> float | None:
        """To the median; None where it would say nothing."""
        return self.value / self.median if self.value > 0.0 and self.median > 0.0 else None

    @property
    def distance(self) -> float:
        """From the median, as a part of it."""
        return abs(self.value - self.median) / abs(self.median) if self.median else math.inf

    @property
    def way(self) -> str:
        """'lower' or 'higher' than the spread; '' within it."""
        margin = max(MARGIN * (self.high - self.low), LEAST * abs(self.median))
        if self.value < self.low - margin:
            return "lower"
        return "higher" if self.value > self.high + margin else ""


def compare(nights: Nights, measures: Sequence[Measure]) -> list[Compared]:
    """Each of the ``measures`` of each case that passed this night and has it."""
    return [_compared(nights, row, measure) for row in _green(nights) for measure in measures if _value(row, measure)]


def _green(nights: Nights) -> Iterable[HistoryRow]:
    for profile in nights.profiles:
        for _, row in sorted(nights.sweep(profile).items()):
            if row.passed:
                yield row


def _compared(nights: Nights, row: HistoryRow, measure: Measure) -> Compared:
    (value,) = _value(row, measure)
    earlier = [number for one in nights.earlier_green(row, NIGHTS) for number in _value(one, measure)]
    return Compared(row, measure, value, tuple(earlier))


def _value(row: HistoryRow, measure: Measure) -> tuple[float, ...]:
    """The number, or nothing."""
    value = getattr(row, measure.column)
    return () if value is None else (float(value),)
