"""The one entry point: ``python mimickit/run.py --arg_file args/CASE.txt --mode train|test ...``.

Exit codes are listed in ``mimickit/errors.py``. A failure after the output folder exists is also written to
``error.json`` there.
"""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    # Run as a script, Python puts this file's folder first; imports go through the repository's root.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from mimickit.config.arguments import RunConfig, parse_run_arguments  # noqa: E402
from mimickit.config.case import format_case, load_case  # noqa: E402
from mimickit.distributed.torchrun import Place, torchrun_place  # noqa: E402
from mimickit.errors import classify, tell  # noqa: E402
from mimickit.failure_report import report_failure  # noqa: E402
from mimickit.files import check_output_folder  # noqa: E402


def main(argv: list[str]) -> int:
    run: RunConfig | None = None
    place: Place | None = None
    launched = False
    try:
        place = torchrun_place(os.environ)
        run = parse_run_arguments(argv)
        case = load_case(run)
        if run.print_config:
            print(format_case(case))
            return 0
        check_output_folder(run.out_dir, f"--out_dir {run.out_dir}")
        # torch and the engines take seconds to import: not before the arguments are known to be good.
        from mimickit.launch import launch

        launched = True
        ended_by = launch(case, place)
        return 128 + ended_by if ended_by else 0
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        failure = classify(error)
        code = report_failure(failure, run)
        if place and not launched:  # later the others learn of it as they watch each other
            from mimickit.distributed.process_groups import tell_others

            tell_others(place, failure)
        return code


if __name__ == "__main__":
    code = main(sys.argv[1:])
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError as error:  # a log on a full disk: what was to be said is not, and the first failure counts
        code = code or tell(classify(error))[1]
    # Leaving by _exit keeps a library's failing atexit handler from changing the verdict.
    os._exit(code)
