# SPDX-License-Identifier: MIT
"""Events of each layer, counted on samples and kept in the network."""

from dataclasses import replace

import firstspike as fs
import numpy as np
from firstspike_arch.connectivity import Conv2d, Dense
from firstspike_arch.float_network import FloatLayer, FloatNetwork
from firstspike_arch.neuron import FloatNeuron


def test_events_are_counted_where_they_reach_a_layer(tmp_path):
    """Each of 12 pixels that spike makes one neuron of a copying layer spike; a max pool passes one of four, and two
    neurons of the next layer fire."""
    copies, pooled = Conv2d(in_shape=(1, 4, 4), channels=1, kernel=(1, 1)), Dense(in_shape=(1, 4, 4), neurons=3, pool=2)
    once = FloatNeuron(theta=np.ones(1), single_spike=True)
    network = FloatNetwork(
        name="copies", steps=4, readout="first_spike", layers=(
            FloatLayer(weight=np.ones(copies.weight_shape), connectivity=copies, neuron=once),
            FloatLayer(weight=np.ones(pooled.weight_shape) * [[1], [1], [-1]], connectivity=pooled, max_pool=True,
                       neuron=replace(once, theta=np.ones(3))),
            FloatLayer(weight=np.eye(3), neuron=replace(once, theta=np.ones(3))),
        ))
    images = np.full((2, 16), 255, dtype=np.uint8)
    images[0, :8] = 0
    counted = fs.count_events(network, images)
    assert [layer.events for layer in counted.layers] == [12.0, 12.0, 2.0]
    fs.save(counted, tmp_path / "counted.safetensors")
    again = fs.load(tmp_path / "counted.safetensors")
    assert [layer.events for layer in again.layers] == [12.0, 12.0, 2.0]
    assert fs.compile(again, lanes=1).program.digest() == fs.compile(network, lanes=1).program.digest()
    # The layer that the compiler makes of the max pool takes the events, and the layer behind it is estimated.
    assert fs.compile(again).options.events == [12.0, 12.0, None, 2.0]


def test_events_of_many_in_a_step_are_counted_once():
    real = FloatNetwork(name="counts", steps=2, readout="spike_count", input_kind="events", layers=(
        FloatLayer(weight=np.eye(4), neuron=FloatNeuron(theta=np.ones(4))),))
    counts = np.zeros((1, 2, 4), dtype=np.int64)
    counts[0, 0] = [3, 1, 0, 0]
    counts[0, 1] = [0, 7, 0, 1]
    assert [layer.events for layer in fs.count_events(real, counts).layers] == [4.0]
