# SPDX-License-Identifier: MIT
"""Networks in words."""

import re

import pytest
from firstspike_arch.connectivity import Conv2d, Dense
from firstspike_train.builder import Loop, Skip, build_layers

DIGITS = (1, 8, 8)


def synapses(text, shape):
    return tuple(layer.synapses for layer in build_layers(text, shape))


def test_the_network_of_the_tables():
    first = Conv2d(in_shape=(1, 28, 28), channels=15, kernel=(5, 5))
    second = Conv2d(in_shape=(15, 24, 24), channels=40, kernel=(5, 5), pool=2)
    third = Dense(in_shape=(40, 8, 8), neurons=300, pool=2)
    assert synapses("15C5-P2-40C5-P2-300-10", (1, 28, 28)) == (first, second, third, Dense(in_shape=(300,), neurons=10))


def test_padding_stride_and_a_pool_of_the_input():
    layers = synapses("P2-6C3p1s2-10", DIGITS)
    assert layers[0] == Conv2d(in_shape=(1, 8, 8), channels=6, kernel=(3, 3), padding=(1, 1), stride=(2, 2), pool=2)
    assert layers[1].in_shape == (6, 2, 2)


def test_dense_networks_take_the_image_as_a_vector():
    assert [layer.in_shape for layer in synapses("20-10", (3, 4, 4))] == [(48,), (20,)]


def test_skips_keep_the_shape_or_follow_a_stride():
    layers = build_layers("4C3p1-4C3p1-4C3p1+2-6C3p1s2-6C3p1+2-P4-10", (3, 8, 8))
    assert [layer.skip is None for layer in layers] == [True, True, False, True, False, True]
    assert layers[2].skip == Skip(source=0, synapses=Conv2d(in_shape=(4, 8, 8), channels=4, kernel=(1, 1), groups=4))
    assert layers[4].skip == Skip(
        source=2, synapses=Conv2d(in_shape=(4, 8, 8), channels=6, kernel=(1, 1), stride=(2, 2)))


def test_recurrent_layers_take_their_own_spikes():
    layers = build_layers("4C3-20r-6-10r", (1, 8, 8))
    assert [layer.loop for layer in layers] == [None, Loop(source=1, synapses=Dense(in_shape=(20,), neurons=20)), None,
                                                Loop(source=3, synapses=Dense(in_shape=(10,), neurons=10))]
    assert synapses("4C3-20r-10", DIGITS) == synapses("4C3-20-10", DIGITS)


@pytest.mark.parametrize(("text", "sentence"), [
    ("", "'' must be a convolution like 15C5, 15C3p1s2 or 16C3p1+2, a pool like P2 or a number like 300 or "
         "128r"),
    ("4C3x-10", "'4C3x' must be a convolution like"),
    ("4C3r-10", "'4C3r' must be a convolution like"),
    ("20-P2-10", "pool must be 1…1 for an input of shape (20,), not 2"),
    ("20-4C3-10", "in_shape must be (C, H, W), not (20,)"),
    ("P2", "a pool must be followed by a layer"),
    ("4C3p1-4C3p1+2-10", "'4C3p1+2' must go 2…1 layers back, to one that is there, not 2"),
    ("4C3p1-4C3p1-4C3p1+1-10", "'4C3p1+1' must go 2…2 layers back, to one that is there, not 1"),
    ("4C3p1-4C3p1-P2-4C3p1+2-10", "'4C3p1+2' must not stand behind a pool"),
    ("4C3p1-4C3p1-4C3+2-10", "'4C3+2' must reach the shape (4, 6, 6) from (4, 8, 8) by a stride"),
])
def test_what_is_no_network_is_refused(text, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        build_layers(text, DIGITS)
