"""``python -m ci COMMAND``: the job matrix from the command line."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ci.errors import EXIT_USAGE, UsageError

EXIT_UNREAD = 1
REPOSITORY = Path(__file__).resolve().parent.parent

# A command's module has SUMMARY, add_arguments(parser) and run(arguments, repository), which returns the exit code.
# It is imported when it is asked for: the doctor must not need what the others need.
COMMANDS = {
    "e2e": "ci.run.e2e",
    "matrix": "ci.plan.command",
    "lost": "ci.plan.lost",
    "merge": "ci.merge.command",
    "report": "ci.report.command",
    "trend": "ci.trend.command",
    "doctor": "ci.doctor.command",
}
CLUSTER = "ci.cluster.command"  # has the place of the command's own module where --executor is not "here"


def main(argv: Sequence[str]) -> int:
    """Run one command line."""
    asked = [name for name in argv[:1] if name in COMMANDS]
    parser = argparse.ArgumentParser(prog="python -m ci", description="The job matrix.", allow_abbrev=False)
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    try:
        modules = {name: importlib.import_module(COMMANDS[name]) for name in asked or COMMANDS}
    except ModuleNotFoundError as error:
        print(
            f"error: the package of the module '{error.name}' is not installed for {sys.executable}. Install with: "
            "python -m pip install -c constraints.txt -e .",
            file=sys.stderr,
        )
        return EXIT_USAGE
    for name, module in modules.items():
        sub = commands.add_parser(name, help=module.SUMMARY, description=module.SUMMARY, allow_abbrev=False)
        module.add_arguments(sub)
    arguments = parser.parse_args(argv)
    try:
        elsewhere = getattr(arguments, "executor", "here") != "here"
        module = importlib.import_module(CLUSTER) if elsewhere else modules[arguments.command]
        code: int = module.run(arguments, REPOSITORY)
        return code
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_USAGE
    except BrokenPipeError:  # who was reading has left, and may have missed the verdict
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would complain once more on leaving
        return EXIT_UNREAD


if __name__ == "__main__":
    if "NOX_CURRENT_SESSION" in os.environ:  # nox, when it is killed, does not end what it started
        from ci.run.process import ask_for_term_when_parent_dies

        ask_for_term_when_parent_dies(os.getppid())
    sys.exit(main(sys.argv[1:]))
