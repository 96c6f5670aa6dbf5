# SPDX-License-Identifier: MIT
"""Fixed splits of a data set: the part of the official training set kept for validation never changes."""

import numpy as np
from firstspike_arch.shown import shown

from .official_files import DataError

__all__ = ["SPLIT_SEED", "check_split", "part_of"]

SPLITS = ("train", "validation", "test")
SPLIT_SEED = 20240229


def check_split(split: str) -> None:
    """Refuse a name that is not a split.

    Raises
    ------
    DataError
    """
    if split not in SPLITS:
        raise DataError(f"split must be one of {', '.join(SPLITS)}, not {shown(split)}")


def part_of(name: str, split: str, count: int, validation: int) -> np.ndarray:
    """Return the indices, int64[K], of those of the ``count`` items of an official set that belong to a split.

    All items of a test set belong to "test".

    Raises
    ------
    DataError
        There are too few training items to keep some for validation.
    """
    if split == "test":
        return np.arange(count)
    if validation >= count:
        raise DataError(f"{name} must have more than {validation} training items, not {count}")
    order = np.random.default_rng(SPLIT_SEED).permutation(count)
    return order[:validation] if split == "validation" else order[validation:]
