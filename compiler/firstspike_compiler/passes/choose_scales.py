# SPDX-License-Identifier: MIT
"""Choose the real value of one integer step, one a layer."""

from dataclasses import replace

import numpy as np
from firstspike_arch.fixed import quantise, weight_scale
from firstspike_arch.model import FloatLayer, FloatNetwork

from ..errors import CompileError

__all__ = ["choose_scales"]

CLIPPINGS = np.linspace(0.15, 1.0, 52)
"""Fractions of the largest weight that are tried as the largest weight that is kept."""

SAMPLES_MAX = 1 << 18
"""Weights that take part in the search; of more, an even selection."""


def choose_scales(network: FloatNetwork, weight_bits: int | None = None) -> FloatNetwork:
    """The same network with ``weight_scale`` (and ``weight_bits``, if given) set in every layer.

    A scale that training fixed is kept, unless the bits differ from the ones it was fixed for. Otherwise: the one with
    the least squared error of the weights, rounding and clipping together; where all neurons share one threshold, or
    one step of a soft reset, moved to the nearest that makes it a whole number of steps.

    Raises
    ------
    CompileError
        Bits out of range, a scale that is not positive, or weights that are all zero.
    """
    return replace(network, layers=tuple(
        _choose(f"layer {index}", layer, layer.weight_bits if weight_bits is None else weight_bits)
        for index, layer in enumerate(network.layers)
    ))


def _choose(where: str, layer: FloatLayer, bits: int) -> FloatLayer:
    if not isinstance(bits, int) or not 2 <= bits <= 8:
        raise CompileError(f"{where}: weight_bits must be 2…8, not {bits!r}")
    if layer.weight_scale is not None and bits == layer.weight_bits:
        scale = layer.weight_scale
        if not (np.isfinite(scale) and scale > 0):
            raise CompileError(f"{where}: weight_scale must be a positive number, not {scale!r}")
        return replace(layer, weight_scale=float(scale))
    weight = np.concatenate([np.asarray(one.weight).ravel() for one in (layer, *layer.branches)])
    largest = np.abs(weight).max()
    if largest == 0:
        raise CompileError(f"{where}: weight must not be zero everywhere")
    sample = weight[:: -(-weight.size // SAMPLES_MAX)]
    scales = weight_scale(largest, bits) * CLIPPINGS
    errors = [float(np.square(quantise(sample, scale, bits) * scale - sample).sum()) for scale in scales]
    scale = float(scales[int(np.argmin(errors))])
    theta = None if layer.theta is None else np.unique(np.asarray(layer.theta).T[:1] if np.ndim(layer.theta) == 2
                                                       else layer.theta)
    if layer.reset_step is not None:
        theta = np.unique(layer.reset_step)
    if theta is not None and theta.size == 1 and np.isfinite(theta[0]) and theta[0] > 0:
        scale = float(theta[0]) / max(1, round(float(theta[0]) / scale))
    return replace(layer, weight_bits=bits, weight_scale=scale)
