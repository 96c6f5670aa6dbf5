# SPDX-License-Identifier: MIT
"""Training of time-to-first-spike networks for firstspike accelerators."""

from .loop import train
from .recipe import Recipe, load_recipe

__all__ = ["Recipe", "load_recipe", "train"]
