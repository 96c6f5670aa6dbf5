# SPDX-License-Identifier: MIT
"""Fold weight normalisation, its affine, average pooling and the scale of a direct input into the weights."""

from dataclasses import replace

import numpy as np
from firstspike_arch.connectivity import Dense
from firstspike_arch.fixed import standardise
from firstspike_arch.float_network import FloatLayer, FloatNetwork
from firstspike_arch.network import INPUT
from firstspike_arch.shown import shown

from ..errors import CompileError

__all__ = ["fold_normalisation"]


def fold_normalisation(network: FloatNetwork) -> FloatNetwork:
    """The same network with weight gain·standardise(weight, T) and bias + shift, without gain and shift.

    An average pool becomes a sum pool, with weights and ``weight_scale`` divided by the pixels of a window; counted in
    steps of that scale, the weights keep their values and all other numbers on the membrane grow. In the same way the
    weights for the input, and their ``weight_scale``, are multiplied by ``input_scale``, which becomes 1.

    Raises
    ------
    CompileError
        A weight, gain, shift or bias has a wrong shape or is not finite, or T or ``input_scale`` is out of range.
    """
    if not isinstance(network.steps, int) or not 1 <= network.steps <= 4096:
        raise CompileError(f"network {network.name}: steps must be 1…4096, not {shown(network.steps)}")
    if not (np.isfinite(network.input_scale) and network.input_scale > 0):
        raise CompileError(f"network {network.name}: input_scale must be a positive number, "
                           f"not {shown(network.input_scale)}")
    unit = network.input_scale
    if network.input_kind == "latency" and unit != 1:
        raise CompileError(f"network {network.name}: input_scale must be 1 for latency input, whose spikes are 1, not "
                           f"{shown(unit)}")
    return replace(network, input_scale=1.0, layers=tuple(
        _fold(f"layer {index}", layer, network.steps, 1.0 if index else unit, unit)
        for index, layer in enumerate(network.layers)
    ))


def _fold(where: str, layer: FloatLayer, steps: int, unit: float, input_unit: float) -> FloatLayer:
    weight, synapses = np.asarray(layer.weight, dtype=np.float64), layer.connectivity
    if synapses is None:
        if weight.ndim != 2 or 0 in weight.shape:
            raise CompileError(f"{where}: weight must have shape (neurons, fan-in), not {weight.shape}")
        synapses = Dense(in_shape=weight.shape[1:], neurons=len(weight))
    if weight.shape != synapses.weight_shape:
        raise CompileError(f"{where}: weight must have shape {synapses.weight_shape}, not {weight.shape}")
    vectors = {}
    for name, value in (("gain", layer.gain), ("shift", layer.shift), ("bias", layer.neuron.bias)):
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
        unit = unit / synapses.pool_size
    branches = []
    for number, branch in enumerate(layer.branches):
        values, shape = np.asarray(branch.weight, dtype=np.float64), branch.connectivity.weight_shape
        if values.shape != shape or not np.isfinite(values).all():
            raise CompileError(f"{where}: weight of branch {number} must be finite and have shape {shape}, "
                               f"not {values.shape}")
        pool = branch.connectivity.pool_size if branch.average_pool else 1
        worth = input_unit if branch.source == INPUT else 1.0
        branches.append(replace(branch, weight=values / pool * worth, average_pool=False))
    return replace(layer, weight=weight * unit, gain=None, shift=None, branches=tuple(branches),
                   neuron=replace(layer.neuron, bias=bias),
                   weight_scale=None if scale is None else scale * unit, average_pool=False, connectivity=synapses)
