# SPDX-License-Identifier: MIT
"""One-to-one synapses of weight 1, for spikes that reach neurons without other synapses."""

import numpy as np
from firstspike_arch.connectivity import Conv2d, Dense, Pool, Shape, pooled, size_of

__all__ = ["one_to_one"]

VECTOR_MAX = 4096
"""Most places of a vector; the synapses are a square matrix, almost all of it zeros."""


def one_to_one(in_shape: Shape, pool: Pool = 1, *, flat: bool = False) -> tuple[Dense | Conv2d, np.ndarray]:
    """Connectivity and weights (float64) from each place of a pooled input to the neuron at the same place.

    A map gives a depthwise convolution, and with ``flat`` a dense layer; a vector gives a dense layer.

    Raises
    ------
    ValueError
        A dense layer would have more than `VECTOR_MAX` neurons.
    """
    shape = pooled(in_shape, pool)
    if len(shape) == 3 and not flat:
        maps = Conv2d(in_shape=in_shape, channels=shape[0], kernel=(1, 1), groups=shape[0], pool=pool)
        return maps, np.ones(maps.weight_shape)
    if size_of(shape) > VECTOR_MAX:
        raise ValueError(f"{size_of(shape)} spikes are too many to be passed on one to one")
    return Dense(in_shape=in_shape, neurons=size_of(shape), pool=pool), np.eye(size_of(shape))
