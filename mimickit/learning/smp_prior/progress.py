"""What a person sees while a prior trains: a live bar on a terminal, plain lines elsewhere."""

import sys
import time

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mimickit.learning.progress import LINE_INTERVAL


class TrainingProgress:
    """Follows a training towards ``iterations``."""

    def __init__(self, iterations: int):
        self._iterations = iterations
        self._start = time.monotonic()
        self._next_line = 0.0
        self._live: Progress | None = None
        if sys.stdout.isatty():
            loss = TextColumn("loss {task.fields[loss]:.4f}")
            columns = (TextColumn("prior"), BarColumn(), MofNCompleteColumn(), loss, TimeRemainingColumn())
            self._live = Progress(*columns, transient=True)
            self._task = self._live.add_task("prior", total=iterations, loss=float("nan"))
            self._live.start()

    def update(self, iteration: int, loss: float) -> None:
        """Report the state; plain lines come every 10 s, and at the end."""
        now = time.monotonic()
        if self._live:
            self._live.update(self._task, completed=iteration, loss=loss)
        elif now >= self._next_line or iteration == self._iterations:
            self._next_line = now + LINE_INTERVAL
            rate = iteration / max(now - self._start, 1e-9)
            print(
                f"prior  iteration {iteration:,} of {self._iterations:,}  loss {loss:.4f}  {rate:.1f} iterations/s  "
                f"{(self._iterations - iteration) / rate:.0f} s left",
                flush=True,
            )

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._live:
            self._live.stop()
            self._live = None
