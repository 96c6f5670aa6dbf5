# SPDX-License-Identifier: MIT
"""Biases as rows of weights, which a core adds as it adds those of events."""

import numpy as np

from .fixed import largest_weight
from .layer import Layer

__all__ = ["BIAS_ROWS_MAX", "bias_rows", "has_constant_bias"]

BIAS_ROWS_MAX = 16


def bias_rows(layer: Layer) -> np.ndarray:
    """Rows of weights that add up to the bias, int64[B, C], B ≥ 1, in steps of the weights; each fits the layer's
    weight bits.

    A bias is stored as the weight of an input that spikes in every step; a bias that does not fit is spread over
    several rows. The result is one row of zeros if the bias is not in the rows: it is a constant (`has_constant_bias`),
    or it is added once.
    """
    limit = largest_weight(layer.weight_bits)
    left = np.asarray(layer.neuron.bias) // layer.weight_unit
    if layer.neuron.bias_once or has_constant_bias(layer):
        left = np.zeros(layer.channels, dtype=np.int64)
    rows = []
    while True:
        rows.append(np.clip(left, -limit, limit))
        left = left - rows[-1]
        if not left.any():
            return np.array(rows)


def has_constant_bias(layer: Layer) -> bool:
    """Whether a bias of every step would need more than `BIAS_ROWS_MAX` rows of weights, or fractions of a weight's
    step; it is then a constant of the RTL.

    The bias of a first layer with a direct input is often that large, because its unit is that of a grey level.
    """
    steps, rest = np.divmod(layer.neuron.bias, layer.weight_unit)
    largest = BIAS_ROWS_MAX * largest_weight(layer.weight_bits)
    return not layer.neuron.bias_once and bool(rest.any() or (np.abs(steps) > largest).any())
