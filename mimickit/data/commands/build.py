"""``python -m mimickit.data build``: make clips from public recordings."""

import argparse

from rich.console import Console

from mimickit.data.commands.arguments import add_assets, add_cache, add_motions

DESCRIPTION = """\
Build every clip, or some.

examples:
  python -m mimickit.data build                              every clip
  python -m mimickit.data build --only humanoid_walk go2_pace
  python -m mimickit.data build --meshes                     every clip, and the real shapes of G1 and Go2

A clip that you put there yourself (the published data archive's, or one you changed) is never overwritten.
Delete a clip to have it built anew. A download that was interrupted goes on where it stopped.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--only", nargs="+", metavar="NAME", help="clips by name, as `list` shows them; default: all")
    parser.add_argument(
        "--meshes",
        action="store_true",
        help="also write g1/g1_mesh.xml and go2/go2_mesh.xml with the robots' meshes, from their packages (20 MB)",
    )
    add_motions(parser)
    add_cache(parser)
    add_assets(parser)


def run(options: argparse.Namespace, console: Console) -> None:
    """Build. Raises `InputError` or `OSError`; the clips built until then are whole."""
    from mimickit.data.build import build  # needs MuJoCo, which other commands do without
    from mimickit.data.recipes import RECIPES, find_recipe

    recipes = [find_recipe(name) for name in options.only] if options.only is not None else list(RECIPES.values())
    build(list(dict.fromkeys(recipes)), options.output, options.cache, options.assets, console)
    if options.meshes:
        from mimickit.data.meshes import add_meshes

        add_meshes(options.assets, options.cache, console)
