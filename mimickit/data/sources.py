"""``SOURCES.md``: where every clip comes from, and under which licence."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from mimickit.data.manifest import ClipState
from mimickit.data.recipes.packages import Package
from mimickit.data.recipes.recipe import CLIP_FPS, Recipe, Recording
from mimickit.data.steps import CloseLoop, LevelGround, Mirror, Retarget, Section, Speed, Without
from mimickit.files import write_atomically

AUTHORED_LICENCE = "Apache-2.0"

_INTRODUCTION = f"""# Where these clips come from

Written by `python -m mimickit.data build` from the tables in `mimickit/data/recipes/`. Each clip was made from a
recording in a package on the Python package index, or authored in this repository: converted to the character's joints,
resampled to {CLIP_FPS} frames per second and set on the ground. The recordings' licences stay in force. A file of the
same name that was here before, or was changed since, is left alone, and listed as your own.
"""

# What the table says of a step; the others do not change the motion itself.
_STEP_WORDS = {
    Section: lambda step: f"frames {step.first} to {step.end - 1}",
    Without: lambda step: f"without frames {step.first} to {step.end - 1} of these",
    LevelGround: lambda step: "ground levelled",
    Retarget: lambda step: f"retargeted to {step.character}",
    Mirror: lambda step: "mirrored",
    Speed: lambda step: f"{step.factor:g} times as fast",
    CloseLoop: lambda step: f"loop closed over the last {step.seconds:g} s",
}


def package_of(recipe: Recipe) -> Package | None:
    """The package that holds the recording; None for an authored clip."""
    origin = recipe.origin()
    return origin.package if isinstance(origin, Recording) else None


def package_label(recipe: Recipe) -> str:
    """Package and version, or ``authored here``."""
    package = package_of(recipe)
    return "authored here" if package is None else f"{package.name} {package.version}"


def licence(recipe: Recipe) -> str:
    """The clip's licence."""
    package = package_of(recipe)
    return AUTHORED_LICENCE if package is None else package.licence


def _made_from(recipe: Recipe) -> str:
    origin = recipe.origin()
    return origin.member if isinstance(origin, Recording) else f"key poses of {origin.name}"


def _how(recipe: Recipe) -> str:
    words = [_STEP_WORDS[type(step)](step) for step in recipe.all_steps() if type(step) in _STEP_WORDS]
    return ", ".join(words) or ("as recorded" if isinstance(recipe.origin(), Recording) else "as posed")


def _notes(recipe: Recipe) -> str:
    props = [f"{prop.file} at {' '.join(f'{number:g}' for number in prop.pos)} m" for prop in recipe.props]
    return "; ".join([*filter(None, [recipe.note]), *props])


def _row(recipe: Recipe, state: ClipState) -> str:
    if state is ClipState.USERS_OWN:
        cells = [recipe.clip, "", state.value, "", "", ""]
    else:
        package = package_of(recipe)
        terms = licence(recipe) + (f", see {package.name} above" if package is not None and package.note else "")
        cells = [recipe.clip, terms, package_label(recipe), _made_from(recipe), _how(recipe), _notes(recipe)]
    return f"| {' | '.join(cells)} |"


def sources_text(recipes: Iterable[Recipe], states: Mapping[str, ClipState]) -> str:
    """The document, as Markdown, for the clips of ``recipes``; ``states`` tells by name which are the user's own."""
    recipes = sorted(recipes, key=lambda recipe: recipe.clip)
    packages = {package.name: package for recipe in recipes if (package := package_of(recipe)) is not None}
    lines = [_INTRODUCTION, "| package | version | licence | file | SHA-256 | note |", "|---|---|---|---|---|---|"]
    for name, package in sorted(packages.items()):
        cells = (name, package.version, package.licence, package.filename, package.sha256, package.note)
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "| clip | licence | source | made from | how | note |", "|---|---|---|---|---|---|"]
    return "\n".join([*lines, *(_row(recipe, states[recipe.name]) for recipe in recipes)]) + "\n"


def write_sources(recipes: Iterable[Recipe], states: Mapping[str, ClipState], output: Path) -> None:
    """Write ``SOURCES.md`` below ``output`` unless it says the same already."""
    path, data = output / "SOURCES.md", sources_text(recipes, states).encode()
    if not path.exists() or path.read_bytes() != data:
        write_atomically(path, data)
