# SPDX-License-Identifier: MIT
"""Replace each max pool by a layer of neurons that fire once, at the first spike of their window."""

from dataclasses import replace

import numpy as np
from firstspike_arch.connectivity import Conv2d, pooled
from firstspike_arch.float_network import FloatLayer, FloatNetwork
from firstspike_arch.neuron import FloatNeuron

from ..errors import CompileError

__all__ = ["lower_max_pools"]


def lower_max_pools(network: FloatNetwork) -> FloatNetwork:
    """The same network without ``max_pool``.

    A max pool passes the first spike of its window and no later ones. A depthwise convolution with weights 1 onto
    neurons that fire once, with threshold 1, does the same.

    Raises
    ------
    CompileError
        The layer before does not fire once, so that its maximum over a window would not be a single spike.
    """
    layers: list[FloatLayer] = []
    place: dict[int, int] = {-1: -1}  # index of each layer → its index in the result
    for index, layer in enumerate(network.layers):
        if layer.max_pool:
            once = network.layers[index - 1].neuron.single_spike if index else network.input_kind == "latency"
            if not once:
                raise CompileError(f"layer {index}: max_pool must follow neurons that fire once; use average_pool")
            pool, synapses = _pool(index, layer)
            layers.append(pool)
            layer = replace(layer, connectivity=synapses, max_pool=False, events=None, delays=None)
        if any(branch.source not in place and branch.source != index for branch in layer.branches):
            raise CompileError(f"layer {index}: branches must come from the layer itself or from one before it")
        place[index] = len(layers)
        layers.append(replace(layer, branches=tuple(
            replace(branch, source=place[branch.source]) for branch in layer.branches)))
    return replace(network, layers=tuple(layers))


def _pool(index: int, layer: FloatLayer):
    """The layer that pools, and the connectivity of the layer behind it."""
    synapses = layer.connectivity
    if synapses is None or synapses.pool_size == 1 or layer.average_pool:
        raise CompileError(f"layer {index}: max_pool must have a map as input, a pool of more than one pixel, "
                           "and no average_pool")
    channels, sides = synapses.in_shape[0], synapses.pool_sides
    pools = Conv2d(in_shape=synapses.in_shape, channels=channels, kernel=sides, stride=sides, groups=channels)
    return FloatLayer(
        weight=np.ones(pools.weight_shape), connectivity=pools, weight_bits=2, weight_scale=1.0,
        neuron=FloatNeuron(theta=np.ones(channels), single_spike=True), events=layer.events,
        delays=layer.delays,
    ), replace(synapses, in_shape=pooled(synapses.in_shape, sides), pool=1)
