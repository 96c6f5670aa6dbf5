# SPDX-License-Identifier: MIT
"""Spikes that reach neurons as they are: synapses of weight 1 from each place to the same."""

import numpy as np
from firstspike_arch.connectivity import Conv2d, Dense, Shape, pooled, size_of

__all__ = ["one_to_one"]

VECTOR_MAX = 4096
"""Of more spikes of a vector, the synapses would be a matrix of nothing but zeros."""


def one_to_one(in_shape: Shape, pool: int, *, flat: bool = False) -> tuple[Dense | Conv2d, np.ndarray]:
    """Connectivity, and its weights, float64; ``flat``: onto neurons without a shape.

    Raises
    ------
    ValueError
        The spikes are too many.
    """
    shape = pooled(in_shape, pool)
    if len(shape) == 3 and not flat:
        maps = Conv2d(in_shape=in_shape, channels=shape[0], kernel=(1, 1), groups=shape[0], pool=pool)
        return maps, np.ones(maps.weight_shape)
    if size_of(shape) > VECTOR_MAX:
        raise ValueError(f"{size_of(shape)} spikes are too many to be passed on one to one")
    return Dense(in_shape=in_shape, neurons=size_of(shape), pool=pool), np.eye(size_of(shape))
