"""The pinned table: which recording, in which package, becomes which clip."""

import types
from collections.abc import Mapping
from difflib import get_close_matches

from mimickit.data.characters import CHARACTERS
from mimickit.data.recipes import g1, go2, humanoid, pi_plus, smpl, sword_shield
from mimickit.data.recipes.recipe import Recipe
from mimickit.errors import InputError

_ALL = (*humanoid.RECIPES, *sword_shield.RECIPES, *smpl.RECIPES, *g1.RECIPES, *go2.RECIPES, *pi_plus.RECIPES)
RECIPES: Mapping[str, Recipe] = types.MappingProxyType({recipe.name: recipe for recipe in _ALL})
assert len(RECIPES) == len(_ALL), "two recipes have one name"


def find_recipe(name: str) -> Recipe:
    """The recipe called ``name``, with or without folder and ``.pkl``. Raises `InputError` naming those near it."""
    key = name.rsplit("/", 1)[-1].removesuffix(".pkl")
    if key in RECIPES:
        return RECIPES[key]
    same = [known for known, recipe in RECIPES.items() if known == f"{CHARACTERS[recipe.character].prefix}_{key}"]
    near = ", ".join(same or get_close_matches(key, RECIPES, n=3, cutoff=0.0))
    raise InputError(
        f"no recipe builds a clip called {name!r}; near it are {near} (python -m mimickit.data list shows all of them)"
    )
