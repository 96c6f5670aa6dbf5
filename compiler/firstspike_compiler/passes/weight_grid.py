# SPDX-License-Identifier: MIT
"""Weights that are whole numbers of one step already, as quantisation-aware training leaves them."""

import math

import numpy as np
from firstspike_arch.fixed import are_whole, weight_range

__all__ = ["finest_multiple", "grid_step", "moved_to_whole"]

_SAMPLES = 4096
"""Number of weights that are looked at first; among those of other networks, too many differ."""


def grid_step(weights: np.ndarray, bits: int) -> float | None:
    """Return the largest step of which all weights, float64[N], are whole numbers that ``bits`` signed bits hold.

    Each weight may be off by the rounding of float32, in which most frameworks compute. None: there is no such step, or
    all weights are 0.
    """
    low, high = weight_range(bits)
    most = 2 * -low  # each magnitude, and some of them a second time by another rounding
    if len(np.unique(np.abs(weights[:_SAMPLES]))) > 2 * most:
        return None
    sizes = np.unique(np.abs(weights))
    sizes = sizes[sizes > 0]
    if not 0 < len(sizes) <= 2 * most:
        return None
    for count in range(1, -low + 1):
        steps = sizes * (count / sizes[-1])
        if are_whole(steps).all() and steps[0] > 0.5:
            whole = np.rint(steps)
            # Exact sums, the same on every processor: the order in which a product of vectors adds up depends on it.
            step = math.fsum(sizes * whole) / math.fsum(whole * whole)
            if low <= round(float(weights.min()) / step) and round(float(weights.max()) / step) <= high:
                return step
    return None


def finest_multiple(weights: np.ndarray, step: float, bits: int) -> int:
    """Return the largest n for which ``bits`` signed bits hold all weights in steps of ``step / n``."""
    low, high = weight_range(bits)
    least, most = round(float(weights.min()) / step), round(float(weights.max()) / step)
    return min(low // least if least < 0 else high, high // most if most > 0 else -low)


def moved_to_whole(scales: np.ndarray, number: float) -> np.ndarray:
    """Return scales, float64[N], with those moved, by no more than float32 rounds, in which ``number`` is then
    whole."""
    ratios = number / scales
    return np.where(are_whole(ratios) & (ratios > 0.5), number / np.maximum(1, np.rint(ratios)), scales)
