"""What a failed run says, and leaves."""

import contextlib
import json

from mimickit.config.arguments import RunConfig
from mimickit.errors import InputError, tell
from mimickit.files import write_atomically


def report_failure(error: Exception, run: RunConfig | None) -> int:
    """Tell the person, leave ``error.json`` where the run writes, and return the exit code."""
    kind, exit_code = tell(error)
    if run is not None and not isinstance(error, InputError) and run.out_dir.is_dir():
        record = {"kind": kind, "exit_code": exit_code, "message": str(error), "stage": run.mode}
        with contextlib.suppress(OSError):  # a full disk has no room for this either; the exit code tells
            write_atomically(run.out_dir / "error.json", (json.dumps(record, indent=1) + "\n").encode())
    return exit_code
