# SPDX-License-Identifier: MIT
"""The rules for the parameters of a recipe, of which each is a key of a table in a file."""

from firstspike_arch.shown import shown

__all__ = ["RecipeError", "at_least", "positive", "require", "share", "within"]


class RecipeError(ValueError):
    """A recipe breaks a rule; the message names the key."""


def require(condition: bool, key: str, rule: str, value: object) -> None:
    if not condition:
        raise RecipeError(f"{key} must be {rule}, not {shown(value)}")


def positive(table: str, recipe: object, *keys: str) -> None:
    for key in keys:
        require(getattr(recipe, key) > 0, f"{table}.{key}", "positive", getattr(recipe, key))


def at_least(table: str, recipe: object, low: int, *keys: str) -> None:
    for key in keys:
        require(getattr(recipe, key) >= low, f"{table}.{key}", f"at least {low}", getattr(recipe, key))


def within(table: str, recipe: object, low: int, high: int, *keys: str) -> None:
    for key in keys:
        require(low <= getattr(recipe, key) <= high, f"{table}.{key}", f"{low}…{high}", getattr(recipe, key))


def share(table: str, recipe: object, *keys: str) -> None:
    """Parts of a whole, but never all of it."""
    for key in keys:
        require(0 <= getattr(recipe, key) < 1, f"{table}.{key}", "at least 0 and below 1", getattr(recipe, key))
