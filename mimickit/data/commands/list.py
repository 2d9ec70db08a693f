"""``python -m mimickit.data list``: the clips, their sources, and what is built."""

import argparse

from rich.console import Console

from mimickit.data.commands.arguments import add_assets, add_motions

DESCRIPTION = """\
Show the clips that can be built, where they come from, and whether they are there.

examples:
  python -m mimickit.data list
  python -m mimickit.data list --character g1
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    from mimickit.data.characters import CHARACTERS

    parser.add_argument("--character", choices=list(CHARACTERS), metavar="NAME", help="only this character's clips")
    add_motions(parser)
    add_assets(parser)


def run(options: argparse.Namespace, console: Console) -> None:
    """Print a line per clip."""
    from mimickit.data.manifest import clip_state, read_manifest
    from mimickit.data.recipes import RECIPES
    from mimickit.data.sources import licence, package_label

    manifest = read_manifest(options.output)
    console.print(f"{'clip':44}{'state':16}{'source':30}licence")
    for recipe in RECIPES.values():
        if options.character in (None, recipe.character):
            state = clip_state(recipe, options.output, options.assets, manifest).value
            console.print(f"{recipe.name:44}{state:16}{package_label(recipe):30}{licence(recipe)}")
