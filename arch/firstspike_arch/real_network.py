# SPDX-License-Identifier: MIT
"""Integer networks written as `FloatNetwork`, so that the same files and commands take them."""

from typing import Any

import numpy as np

from .float_network import FloatBranch, FloatLayer, FloatNetwork
from .layer import Layer
from .network import IntegerNetwork
from .neuron import FloatNeuron

__all__ = ["real_network"]


def real_network(network: IntegerNetwork) -> FloatNetwork:
    """The network as a `FloatNetwork` with a scale of 1, which the compiler turns back into the same integers.

    Only the real value of a step, ``scale`` of the layers, is lost; reports use it.
    """
    return FloatNetwork(
        name=network.name, steps=network.steps, steps_max=network.steps_max, readout=network.readout,
        input_kind=network.input_kind, cutoff=network.cutoff, in_min=network.in_min, in_max=network.in_max,
        step_weights=network.step_weights, endless=network.endless, leak_rounding="floor",
        layers=tuple(_layer(layer) for layer in network.layers),
    )


def _layer(layer: Layer) -> FloatLayer:
    neuron = layer.neuron
    return FloatLayer(
        weight=_weight(layer.weights, layer), connectivity=layer.connectivity, name=layer.name,
        weight_exponent=layer.weight_exponent,
        weight_bits=layer.weight_bits, weight_scale=1.0, current_pool=layer.current_pool, delays=layer.delays,
        neuron=FloatNeuron(**neuron.options(), **{name: _real(value) for name, value in neuron.given().items()},
                           leak=neuron.leak, current_leak=neuron.current_leak, rise_leak=neuron.rise_leak),
        branches=tuple(FloatBranch(source=one.source, connectivity=one.connectivity, delays=one.delays,
                                   weight=_weight(one.weights, layer)) for one in layer.branches),
    )


def _weight(weights: np.ndarray, layer: Layer) -> np.ndarray:
    """Weights in steps of the membranes, float64."""
    return np.asarray(weights, dtype=np.float64) * layer.weight_unit


def _real(value: np.ndarray | int) -> Any:
    return float(value) if isinstance(value, int) else np.asarray(value, dtype=np.float64)
