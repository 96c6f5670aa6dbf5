# SPDX-License-Identifier: MIT
"""Training of spiking networks for firstspike accelerators: from a recipe to a network file."""

from .loop import train
from .recipe import Recipe
from .recipe_file import load_recipe

__all__ = ["Recipe", "load_recipe", "train"]
