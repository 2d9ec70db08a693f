"""``python -m mimickit.config ARG_FILE...``: the effective configurations of cases as JSON, many in one process.

The object printed has an entry for each arg file, as it was given:

    {"args/a.txt": {"problem": null, "values": {"run.num_envs": {"value": 4096, "source": "args/a.txt:2"}, ...}}}

``problem`` is the message with which ``mimickit/run.py`` would refuse the case. ``values`` is empty then, except where
nothing but a clip or a motion prior is missing, which commands of this project make.
"""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from typing import Any

from mimickit.config.arguments import parse_run_arguments
from mimickit.config.case import Case, effective_values, load_case
from mimickit.config.document import DEFAULT
from mimickit.errors import InputError

# Keys whose files this project makes: clips and motion priors.
TO_BE_MADE = ("motion_file", "smp_prior_model")

EXAMPLES = """\
examples:
  python -m mimickit.config args/deepmimic_humanoid_ppo_args.txt
  python -m mimickit.config args/*.txt --engine_config data/engines/mujoco_engine.yaml > cases.json

The exit code is 0 even for a case with a problem: the JSON says so.
"""


def read_case(arg_file: str, engine_config: str | None = None) -> dict[str, Any]:
    """The entry of one arg file; ``engine_config`` beats the file's, as it does on the command line of a run."""
    argv = ["--arg_file", arg_file, *(["--engine_config", engine_config] if engine_config else [])]
    problem = None
    try:
        try:
            case = load_case(parse_run_arguments(argv))
        except InputError as error:
            problem = str(error)
            case = load_case(parse_run_arguments(argv), to_be_made=TO_BE_MADE)
    except InputError:
        return {"problem": problem, "values": {}}
    return {"problem": problem, "values": _with_sources(case)}


def _with_sources(case: Case) -> dict[str, dict[str, Any]]:
    return {
        key: {"value": _finite(value), "source": str(case.sources.get(key, DEFAULT))}
        for key, value in effective_values(case).items()
    }


def _finite(value: Any) -> Any:
    """``value``, or its name where it is a number that JSON does not have: an unlimited one is ``"inf"``."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def main(argv: Sequence[str]) -> int:
    """Print the JSON for one command line."""
    parser = argparse.ArgumentParser(
        prog="python -m mimickit.config",
        description="The effective configurations of cases as JSON: every value, and where it came from.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("arg_file", nargs="+", metavar="ARG_FILE", help="an arg file, relative to the current folder")
    parser.add_argument("--engine_config", metavar="FILE", help="physics backend in place of the one each file names")
    options = parser.parse_args(argv)
    entries = {name: read_case(name, options.engine_config) for name in options.arg_file}
    json.dump(entries, sys.stdout, indent=1, allow_nan=False)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
