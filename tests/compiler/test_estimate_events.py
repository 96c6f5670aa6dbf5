# SPDX-License-Identifier: MIT
"""Events of each layer, estimated: near what networks of the zoo send, whatever their kind."""

import firstspike as fs
import pytest
from firstspike.verb_demo import shipped
from firstspike_compiler.compile import compile_network
from firstspike_compiler.passes.estimate_events import estimate_events

NETWORKS = [
    "digits_diet", "digits_ettfs", "digits_latency", "digits_multi_threshold", "mnist_diet", "mnist_ettfs",
    "mnist_ettfs_conv", "mnist_latency", "mnist_multi_threshold", "fashion_diet", "fashion_ettfs",
    "fashion_ettfs_conv", "fashion_latency", "fashion_multi_threshold", "nmnist_multi_threshold",
]


@pytest.mark.parametrize("name", NETWORKS)
def test_an_estimate_is_near_the_count(name):
    network = fs.load(shipped("zoo", f"{name}.safetensors"))
    counted = [layer.events for layer in network.layers]
    integer = compile_network(network, lanes=1).program.network
    guessed = estimate_events(integer)
    assert len(guessed) == len(integer.layers) + 1
    for index, (guess, count) in enumerate(zip(guessed, counted, strict=False)):
        assert count / 5 < guess < count * 5, (index, guess, count)
    # The relation between layers decides what they get.
    ratios = [guess / count for guess, count in zip(guessed[1:], counted[1:], strict=False)]
    assert max(ratios) < 4 * min(ratios)


def test_counts_replace_estimates_one_by_one():
    network = compile_network(fs.load(shipped("zoo", "digits_diet.safetensors")), lanes=1).program.network
    guessed = estimate_events(network)
    assert estimate_events(network, [None, 12, None]) == (guessed[0], 12.0, *guessed[2:])
