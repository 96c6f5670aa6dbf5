# SPDX-License-Identifier: MIT
"""Fold weight normalisation, its affine, and average pooling into weights and bias, in real numbers."""

from dataclasses import replace

import numpy as np
from firstspike_arch.connectivity import Dense
from firstspike_arch.fixed import standardise
from firstspike_arch.model import FloatLayer, FloatNetwork

from ..errors import CompileError

__all__ = ["fold_normalisation"]


def fold_normalisation(network: FloatNetwork) -> FloatNetwork:
    """The same network with weight gain·standardise(weight, T), bias + shift, and no gain or shift.

    An average over pool² addresses is their sum with weights (and ``weight_scale``) divided by pool²: in steps of that
    scale the weights stay what they are, and all else on the membrane grows.

    Raises
    ------
    CompileError
        A weight, gain, shift or bias has a wrong shape or is not finite, or T is out of range.
    """
    if not isinstance(network.steps, int) or not 1 <= network.steps <= 4096:
        raise CompileError(f"network {network.name}: steps must be 1…4096, not {network.steps!r}")
    return replace(network, layers=tuple(
        _fold(f"layer {index}", layer, network.steps) for index, layer in enumerate(network.layers)
    ))


def _fold(where: str, layer: FloatLayer, steps: int) -> FloatLayer:
    weight, synapses = np.asarray(layer.weight, dtype=np.float64), layer.connectivity
    if synapses is None:
        if weight.ndim != 2 or 0 in weight.shape:
            raise CompileError(f"{where}: weight must have shape (neurons, fan-in), not {weight.shape}")
        synapses = Dense(in_shape=weight.shape[1:], neurons=len(weight))
    if weight.shape != synapses.weight_shape:
        raise CompileError(f"{where}: weight must have shape {synapses.weight_shape}, not {weight.shape}")
    vectors = {}
    for name in ("gain", "shift", "bias"):
        value = getattr(layer, name)
        if value is not None:
            vectors[name] = np.asarray(value, dtype=np.float64)
            if vectors[name].shape != weight.shape[:1]:
                raise CompileError(f"{where}: {name} must have shape {weight.shape[:1]}, not {vectors[name].shape}")
    for name, values in (("weight", weight), *vectors.items()):
        wrong = values[~np.isfinite(values)]
        if wrong.size:
            raise CompileError(f"{where}: {name} must be finite, not {float(wrong[0])!r}")
    if "gain" in vectors:
        flat = vectors["gain"][:, None] * standardise(weight.reshape(len(weight), -1), steps)
        weight = flat.reshape(weight.shape)
    bias = vectors.get("bias", np.zeros(len(weight))) + vectors.get("shift", 0.0)
    scale = layer.weight_scale
    if layer.average_pool:
        weight = weight / synapses.pool**2
        scale = None if scale is None else scale / synapses.pool**2
    return replace(layer, weight=weight, gain=None, shift=None, bias=bias, weight_scale=scale, average_pool=False,
                   connectivity=synapses)
