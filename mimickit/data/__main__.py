"""Command line of the motion data: ``python -m mimickit.data {build,ensure,list}``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from mimickit.data.cases import clips_of_case
from mimickit.data.download import default_cache
from mimickit.data.manifest import clip_state, read_manifest
from mimickit.data.recipes import RECIPES, Recipe, find_recipe
from mimickit.errors import InputError

_DESCRIPTION = """\
Build motion clips for the characters from public recordings.

The repository ships no recordings. They lie in wheels on the Python package index; a pinned table says which one
becomes which clip. A wheel is downloaded once (pybullet 103 MB, isaaclab 12 MB) with pip, so your own index settings
apply, checked against its SHA-256 and kept in a cache. It is read as a zip file and never installed.
"""
_EXAMPLES = """\
examples:
  python -m mimickit.data list                                 what there is, and what is built
  python -m mimickit.data build                                every clip
  python -m mimickit.data build --only walk spinkick           two of them
  python -m mimickit.data ensure --case args/deepmimic_humanoid_ppo_args.txt
                                                               what one case needs, if it is not there yet

A clip that you put there yourself (the published data archive's, or one you changed) is never overwritten.
Delete a clip to have it built anew.  exit codes: 0 done, 2 something is wrong with the input or the disk.
"""


def _parser() -> argparse.ArgumentParser:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m mimickit.data", None, _DESCRIPTION, _EXAMPLES, formatter_class=layout)
    commands = parser.add_subparsers(dest="command", required=True, metavar="{build,ensure,list}")
    folders = argparse.ArgumentParser(add_help=False)
    folders.add_argument(
        "--output", type=Path, default=Path("data/motions"), metavar="DIR", help="motions folder (default: %(default)s)"
    )
    sources = argparse.ArgumentParser(add_help=False)
    sources.add_argument(
        "--cache",
        type=Path,
        default=None,
        metavar="DIR",
        help="where downloads are kept (default: $MIMICKIT_CACHE, or ~/.cache/mimickit)",
    )
    sources.add_argument(
        "--assets",
        type=Path,
        default=Path("data/assets"),
        metavar="DIR",
        help="characters; their joints lay out a clip, their shapes set it on the ground (default: %(default)s)",
    )
    build = commands.add_parser("build", parents=[folders, sources], help="build every clip, or some")
    build.add_argument("--only", nargs="+", metavar="NAME", help="clips by name, as `list` shows them; default: all")
    ensure = commands.add_parser("ensure", parents=[folders, sources], help="build what a case lacks")
    ensure.add_argument(
        "--case",
        action="append",
        required=True,
        type=Path,
        metavar="ARGS.txt",
        help="arg file of the case; may be given several times. A clip that exists is used as it is",
    )
    commands.add_parser("list", parents=[folders], help="show the clips, their sources and their state")
    return parser


def _build(recipes: Sequence[Recipe], options: argparse.Namespace, console: Console) -> None:
    from mimickit.data.build import build  # needs MuJoCo, which the other commands do without

    build(recipes, options.output, options.cache or default_cache(), options.assets, console)


def _run_build(options: argparse.Namespace, console: Console) -> None:
    known = {recipe.name.removeprefix(f"{recipe.character}_"): recipe.name for recipe in RECIPES.values()}
    names = options.only if options.only is not None else list(RECIPES)
    recipes = {recipe.name: recipe for recipe in (find_recipe(known.get(name, name)) for name in names)}
    _build(list(recipes.values()), options, console)


def _run_ensure(options: argparse.Namespace, console: Console) -> None:
    needed = {clip: case for case in reversed(options.case) for clip in clips_of_case(case)}
    missing = {clip: case for clip, case in needed.items() if not clip.exists()}
    by_path = {(options.output / recipe.clip).resolve(): recipe for recipe in RECIPES.values()}
    for clip, case in missing.items():
        if clip.resolve() not in by_path:
            raise InputError(
                f"{case} needs the clip {clip}, which does not exist, and no recipe builds it in {options.output}. "
                "Unpack the published data archive into data/, or use a clip that python -m mimickit.data list shows."
            )
    if missing:
        _build([by_path[clip.resolve()] for clip in missing], options, console)
    else:
        names = ", ".join(str(clip) for clip in needed) if len(needed) <= 3 else f"{len(needed)} clips"
        console.print(f"clips needed: {names or 'none'}; all present")


def _run_list(options: argparse.Namespace, console: Console) -> None:
    manifest = read_manifest(options.output)
    console.print(f"{'clip':26}{'state':16}{'source':18}licence")
    for recipe in RECIPES.values():
        package = recipe.package
        state = clip_state(recipe, options.output, manifest).value
        console.print(f"{recipe.name:26}{state:16}{f'{package.name} {package.version}':18}{package.licence}")


_COMMANDS = {"build": _run_build, "ensure": _run_ensure, "list": _run_list}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Errors are one paragraph on stderr."""
    options = _parser().parse_args(arguments)
    console = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
    try:
        _COMMANDS[options.command](options, console)
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return InputError.exit_code
    except KeyboardInterrupt:
        print("interrupted; the clips built so far are whole", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
