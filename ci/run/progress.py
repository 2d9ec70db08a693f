"""What a person sees while the matrix runs: a live table on a terminal, plain lines anywhere else."""

import errno
import math
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol, TypeGuard, cast

from ci.durations import clock
from ci.files import read_json_object

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

READER_GONE = (errno.EPIPE, errno.ECONNRESET, errno.EIO)  # a pipe, a socket, a terminal
PLAIN_SECONDS = 15.0  # between two rounds of plain lines while nothing else is said


@dataclass
class Activity:
    """What one running case is doing now; its thread writes it, the display reads it."""

    case: str
    rung: str = ""
    stage: str = "starting"
    started: float = field(default_factory=time.monotonic)
    status: Mapping[str, Any] = field(default_factory=dict)

    def begin(self, stage: str, rung: str = "") -> None:
        """A new stage starts now."""
        self.stage, self.rung, self.started, self.status = stage, rung, time.monotonic(), {}

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    @property
    def title(self) -> str:
        return " ".join(filter(None, (self.case, self.rung, self.stage)))


@dataclass(frozen=True)
class Standing:
    """How far the whole run is."""

    total: int
    passed: int
    failed: int
    seconds: float
    left: float | None  # seconds, by what the plan expects of the cases to come

    def sentence(self) -> str:
        """'12 of 37 over, 1 failed, 3:05, about 12:00 left'."""
        over = f"{self.passed + self.failed} of {self.total} over, {self.failed} failed, {clock(self.seconds)}"
        return over if self.left is None else f"{over}, about {clock(self.left)} left"


class Display(Protocol):
    """Where progress goes."""

    def line(self, text: str) -> None:
        """A line that stays."""

    def show(self, activities: Sequence[Activity], standing: Standing) -> None:
        """What is going on now; called several times a second."""

    def close(self) -> None:
        """Nothing goes on any more."""


class Outlet:
    """A stream that swallows everything once whoever reads it has gone away (``| head``): no reason to end a run."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._gone = False

    def write(self, text: str) -> int:
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _try(self, action: Callable[[], object]) -> None:
        if self._gone:
            return
        try:
            action()
        except OSError as error:
            if error.errno not in READER_GONE:
                raise
            self._gone = True
            # Python flushes what is left in the stream when it ends: that must not fail again.
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)


class PlainDisplay:
    """Lines, for a log or a pipe."""

    def __init__(self, stream: IO[str], interval: float = PLAIN_SECONDS) -> None:
        self._stream = Outlet(stream)
        self._interval = interval
        self._last = time.monotonic()

    def line(self, text: str) -> None:
        print(text, file=self._stream, flush=True)
        self._last = time.monotonic()

    def show(self, activities: Sequence[Activity], standing: Standing) -> None:
        if activities and time.monotonic() - self._last >= self._interval:
            self.line(f"  [{standing.sentence()}]")
            for activity in activities:
                self.line(f"  {activity.title} {describe(activity.seconds, activity.status)}")

    def close(self) -> None:
        return


class LiveDisplay:
    """A table that rewrites itself under the lines that stay; redrawn by the caller, without a thread."""

    def __init__(self, stream: IO[str]) -> None:
        from rich.console import Console

        self._console = Console(file=cast(IO[str], Outlet(stream)), highlight=False, markup=False, soft_wrap=True)
        self._live: Live | None = None

    def line(self, text: str) -> None:
        self._console.print(text)

    def show(self, activities: Sequence[Activity], standing: Standing) -> None:
        from rich.live import Live

        if not activities:  # between two cases, or after the last: nothing to show
            self.close()
            return
        table = live_table(activities, standing)
        if self._live is None:
            self._live = Live(table, console=self._console, auto_refresh=False, transient=True)
            self._live.start(refresh=True)
        else:
            self._live.update(table, refresh=True)

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def live_table(activities: Sequence[Activity], standing: Standing) -> "Table":
    """One row per running case, the whole run above them."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, title=standing.sentence(), title_justify="left", pad_edge=False)
    table.add_column("case")  # the one to shrink: its cells are cut rather than wrapped
    for name in ("stage", "rung"):
        table.add_column(name, no_wrap=True)
    for name in ("done", "return", "samples/s", "time", "left"):
        table.add_column(name, no_wrap=True, justify="right")
    for activity in activities:
        status = activity.status
        table.add_row(
            Text(activity.case, no_wrap=True, overflow="ellipsis"),
            activity.stage,
            activity.rung,
            _done(status),
            _shown(status.get("mean_return"), "{:.3g}"),
            _shown(status.get("samples_per_s"), "{:,.0f}"),
            clock(activity.seconds),
            clock(status["eta_s"]) if _is_number(status.get("eta_s")) else "",
        )
    return table


def make_display(stream: IO[str] = sys.stdout) -> Display:
    """A live table when ``stream`` is a terminal, plain lines when it is not."""
    return LiveDisplay(stream) if stream.isatty() else PlainDisplay(stream)


def read_status(out_dir: Path) -> dict[str, Any]:
    """The text and the finite numbers of the stage's status.json; {} while there is none.

    It informs a person and decides nothing.
    """
    try:
        status = read_json_object(out_dir / "status.json")
    except (FileNotFoundError, ValueError):
        return {}
    return {name: value for name, value in status.items() if isinstance(value, str) or _is_number(value)}


def describe(seconds: float, status: Mapping[str, Any]) -> str:
    """'12 s  4,096 of 8,192 samples  return 1.84  2,310 samples/s  about 2 s left', what is known of it."""
    parts = [clock(seconds)]
    samples, wanted = status.get("samples"), status.get("max_samples")
    if _is_number(samples) and samples:
        parts.append(f"{samples:,.0f} of {wanted:,.0f} samples" if _is_number(wanted) else f"{samples:,.0f} samples")
    episodes = status.get("episodes")
    if _is_number(episodes) and episodes:
        parts.append(f"{episodes:,.0f} episodes")
    shown = (("mean_return", "return {:.3g}"), ("samples_per_s", "{:,.0f} samples/s"))
    parts += [text.format(status[name]) for name, text in shown if _is_number(status.get(name))]
    left = status.get("eta_s")
    if _is_number(left):
        parts.append(f"about {clock(left)} left")
    return "  ".join(parts)


def _done(status: Mapping[str, Any]) -> str:
    """The share of the samples that are taken, or the samples themselves, or the episodes."""
    samples, wanted = status.get("samples"), status.get("max_samples")
    if _is_number(samples) and _is_number(wanted) and wanted > 0:
        return f"{min(samples / wanted, 1.0):.0%}"
    return _shown(status.get("episodes"), "{:,.0f} episodes")


def _shown(value: object, style: str) -> str:
    return style.format(value) if _is_number(value) else ""


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
