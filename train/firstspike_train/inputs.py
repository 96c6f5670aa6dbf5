# SPDX-License-Identifier: MIT
"""Inputs that a recipe trains on: images, or recordings binned into steps."""

import numpy as np

from .data import load_lazily
from .image_folders import FolderImages
from .recipe import Recipe
from .recordings import load_recordings

__all__ = ["load_inputs"]


def load_inputs(recipe: Recipe, split: str) -> tuple[np.ndarray | FolderImages, np.ndarray]:
    """Load images, uint8[B, C·H·W] (ImageNet stays on disk), or event counts, uint8[B, T, N]; and labels, int64[B].

    Raises
    ------
    DataError
        The data are missing or altered.
    """
    data = recipe.data
    if data.step_us:
        return load_recordings(data.dataset, split, recipe.network.steps, data.step_us, data.count_max)
    return load_lazily(data.dataset, split)
