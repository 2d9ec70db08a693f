"""Time one case in a process of its own: ``python -m mimickit.bench.one_case --help``.

The last line printed is a JSON object: seconds of what comes before the first sample, seconds of every rollout and
every update with the device synchronised around them, and the GPU's memory.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    """The command; returns an exit code of ``mimickit/errors.py``."""
    parser = argparse.ArgumentParser(prog="python -m mimickit.bench.one_case", description=__doc__)
    parser.add_argument("--arg-file", required=True, help="the case: a file in args/")
    parser.add_argument("--num-envs", type=int, required=True, help="environments")
    parser.add_argument("--device", required=True, help="cpu or cuda:N")
    parser.add_argument("--engine-config", help="engine file (default: the case's)")
    parser.add_argument("--warm-up", type=int, default=3, help="iterations after the first that do not count")
    parser.add_argument("--iterations", type=int, default=5, help="iterations that are timed")
    options = parser.parse_args(argv)
    words = ["--arg_file", options.arg_file, "--num_envs", str(options.num_envs), "--devices", options.device]
    if options.engine_config:
        words += ["--engine_config", options.engine_config]
    started, start = time.time(), time.perf_counter()
    # Here, where they are timed: torch and the engines take seconds.
    from mimickit.bench.case_times import measure, new_kernel_files
    from mimickit.config.arguments import parse_run_arguments
    from mimickit.config.case import load_case
    from mimickit.devices import check_device
    from mimickit.errors import classify, tell

    imports_s = time.perf_counter() - start
    try:
        case = load_case(parse_run_arguments(words))
        found = measure(case, check_device(options.device, "--device"), options.warm_up, options.iterations)
    except Exception as error:
        return tell(classify(error))[1]
    asked = {"arg_file": options.arg_file, "num_envs": options.num_envs, "device": options.device}
    times = {"imports_s": imports_s, **found, "new_kernel_files": new_kernel_files(started)}
    print(json.dumps({**asked, **times}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
