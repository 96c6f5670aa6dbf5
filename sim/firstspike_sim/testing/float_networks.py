# SPDX-License-Identifier: MIT
"""Small networks in real numbers, for tests of the compiler."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
from firstspike_arch.connectivity import Conv2d, Dense
from firstspike_arch.float_network import FloatBranch, FloatLayer, FloatNetwork
from firstspike_arch.network import IntegerNetwork
from firstspike_arch.neuron import FloatNeuron
from firstspike_compiler.compile import compile_network

__all__ = ["WEIGHTS", "convolutions", "layer_of", "network_of", "residual", "two_layers"]

_RNG = np.random.default_rng(5)
WEIGHTS = _RNG.normal(size=(6, 20)), _RNG.normal(size=(3, 6))
"""Of `two_layers`: from 20 inputs to 6 neurons, and to 3."""


def network_of(*layers: FloatLayer, **changes: Any) -> FloatNetwork:
    """A network of these layers, with these fields."""
    values: dict[str, Any] = {"name": "net", "steps": 5, "layers": layers, "readout": "first_spike"}
    return FloatNetwork(**{**values, **changes})


def layer_of(weight: np.ndarray = WEIGHTS[0], **changes: Any) -> FloatLayer:
    """A layer of these weights, with these fields of it and of its neurons."""
    values: dict[str, Any] = {"weight": weight, "theta": np.ones(len(weight)), "single_spike": True, "weight_bits": 4}
    values |= changes
    neuron = {item.name: values.pop(item.name) for item in fields(FloatNeuron) if item.name in values}
    return FloatLayer(neuron=FloatNeuron(**neuron), **values)


def two_layers(**changes: Any) -> FloatNetwork:
    """Two dense layers."""
    return network_of(layer_of(), layer_of(WEIGHTS[1]), **changes)


def residual(**changes: Any) -> FloatNetwork:
    """Two dense layers; the second also takes the input, averaged 2 × 2, and its own spikes. ``changes`` are of
    the synapses from the input."""
    pooled = Dense(in_shape=(5, 2, 2), neurons=3, pool=2)
    first = layer_of(np.round(WEIGHTS[0] * 4) / 4, connectivity=Dense(in_shape=(5, 2, 2), neurons=6),
                     weight_scale=0.25, weight_bits=6)
    branches = (
        FloatBranch(source=-1, weight=np.arange(-7, 8).reshape(3, 5) / 4, connectivity=pooled,
                    **{"average_pool": True, **changes}),
        FloatBranch(source=1, weight=np.eye(3) / 2, connectivity=Dense(in_shape=(3,), neurons=3)),
    )
    last = layer_of(np.round(WEIGHTS[1] * 4) / 4, weight_scale=1 / 16, weight_bits=8, branches=branches)
    return network_of(first, last)


def convolutions(**changes: Any) -> IntegerNetwork:
    """Three kinds of layers: a convolution that has banks, one of a single pixel, a dense one. ``changes`` are of the
    first."""
    rng = np.random.default_rng(5)
    first = Conv2d(in_shape=(1, 6, 6), channels=2, kernel=(3, 2))
    second = Conv2d(in_shape=first.out_shape, channels=2, kernel=(1, 1))
    last = Dense(in_shape=second.out_shape, neurons=3)
    real = network_of(*(layer_of(rng.normal(size=one.weight_shape), connectivity=one)
                        for one in (first, second, last)))
    integer = compile_network(real).program.network
    return replace(integer, layers=(replace(integer.layers[0], **changes), *integer.layers[1:]))
