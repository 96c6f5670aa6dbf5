# SPDX-License-Identifier: MIT
"""Reading of recipes from TOML files, and from the header of a trained network's file."""

import tomllib
from pathlib import Path

from firstspike_arch.float_network import FloatNetwork
from firstspike_arch.plain import decode

from .recipe import Recipe, RecipeError

__all__ = ["load_recipe", "read_recipe", "recipe_of"]

BYTES_MAX = 1 << 20
"""Most bytes of a recipe."""


def load_recipe(path: str | Path) -> Recipe:
    """Read a TOML recipe.

    Raises
    ------
    RecipeError
        A key is unknown or missing, or a value has a wrong type or is out of range; the message names file and key.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            raw = file.read(BYTES_MAX + 1)
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}") from None
    if len(raw) > BYTES_MAX:
        raise RecipeError(f"{path}: must be a recipe of at most {BYTES_MAX} bytes")
    try:
        table = tomllib.loads(raw.decode())
    except RecursionError:
        raise RecipeError(f"{path}: must be TOML: tables and lists are nested too deeply") from None
    except ValueError as error:  # TOML's and UTF-8's own, and that of a number of thousands of digits
        raise RecipeError(f"{path}: must be TOML: {error}") from None
    try:
        return read_recipe(table)
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from None


def read_recipe(table: dict) -> Recipe:
    """Read a recipe from plain values, as in `Recipe.table` or a TOML file. Missing values have their defaults.

    Raises
    ------
    RecipeError
        A key or value is wrong; the message names the key.
    """
    try:
        return decode(Recipe, table)
    except ValueError as error:
        raise RecipeError(str(error)) from None


def recipe_of(network: FloatNetwork) -> Recipe:
    """Return the recipe that a network was trained by, which its file holds.

    Raises
    ------
    RecipeError
        The network was not trained by a recipe.
    """
    return read_recipe({key: value for key, value in network.recipe.items() if key != "history"})
