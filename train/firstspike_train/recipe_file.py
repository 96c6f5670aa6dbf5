# SPDX-License-Identifier: MIT
"""Recipes in files: TOML to train by, and the header of the network that was trained."""

import tomllib
from pathlib import Path

from firstspike_arch.float_network import FloatNetwork
from firstspike_arch.plain import decode

from .recipe import Recipe, RecipeError

__all__ = ["load_recipe", "read_recipe", "recipe_of"]


def load_recipe(path: str | Path) -> Recipe:
    """Read a TOML recipe.

    Raises
    ------
    RecipeError
        Naming the file and the key: an unknown key, a missing one, a wrong type, a value out of range.
    """
    path = Path(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: must be TOML: {error}") from None
    try:
        return read_recipe(table)
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from None


def read_recipe(table: dict) -> Recipe:
    """A recipe from plain values, as `Recipe.table` gives them or a TOML file; what is left out has its default.

    Raises
    ------
    RecipeError
        Naming the key.
    """
    try:
        return decode(Recipe, table)
    except ValueError as error:
        raise RecipeError(str(error)) from None


def recipe_of(network: FloatNetwork) -> Recipe:
    """The recipe that a network was trained by, as its file keeps it.

    Raises
    ------
    RecipeError
        It was not trained by one.
    """
    return read_recipe({key: value for key, value in network.recipe.items() if key != "history"})
