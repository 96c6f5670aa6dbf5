# SPDX-License-Identifier: MIT
"""Fixed parts of a data set: what is kept of the official training set for validation never changes."""

import numpy as np

from .official_files import DataError

__all__ = ["SPLIT_SEED", "check_split", "part_of"]

SPLITS = ("train", "validation", "test")
SPLIT_SEED = 20240229


def check_split(split: str) -> None:
    """Refuse what is no split.

    Raises
    ------
    DataError
    """
    if split not in SPLITS:
        raise DataError(f"split must be one of {', '.join(SPLITS)}, not {split!r}")


def part_of(name: str, split: str, count: int, validation: int) -> np.ndarray:
    """Which of the ``count`` items of an official set ``name`` belong to a split, int64[K]; all of a test set do.

    Raises
    ------
    DataError
        Fewer training items than are kept for validation.
    """
    if split == "test":
        return np.arange(count)
    if validation >= count:
        raise DataError(f"{name} must have more than {validation} training items, not {count}")
    order = np.random.default_rng(SPLIT_SEED).permutation(count)
    return order[:validation] if split == "validation" else order[validation:]
