# SPDX-License-Identifier: MIT
"""Shapes, refusals, and the walk of an event, against counting by hand."""

import re

import numpy as np
import pytest
from firstspike_arch.array import LayerPlan
from firstspike_arch.connectivity import Conv2d, Dense
from firstspike_arch.events import TokenLayout
from firstspike_arch.memory import weight_image, weight_memory, weights_from_image
from firstspike_arch.network import Layer, Neuron
from firstspike_arch.walk import walks_of


@pytest.mark.parametrize(("make", "sentence"), [
    (lambda: Dense(in_shape=(4, 4), neurons=2), "in_shape must be (N,) or (C, H, W), each at least 1, not (4, 4)"),
    (lambda: Dense(in_shape=(0,), neurons=2), "in_shape must be (N,) or (C, H, W), each at least 1, not (0,)"),
    (lambda: Dense(in_shape=(8,), neurons=2, pool=2), "pool must be 1…1 for an input of shape (8,), not 2"),
    (lambda: Dense(in_shape=(8,), neurons=0), "neurons must be at least 1, not 0"),
    (lambda: Conv2d(in_shape=(8, 8), channels=1, kernel=(1, 1)), "in_shape must be (C, H, W), not (8, 8)"),
    (lambda: Conv2d(in_shape=(1, 5, 9), channels=1, kernel=(1, 1), pool=6),
     "pool must be 1…5 for an input of shape (1, 5, 9), not 6"),
    (lambda: Conv2d(in_shape=(1, 4, 6), channels=1, kernel=(7, 1), padding=(1, 0)),
     "kernel must be at most the padded input, 6 × 6, not 7 × 1"),
    (lambda: Conv2d(in_shape=(6, 4, 4), channels=8, kernel=(1, 1), groups=3),
     "groups must divide 6 input and 8 output channels, not 3"),
    (lambda: Conv2d(in_shape=(6, 4, 4), channels=8, kernel=(1, 1), stride=(0, 1)),
     "channels, kernel and stride must be at least 1 and padding at least 0, not 8, (1, 1), (0, 1), (0, 0)"),
])
def test_a_broken_rule_is_named(make, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        make()


CONVOLUTIONS = [
    Conv2d(in_shape=(2, 5, 6), channels=4, kernel=(3, 3)),
    Conv2d(in_shape=(2, 7, 6), channels=6, kernel=(3, 2), stride=(2, 1), padding=(1, 2), groups=2),
    Conv2d(in_shape=(3, 9, 8), channels=3, kernel=(2, 3), stride=(1, 2), padding=(0, 1), groups=3, pool=2),
    Conv2d(in_shape=(1, 4, 4), channels=5, kernel=(1, 1), stride=(3, 3)),
]


def layer_of(synapses) -> Layer:
    random = np.random.default_rng(4)
    zeros = np.zeros(synapses.channels, dtype=np.int64)
    return Layer(
        name="only", weights=random.integers(-7, 8, synapses.weight_shape), weight_bits=4, connectivity=synapses,
        neuron=Neuron(bias=random.integers(-20, 20, synapses.channels), theta=zeros + 5, v_init=zeros),
    )


def plan_of(layer: Layer, lanes: int) -> LayerPlan:
    return LayerPlan.of(layer, 0, lanes=lanes, membrane_bits=8)


@pytest.mark.parametrize("synapses", CONVOLUTIONS)
@pytest.mark.parametrize("lanes", [1, 2])
def test_a_walk_adds_the_weights_that_a_convolution_adds(synapses, lanes):
    layer = layer_of(synapses)
    lanes = min(lanes, synapses.channels // synapses.groups)
    plan = plan_of(layer, lanes)
    (walk,), _ = walks_of(layer, plan)
    shape = weight_memory(0, layer, plan)
    words = np.array([[(word >> 4 * lane & 15 ^ 8) - 8 for lane in range(lanes)] for word in weight_image(layer, plan)])
    assert len(words) == shape.depth
    rows, first_words, y_counts, x_counts = walk.visits(synapses.in_shape)
    _, height, width = synapses.out_shape
    for address, (channel, y, x) in enumerate(np.ndindex(synapses.in_shape)):
        got = np.zeros(plan.rows * lanes, dtype=np.int64)
        for step_y in range(y_counts[address]):
            for step_x in range(x_counts[address]):
                for row in range(walk.reach):
                    at = rows[address] + step_y * walk.y.row_step + step_x * walk.x.row_step + row
                    word = first_words[address] + step_y * walk.y.word_step + step_x * walk.x.word_step + row
                    got[at * lanes:(at + 1) * lanes] += words[word]
        wanted = np.zeros(synapses.out_shape, dtype=np.int64)
        y, x = y // synapses.pool, x // synapses.pool
        inputs = synapses.in_shape[0] // synapses.groups
        outputs = synapses.channels // synapses.groups
        if y < synapses.in_shape[1] // synapses.pool and x < synapses.in_shape[2] // synapses.pool:
            for output in range(channel // inputs * outputs, (channel // inputs + 1) * outputs):
                for at_y, at_x in np.ndindex(height, width):
                    tap_y = y + synapses.padding[0] - at_y * synapses.stride[0]
                    tap_x = x + synapses.padding[1] - at_x * synapses.stride[1]
                    if 0 <= tap_y < synapses.kernel[0] and 0 <= tap_x < synapses.kernel[1]:
                        wanted[output, at_y, at_x] = layer.weights[output, channel % inputs, tap_y, tap_x]
        assert np.array_equal(got[plan.places()], wanted.ravel()), (channel, y, x)


@pytest.mark.parametrize("synapses", [*CONVOLUTIONS, Dense(in_shape=(3, 5, 4), neurons=7, pool=2),
                                      Dense(in_shape=(9,), neurons=7)])
def test_an_image_gives_its_weights_back(synapses):
    layer = layer_of(synapses)
    plan = plan_of(layer, min(2, layer.channels // layer.groups))
    (weights,), bias = weights_from_image(weight_image(layer, plan), layer, plan)
    assert np.array_equal(weights, layer.weights)
    assert np.array_equal(bias, layer.neuron.bias)


def test_addresses_are_fields_of_a_map():
    layout = TokenLayout(shape=(3, 5, 4))
    addresses = layout.addresses()
    assert len(set(addresses.tolist())) == 60 and layout.address_bits == 2 + 2 + 3
    fields = [layout.fields(int(address)) for address in addresses]
    assert fields == [(channel, y, x) for channel, y, x in np.ndindex(3, 5, 4)]
