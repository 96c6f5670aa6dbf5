# SPDX-License-Identifier: MIT
"""Integer networks written as `FloatNetwork`, so that the same files and commands take them."""

from typing import Any

import numpy as np

from .fixed import bits_for_signed, largest_weight
from .float_network import FloatBranch, FloatLayer, FloatNetwork
from .network import IntegerNetwork, Layer, NetworkError
from .neuron import FloatNeuron

__all__ = ["real_network"]


def real_network(network: IntegerNetwork) -> FloatNetwork:
    """The network as a `FloatNetwork` with a scale of 1, which the compiler turns back into the same integers.

    The names of layers and the longest inference (the compiler's ``steps_max``) are lost. A layer with a weight of
    −2^(bits − 1), which the compiler would clip, gets one bit more.

    Raises
    ------
    NetworkError
        A weight is larger than the compiler would make it, or the thresholds of a learned latency encoder differ.
    """
    return FloatNetwork(
        name=network.name, steps=network.steps, readout=network.readout, input_kind=network.input_kind,
        cutoff=network.cutoff, in_min=network.in_min, in_max=network.in_max, step_weights=network.step_weights,
        layers=tuple(_layer(f"layer {index} ({layer.name})", layer) for index, layer in enumerate(network.layers)),
    )


def _layer(where: str, layer: Layer) -> FloatLayer:
    neuron = layer.neuron
    lowest = min(int(np.min(one.weights)) for one in (layer, *layer.branches))
    bits = layer.weight_bits if -lowest <= largest_weight(layer.weight_bits) else bits_for_signed(lowest, -lowest)
    if bits > 8:
        raise NetworkError(f"{where}: weights must be −127…127 to be saved, not {lowest}")

    if neuron.theta_fall is not None and (neuron.theta != neuron.theta[0]).any():  # pyright: ignore - it has one
        raise NetworkError(f"{where}: theta must be the same for all neurons of a layer with theta_fall to be saved")

    return FloatLayer(
        weight=np.asarray(layer.weights, dtype=np.float64), connectivity=layer.connectivity, weight_bits=bits,
        weight_scale=1.0, current_pool=layer.current_pool,
        neuron=FloatNeuron(**neuron.options(), **{name: _real(value) for name, value in neuron.given().items()},
                           leak=neuron.leak),
        branches=tuple(FloatBranch(source=one.source, connectivity=one.connectivity,
                                   weight=np.asarray(one.weights, dtype=np.float64)) for one in layer.branches),
    )


def _real(value: np.ndarray | int) -> Any:
    return float(value) if isinstance(value, int) else np.asarray(value, dtype=np.float64)
