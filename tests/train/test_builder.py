# SPDX-License-Identifier: MIT
"""Networks in words."""

import re

import pytest
from firstspike_arch.connectivity import Conv2d, Dense
from firstspike_train.builder import build_layers


def test_the_network_of_the_tables():
    first = Conv2d(in_shape=(1, 28, 28), channels=15, kernel=(5, 5))
    second = Conv2d(in_shape=(15, 24, 24), channels=40, kernel=(5, 5), pool=2)
    third = Dense(in_shape=(40, 8, 8), neurons=300, pool=2)
    assert build_layers("15C5-P2-40C5-P2-300-10", 784) == (first, second, third, Dense(in_shape=(300,), neurons=10))


def test_padding_stride_and_a_pool_of_the_input():
    layers = build_layers("P2-6C3p1s2-10", 64)
    assert layers[0] == Conv2d(in_shape=(1, 8, 8), channels=6, kernel=(3, 3), padding=(1, 1), stride=(2, 2), pool=2)
    assert layers[1].in_shape == (6, 2, 2)


def test_dense_networks_take_the_image_as_a_vector():
    assert [layer.in_shape for layer in build_layers("20-10", 64)] == [(64,), (20,)]


@pytest.mark.parametrize(("text", "sentence"), [
    ("", "'' must be a convolution like 15C5 or 15C3p1s2, a pool like P2 or a number"),
    ("4C3x-10", "'4C3x' must be a convolution like"),
    ("20-P2-10", "pool must be 1…1 for an input of shape (20,), not 2"),
    ("20-4C3-10", "in_shape must be (C, H, W), not (20,)"),
    ("P2", "a pool must be followed by a layer"),
])
def test_what_is_no_network_is_refused(text, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        build_layers(text, 64)
