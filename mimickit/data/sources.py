"""``SOURCES.md``: where every clip comes from, and under which licence."""

from collections.abc import Iterable
from pathlib import Path

from mimickit.data.recipes import CLIP_FPS, Recipe
from mimickit.files import write_atomically

_INTRODUCTION = f"""# Where these clips come from

Written by `python -m mimickit.data build` from the table in `mimickit/data/recipes.py`. Each clip was converted from a
recording in a wheel on the Python package index: same motion, other joint conventions, resampled to {CLIP_FPS} frames
per second and set on the ground. The recordings' licences stay in force. A file of the same name that was here before,
or was changed since, is left alone, and then this list does not speak of it.
"""


def sources_text(recipes: Iterable[Recipe]) -> str:
    """The document, as Markdown."""
    recipes = sorted(recipes, key=lambda recipe: recipe.clip)
    packages = sorted({recipe.package.name: recipe.package for recipe in recipes}.items())
    lines = [_INTRODUCTION, "| package | version | licence | file | SHA-256 |", "|---|---|---|---|---|"]
    for name, package in packages:
        cells = (name, package.version, package.licence, package.filename, package.sha256)
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "| clip | package | recording | note |", "|---|---|---|---|"]
    lines += [f"| {r.clip} | {r.package.name} | {r.member} | {r.note} |" for r in recipes]
    return "\n".join(lines) + "\n"


def write_sources(recipes: Iterable[Recipe], output: Path) -> None:
    """Write ``SOURCES.md`` below ``output`` unless it says the same already."""
    path, data = output / "SOURCES.md", sources_text(recipes).encode()
    if not path.exists() or path.read_bytes() != data:
        write_atomically(path, data)
