"""What a person sees while the matrix runs: a live line on a terminal, plain lines anywhere else."""

import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol, TypeGuard

from ci.files import read_json_object

if TYPE_CHECKING:
    from rich.live import Live

PLAIN_SECONDS = 15.0  # between two plain lines about the same stage


class Display(Protocol):
    """Where progress goes."""

    def line(self, text: str) -> None:
        """A line that stays."""

    def update(self, title: str, seconds: float, status: Mapping[str, Any]) -> None:
        """The running stage: its name, its seconds so far, the last status.json it wrote ({} before the first)."""

    def stage_done(self) -> None:
        """The running stage ended."""


class PlainDisplay:
    """Lines, for a log or a pipe."""

    def __init__(self, stream: IO[str], interval: float = PLAIN_SECONDS) -> None:
        self._stream = stream
        self._interval = interval
        self._last = time.monotonic()

    def line(self, text: str) -> None:
        print(text, file=self._stream, flush=True)
        self._last = time.monotonic()

    def update(self, title: str, seconds: float, status: Mapping[str, Any]) -> None:
        if time.monotonic() - self._last >= self._interval:
            self.line(f"  {title} {describe(seconds, status)}")

    def stage_done(self) -> None:
        return


class LiveDisplay:
    """One line that rewrites itself under the lines that stay; redrawn by the caller, without a thread."""

    def __init__(self, stream: IO[str]) -> None:
        from rich.console import Console

        self._console = Console(file=stream, highlight=False, markup=False, soft_wrap=True)
        self._live: Live | None = None

    def line(self, text: str) -> None:
        self._console.print(text)

    def update(self, title: str, seconds: float, status: Mapping[str, Any]) -> None:
        from rich.live import Live
        from rich.text import Text

        text = Text(f"  {title} {describe(seconds, status)}", no_wrap=True, overflow="ellipsis")
        if self._live is None:
            self._live = Live(text, console=self._console, auto_refresh=False, transient=True)
            self._live.start(refresh=True)
        else:
            self._live.update(text, refresh=True)

    def stage_done(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def make_display(stream: IO[str] = sys.stdout) -> Display:
    """A live line when ``stream`` is a terminal, plain lines when it is not."""
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


def clock(seconds: float) -> str:
    """'48 s', '3:05' or '2:03:05'."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
