"""What a person sees while a run works: a live line on a terminal, plain lines elsewhere, and ``status.json``."""

import json
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

from mimickit.files import write_atomically

STATUS_INTERVAL = 1.0  # seconds between writes of status.json
LINE_INTERVAL = 10.0  # seconds between plain lines
BAR_WIDTH = 10  # characters; the whole line fits 80 columns


class Progress:
    """Reports one stage ("train" or "test") towards a goal of samples or episodes.

    ``status.json`` in ``out_dir`` is replaced atomically about once a second, so another process can follow the run.

    Args:
        max_seconds: the work also ends after this time, of which ``seconds_before`` was spent in earlier parts.
        samples_before: of earlier parts.
    """

    def __init__(
        self,
        stage: str,
        out_dir: Path | None,
        max_samples: int | None,
        max_seconds: float | None = None,
        samples_before: int = 0,
        seconds_before: float = 0.0,
    ):
        self.stage = stage
        self._path = out_dir / "status.json" if out_dir else None
        self._max_samples, self._samples_before = max_samples, samples_before
        self._max_seconds, self._seconds_before = max_seconds, seconds_before
        self._start = time.monotonic()
        self._next_status = 0.0
        self._next_line = 0.0
        self._live: Live | None = None
        if sys.stdout.isatty():
            self._live = Live(Text(""), console=Console(), refresh_per_second=4, transient=True)
            self._live.start()

    def update(
        self,
        samples: int,
        episodes: int | None,
        mean_return: float | None,
        samples_per_s: float | None,
        fraction: float | None = None,
        final: bool = False,
    ) -> None:
        """Report the state; cheap to call every iteration. None means not known yet.

        Args:
            fraction: share of the work done, when it is not ``samples / max_samples``.
            final: write and show this one whatever the time.
        """
        now = time.monotonic()
        elapsed = now - self._start
        if fraction is None:
            fraction, eta = self._towards_goal(samples, elapsed)
        else:
            eta = elapsed * (1.0 - fraction) / fraction if fraction else None
        if self._path and (final or now >= self._next_status):
            self._next_status = now + STATUS_INTERVAL
            status = {
                "stage": self.stage,
                "samples": samples,
                "max_samples": self._max_samples,
                "episodes": episodes,
                "mean_return": mean_return,
                "samples_per_s": samples_per_s,
                "eta_s": eta,
                "wall_s": self._seconds_before + elapsed,
                "max_seconds": self._max_seconds,
            }
            write_atomically(self._path, (json.dumps(status) + "\n").encode())
        line = self._line(samples, episodes, mean_return, samples_per_s, fraction, eta)
        if self._live:
            self._live.update(Text(line))
        elif final or now >= self._next_line:
            self._next_line = now + LINE_INTERVAL
            print(line, flush=True)

    def _towards_goal(self, samples: int, elapsed: float) -> tuple[float | None, float | None]:
        """The share of the work that is done, and the seconds left: to whichever end comes first."""
        fractions, etas = [], []
        if self._max_samples:
            fractions.append(min(samples / self._max_samples, 1.0))
            if samples > self._samples_before:
                left = max(self._max_samples - samples, 0)
                etas.append(elapsed * left / (samples - self._samples_before))
        if self._max_seconds:
            wall = self._seconds_before + elapsed
            fractions.append(min(wall / self._max_seconds, 1.0))
            etas.append(max(self._max_seconds - wall, 0.0))
        return max(fractions, default=None), min(etas, default=None)

    def _line(
        self,
        samples: int,
        episodes: int | None,
        mean_return: float | None,
        samples_per_s: float | None,
        fraction: float | None,
        eta: float | None,
    ) -> str:
        parts = [f"{self.stage:5s}"]
        if fraction is not None:
            filled = round(BAR_WIDTH * fraction)
            parts.append(f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {100 * fraction:3.0f}%")
        parts.append(f"{samples:,} samples")
        if self.stage == "test" and episodes is not None:
            parts.append(f"{episodes} episodes")
        if mean_return is not None and episodes:
            parts.append(f"test return {mean_return:.2f}")
        if samples_per_s is not None:
            parts.append(f"{samples_per_s:,.0f} samples/s")
        if eta is not None:
            parts.append(f"{_clock(eta)} left")
        return "  ".join(parts)

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._live:
            self._live.stop()
            self._live = None


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
