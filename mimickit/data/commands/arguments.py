"""Options that several subcommands share."""

import argparse
from pathlib import Path

from mimickit.data.characters import CHARACTERS
from mimickit.data.files import default_cache


def add_assets(parser: argparse.ArgumentParser) -> None:
    """Add ``--assets``."""
    parser.add_argument(
        "--assets", type=Path, default=Path("data/assets"), metavar="DIR", help="characters (default: %(default)s)"
    )


def add_motions(parser: argparse.ArgumentParser) -> None:
    """Add ``--output``, the motions folder."""
    parser.add_argument(
        "--output", type=Path, default=Path("data/motions"), metavar="DIR", help="motions folder (default: %(default)s)"
    )


def add_cache(parser: argparse.ArgumentParser) -> None:
    """Add ``--cache``."""
    parser.add_argument(
        "--cache",
        type=Path,
        default=default_cache(),
        metavar="DIR",
        help="where downloads are kept (default: $MIMICKIT_CACHE, or ~/.cache/mimickit)",
    )


def add_guessed_character(parser: argparse.ArgumentParser) -> None:
    """Add ``--character``, which a clip's folder, name or number of columns may tell."""
    parser.add_argument(
        "--character",
        choices=list(CHARACTERS),
        metavar="NAME",
        help=f"whose clip it is: {', '.join(CHARACTERS)} (default: told by the clip's folder, name or columns)",
    )
