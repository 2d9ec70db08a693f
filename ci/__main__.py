"""``python -m ci COMMAND``: the job matrix from the command line."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ci import options
from ci.e2e import EXIT_USAGE, run_e2e, selected_cases
from ci.errors import UsageError
from ci.process import ask_for_term_when_parent_dies

REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Command:
    """One subcommand: its options and what it does with them; returns the exit code."""

    summary: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def _e2e(arguments: argparse.Namespace) -> int:
    chosen = options.resolve(arguments, REPOSITORY)
    if arguments.list:
        for case in selected_cases(chosen, REPOSITORY):
            print(f"{case.name}  {case.case_type}  {case.problem or case.env_config}")
        return 0
    return run_e2e(chosen, REPOSITORY)


COMMANDS = {
    "e2e": Command("train, test and render cases, and say whether all of them passed", options.add_arguments, _e2e),
}


def main(argv: Sequence[str]) -> int:
    """Run one command line."""
    parser = argparse.ArgumentParser(prog="python -m ci", description="The job matrix.", allow_abbrev=False)
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        sub = commands.add_parser(name, help=command.summary, description=command.summary, allow_abbrev=False)
        command.add_arguments(sub)
    arguments = parser.parse_args(argv)
    try:
        return COMMANDS[arguments.command].run(arguments)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_USAGE


if __name__ == "__main__":
    if "NOX_CURRENT_SESSION" in os.environ:  # nox, when it is killed, does not end what it started
        ask_for_term_when_parent_dies(os.getppid())
    sys.exit(main(sys.argv[1:]))
