# SPDX-License-Identifier: MIT
"""What a recipe learns from: images, or recordings binned as it says."""

import numpy as np

from .data import load_lazily
from .image_folders import FolderImages
from .recipe import Recipe
from .recordings import load_recordings

__all__ = ["load_inputs"]


def load_inputs(recipe: Recipe, split: str) -> tuple[np.ndarray | FolderImages, np.ndarray]:
    """Images uint8[B, C·H·W] (ImageNet: left on disk) or counts of events uint8[B, T, N]; and labels, int64[B].

    Raises
    ------
    DataError
    """
    data = recipe.data
    if data.step_us:
        return load_recordings(data.dataset, split, recipe.network.steps, data.step_us, data.count_max)
    return load_lazily(data.dataset, split)
