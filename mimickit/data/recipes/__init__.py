"""The pinned table: which recording, in which package, becomes which clip."""

import types
from collections.abc import Mapping
from difflib import get_close_matches

from mimickit.data.recipes import g1, go2, humanoid, pi_plus, smpl, sword_shield
from mimickit.data.recipes.recipe import Recipe
from mimickit.errors import InputError

_ALL = (*humanoid.RECIPES, *sword_shield.RECIPES, *smpl.RECIPES, *g1.RECIPES, *go2.RECIPES, *pi_plus.RECIPES)
RECIPES: Mapping[str, Recipe] = types.MappingProxyType({recipe.name: recipe for recipe in _ALL})
assert len(RECIPES) == len(_ALL), "two recipes have one name"


def find_recipe(name: str) -> Recipe:
    """The recipe called ``name``, with or without folder, ``.pkl``, or ``humanoid_`` before it.

    Raises `InputError` naming the nearest one.
    """
    key = name.rsplit("/", 1)[-1].removesuffix(".pkl")
    for known in (key, f"humanoid_{key}"):
        if known in RECIPES:
            return RECIPES[known]
    nearest = get_close_matches(key, RECIPES, n=1, cutoff=0.0)[0]
    raise InputError(
        f"no recipe builds a clip called {name!r}; the nearest one is {nearest!r} "
        "(python -m mimickit.data list shows all of them)"
    )
