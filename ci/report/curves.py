"""Learning curves of a training, as the geometry of small SVG charts that the page draws.

They are drawn here and not by a plotting library because the page takes its colours from the reader's light or dark
setting and forbids style attributes in its security policy, and because one costs 3 kB and less than a millisecond.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ci.report.shown import number

WIDTH, HEIGHT = 460, 210  # the chart, in its own units
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 26, 34  # what lies around the curves: labels, title
MOST_POINTS = 240  # of a curve; of a longer one, the least and the greatest of each stretch
MARKED_POINTS = 60  # up to so many, each is marked and says its value


@dataclass(frozen=True)
class Series:
    """A column of log.txt that is drawn: its name in the legend, which is its colour's too, and the column.

    ``episodes`` is the column that counts what went into a value: with none, the value means nothing.
    """

    name: str
    column: str
    episodes: str


# What is drawn of every training: the title of a chart, and its curves.
CHARTS = (
    (
        "mean return",
        (
            Series("train", "Train_Return", "Train_Episodes"),
            Series("test", "Test_Return", "Test_Episodes"),
        ),
    ),
    (
        "episode length, control steps",
        (
            Series("train", "Train_Episode_Length", "Train_Episodes"),
            Series("test", "Test_Episode_Length", "Test_Episodes"),
        ),
    ),
)


@dataclass(frozen=True)
class Log:
    """The columns of a log.txt, and in words what of it could not be used ('' if nothing)."""

    columns: dict[str, list[float]]
    trouble: str


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: where, and its label."""

    at: float
    label: str


@dataclass(frozen=True)
class Mark:
    """A point of a curve, and what it says when pointed at."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Curve:
    """One series: the path through its finite points (broken where one is not), and its marks if it has few."""

    name: str
    path: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Chart:
    """A chart in units of WIDTH x HEIGHT, y downwards. ``summary`` says in words what it shows."""

    title: str
    summary: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    curves: tuple[Curve, ...]


def read_log(path: Path) -> Log:
    """A training's log.txt. FileNotFoundError; ValueError when it has no row with numbers.

    Rows that are cut off or hold words are left out and counted; numbers that are not finite are kept and counted.
    """
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = [line.split() for line in re.split(r"[\r\n]+", text) if line.strip()]
    header, rows = (lines[0], lines[1:]) if lines else ([], [])
    read = [values for values in map(_numbers, rows) if values is not None and len(values) == len(header)]
    if not read:
        raise ValueError(f"{path.name} holds no row of numbers")
    bad = sum(not math.isfinite(value) for values in read for value in values)
    said = [f"{len(rows) - len(read)} of {len(rows)} rows cannot be read"] if len(read) < len(rows) else []
    said += [f"{bad} number{'s are' if bad > 1 else ' is'} not finite"] if bad else []
    return Log({name: [values[index] for values in read] for index, name in enumerate(header)}, "; ".join(said))


def charts_of(log: Log) -> list[Chart]:
    """Return and episode length over samples, as far as the log has them."""
    samples = log.columns.get("Samples", [])
    charts = []
    for title, wanted in CHARTS:
        series = [(one.name, _points(samples, one, log)) for one in wanted]
        series = [(name, points) for name, points in series if any(math.isfinite(y) for _, y in points)]
        if series:
            charts.append(_chart(title, series))
    return charts


def _numbers(words: Sequence[str]) -> list[float] | None:
    try:
        return [float(word) for word in words]
    except ValueError:
        return None


def _points(samples: Sequence[float], series: Series, log: Log) -> list[tuple[float, float]]:
    values = log.columns.get(series.column, [])
    counts = log.columns.get(series.episodes, [1.0] * len(values))
    return [(x, y) for x, y, count in zip(samples, values, counts, strict=False) if math.isfinite(x) and count != 0.0]


def _chart(title: str, series: Sequence[tuple[str, list[tuple[float, float]]]]) -> Chart:
    finite = [(x, y) for _, points in series for x, y in points if math.isfinite(y)]
    x_low, x_high = 0.0, max(x for x, _ in finite) or 1.0
    x_step = _step(x_high, 5)
    y_low, y_high, y_step = _scale(min(0.0, *(y for _, y in finite)), max(0.0, *(y for _, y in finite)), 4)

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)
        up = (y - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)
        return round(LEFT + across, 1), round(HEIGHT - BOTTOM - up, 1)

    curves = []
    for name, points in series:
        placed = [(*place(x, y), x, y) if math.isfinite(y) else None for x, y in _thinned(points)]
        marks = [
            Mark(left, top, f"{name}: {number(y, '.4g')} at {number(x, ',.0f')} samples")
            for left, top, x, y in filter(None, placed)
        ]
        curves.append(Curve(name, _path(placed), tuple(marks) if len(points) <= MARKED_POINTS else ()))
    return Chart(
        title=title,
        summary=f"{title} over samples; " + "; ".join(_in_words(name, points) for name, points in series),
        x_ticks=tuple(Tick(place(x, y_low)[0], _short(x)) for x in _ticks(x_low, x_high, x_step)),
        y_ticks=tuple(Tick(place(x_low, y)[1], _short(y)) for y in _ticks(y_low, y_high, y_step)),
        curves=tuple(curves),
    )


def _in_words(name: str, points: Sequence[tuple[float, float]]) -> str:
    finite = [y for _, y in points if math.isfinite(y)]
    return f"{name} from {finite[0]:.4g} to {finite[-1]:.4g}"


def _path(placed: Sequence[tuple[float, float, float, float] | None]) -> str:
    words, pen_down = [], False
    for point in placed:
        if point is not None:
            words.append(f"{'L' if pen_down else 'M'}{point[0]:g} {point[1]:g}")
        pen_down = point is not None
    return "".join(words)


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """About MOST_POINTS of ``points`` at most: of each stretch the least and the greatest, or one not finite."""
    if len(points) <= MOST_POINTS:
        return list(points)
    kept = []
    stretch = math.ceil(len(points) / (MOST_POINTS // 2))
    for start in range(0, len(points), stretch):
        part = range(start, min(start + stretch, len(points)))
        lost = [index for index in part if not math.isfinite(points[index][1])]
        if lost:
            kept += lost[:1]
            continue
        ends = {min(part, key=lambda index: points[index][1]), max(part, key=lambda index: points[index][1])}
        kept += sorted(ends)
    return [points[index] for index in kept]


def _scale(low: float, high: float, steps: int) -> tuple[float, float, float]:
    """Round limits around ``low`` .. ``high``, and the distance of the marks between them: 1, 2 or 5 times a power."""
    step = _step((high - low) or abs(high) or 1.0, steps)
    bottom, top = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    return bottom, top if top > bottom else bottom + step, step


def _step(span: float, steps: int) -> float:
    """The least of 1, 2 or 5 times a power of ten that divides ``span`` into at most ``steps``."""
    power = 10.0 ** math.floor(math.log10(span / steps))
    return next(power * factor for factor in (1.0, 2.0, 5.0, 10.0) if span / (power * factor) <= steps * (1.0 + 1e-9))


def _ticks(low: float, high: float, step: float) -> list[float]:
    return [low + index * step for index in range(math.floor((high - low) / step + 1e-9) + 1)]


def _short(value: float) -> str:
    """'0', '250', '8k', '1.5M'."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}" if abs(value) > 1e-12 else "0"
