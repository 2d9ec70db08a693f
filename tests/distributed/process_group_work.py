"""What processes do in test_process_groups.py."""

import os
import signal
import time
from pathlib import Path

from mimickit.learning.processes import Processes
from mimickit.learning.train_loop import stop_on_signal


def note_a_signal(processes: Processes, folder: Path, heed: bool) -> int:
    """Wait until this process has had one; return it, or 0 like one that was done when it came."""
    with stop_on_signal(insist=False) as signals:
        (folder / str(processes.rank)).touch()
        until = time.monotonic() + 60.0
        while not signals and time.monotonic() < until:
            time.sleep(0.01)
    return signals[0] if heed else 0


def tell_when_all_wait(folder: Path, size: int, number: signal.Signals) -> None:
    """Send this process the signal."""
    while len(list(folder.iterdir())) < size:
        time.sleep(0.01)
    os.kill(os.getpid(), number)
