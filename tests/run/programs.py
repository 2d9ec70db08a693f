"""``python mimickit/run.py`` in processes of its own, as a person starts it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from mimickit.learning.logger import read_log

REPOSITORY = Path(__file__).resolve().parents[2]
TIMEOUT = 180.0  # seconds; a busy machine


def start(case: Any, new_session: bool = False, **changes: str | None) -> subprocess.Popen[str]:
    """The run of a ``Case`` of conftest.py with its arguments, in a folder of its own."""
    command = [sys.executable, str(REPOSITORY / "mimickit" / "run.py"), *case.arguments(**changes)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=case.folder, text=True, start_new_session=new_session, **pipes)


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    try:
        out, err = process.communicate(timeout=TIMEOUT)
    finally:
        process.kill()
    return process.returncode, out, err


def log_without_time(out_dir: Path) -> dict[str, list[float]]:
    """The columns of a training's log that do not depend on the machine's speed."""
    return {name: column for name, column in read_log(out_dir / "log.txt").items() if name != "Wall_Time"}
