"""``python -m mimickit.data ensure``: build what a case lacks."""

import argparse
from pathlib import Path

from rich.console import Console

from mimickit.data.cases import clips_of_case
from mimickit.data.commands.arguments import add_assets, add_cache, add_motions
from mimickit.errors import MissingDataError

DESCRIPTION = """\
Build the clips that cases need and that are not there yet. A clip that exists is used as it is.

examples:
  python -m mimickit.data ensure --case args/deepmimic_humanoid_ppo_args.txt
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "--case",
        action="append",
        required=True,
        type=Path,
        metavar="ARGS.txt",
        help="arg file of the case; may be given several times",
    )
    add_motions(parser)
    add_cache(parser)
    add_assets(parser)


def run(options: argparse.Namespace, console: Console) -> None:
    """Build what is missing. Raises `MissingDataError` for a clip that no recipe builds."""
    from mimickit.data.recipes import RECIPES

    needed = {clip: case for case in reversed(options.case) for clip in clips_of_case(case)}
    missing = {clip: case for clip, case in needed.items() if not clip.exists()}
    by_path = {(options.output / recipe.clip).resolve(): recipe for recipe in RECIPES.values()}
    for clip, case in missing.items():
        if clip.resolve() not in by_path:
            raise MissingDataError(
                f"{case} needs the clip {clip}, which does not exist, and no recipe builds it in {options.output}. "
                "Unpack the published data archive into data/, or use a clip that python -m mimickit.data list shows."
            )
    if not missing:
        names = ", ".join(str(clip) for clip in needed) if len(needed) <= 3 else f"{len(needed)} clips"
        console.print(f"clips needed: {names or 'none'}; all present")
        return
    from mimickit.data.build import build  # needs MuJoCo, which is not needed when nothing is missing

    build([by_path[clip.resolve()] for clip in missing], options.output, options.cache, options.assets, console)
