"""The one entry point: ``python mimickit/run.py --arg_file args/CASE.txt --mode train|test ...``.

Exit codes are listed in ``mimickit/errors.py``. A failure after the output folder exists is also written to
``error.json`` there.
"""

import contextlib
import json
import os
import sys
from pathlib import Path

if __name__ == "__main__":
    # Run as a script, Python puts this file's folder first; imports go through the repository's root.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from mimickit.config.arguments import RunConfig, parse_run_arguments  # noqa: E402
from mimickit.config.case import format_case, load_case  # noqa: E402
from mimickit.errors import InputError, classify, tell  # noqa: E402
from mimickit.files import check_output_folder, write_atomically  # noqa: E402


def main(argv: list[str]) -> int:
    run: RunConfig | None = None
    try:
        run = parse_run_arguments(argv)
        case = load_case(run)
        if run.print_config:
            print(format_case(case))
            return 0
        check_output_folder(run.out_dir, f"--out_dir {run.out_dir}")
        # torch and the engines take seconds to import: not before the arguments are known to be good.
        from mimickit.launch import launch

        ended_by = launch(case)
        return 128 + ended_by if ended_by else 0
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        return report_failure(classify(error), run)


def report_failure(error: Exception, run: RunConfig | None) -> int:
    """Tell the person, leave ``error.json`` where the run writes, and return the exit code."""
    kind, exit_code = tell(error)
    if run is not None and not isinstance(error, InputError) and run.out_dir.is_dir():
        record = {"kind": kind, "exit_code": exit_code, "message": str(error), "stage": run.mode}
        with contextlib.suppress(OSError):  # a full disk has no room for this either; the exit code tells
            write_atomically(run.out_dir / "error.json", (json.dumps(record, indent=1) + "\n").encode())
    return exit_code


if __name__ == "__main__":
    code = main(sys.argv[1:])
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError as error:  # a log on a full disk: what was to be said is not, and the first failure counts
        code = code or tell(classify(error))[1]
    # Leaving by _exit keeps a library's failing atexit handler from changing the verdict.
    os._exit(code)
