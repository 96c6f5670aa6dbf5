# SPDX-License-Identifier: MIT
"""Events of each layer, counted on samples and kept in the network for the compiler."""

from dataclasses import replace

import numpy as np
from firstspike_arch.float_network import FloatNetwork
from firstspike_compiler.compile import compile_network
from firstspike_sim.models.golden import GoldenModel

__all__ = ["SAMPLES", "count_events"]

SAMPLES = 100
"""Number of inferences on which the events are counted after training."""


def count_events(network: FloatNetwork, inputs: np.ndarray) -> FloatNetwork:
    """Return the network with the mean number of events that reach each layer in an inference, by the golden model.

    With it, a mapping without samples (`compile` without ``lanes``) shares out processing elements nearly as well as
    `map_to_device`. Nothing else depends on it.

    Parameters
    ----------
    inputs
        Samples, as `GoldenModel.run` takes them.
    """
    inputs = np.asarray(inputs)
    span = {} if network.input_kind != "events" else {
        "in_min": min(int(inputs.min()), network.in_min), "in_max": max(int(inputs.max()), network.in_max)}
    integer = compile_network(network, lanes=1, **span).program.network
    sent = [float((spikes != 0).sum((1, 2)).mean()) for spikes in GoldenModel(integer).run(inputs).spikes]
    layers, place = [], 0
    for layer in network.layers:
        layers.append(replace(layer, events=round(sent[place], 1)))
        place += 1 + layer.max_pool  # which the compiler makes a layer of its own
    return replace(network, layers=tuple(layers))
