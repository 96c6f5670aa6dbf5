# SPDX-License-Identifier: MIT
"""Integer networks in a file of real numbers become the same integers again."""

import re
from dataclasses import fields, replace

import numpy as np
import pytest
from firstspike_arch.checkpoint import load_network, save_network
from firstspike_arch.network import IntegerNetwork, NetworkError, Neuron
from firstspike_arch.network_builder import NetworkBuilder
from firstspike_arch.real_network import real_network
from firstspike_compiler.passes.choose_scales import choose_scales
from firstspike_compiler.passes.fold_normalisation import fold_normalisation
from firstspike_compiler.passes.quantise import quantise
from firstspike_sim.testing.random_network import random_network


def through_a_file(network: IntegerNetwork, path) -> IntegerNetwork:
    save_network(path, real_network(network))
    return quantise(choose_scales(fold_normalisation(load_network(path))), steps_max=network.steps_max)[0]


def numbers(neuron: Neuron) -> dict:
    """All that a neuron does, in one notation."""
    given = {item.name: getattr(neuron, item.name) for item in fields(Neuron)}
    num, shift = given.pop("leak_num"), given.pop("leak_shift")
    step = given.pop("reset_step")
    if neuron.reset == "subtract" and not neuron.single_spike and neuron.theta is not None:
        given["reset_step"] = (neuron.first_theta if step is None else step)
    given["leak"] = num / (1 << shift)
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in given.items()}


def test_random_networks_are_the_same_again(tmp_path):
    kinds = set()
    for seed in range(200):
        network = random_network(np.random.default_rng(seed), maps=bool(seed % 2))
        fall, theta = network.layers[0].neuron.theta_fall, network.layers[0].neuron.theta
        if fall is not None and (theta != theta[0]).any():
            with pytest.raises(NetworkError, match="theta must be the same for all neurons of a layer with theta_fall"):
                real_network(network)
            continue
        again = through_a_file(network, tmp_path / "x.safetensors")
        assert replace(network, layers=again.layers).input_layout == again.input_layout
        for name in ("readout", "steps", "steps_max", "input_kind", "cutoff", "in_min", "in_max", "step_weights"):
            assert getattr(network, name) == getattr(again, name)
        for one, other in zip(network.layers, again.layers, strict=True):
            assert one.weight_bits == other.weight_bits and one.current_pool == other.current_pool
            assert numbers(one.neuron) == numbers(other.neuron), f"seed {seed}"
            for left, right in zip(one.synapses(0), other.synapses(0), strict=True):
                assert (left.source, left.connectivity) == (right.source, right.connectivity)
                assert np.array_equal(left.weights, right.weights)
            kinds |= {(network.input_kind, len(one.branches) > 0, one.neuron.levels > 1, one.neuron.leaky)}
    assert len(kinds) > 15


def built(weights=((1, 2),), **options) -> IntegerNetwork:
    net = NetworkBuilder(2, steps=2, readout="spike_count")
    net.layer(weights, theta=1, **options)
    return net.build()


def test_the_lowest_weight_takes_a_bit_more(tmp_path):
    again = through_a_file(built([[-8, 1]]), tmp_path / "x.safetensors").layers[0]
    assert again.weights.tolist() == [[-8, 1]] and again.weight_bits == 5


def test_slow_leaks_are_exact(tmp_path):
    network = built([[1, 2], [3, 4]], leak=[1 - 2**-15, 0.25])
    again = through_a_file(network, tmp_path / "x.safetensors").layers[0].neuron
    assert (again.leak_num.tolist(), again.leak_shift) == ([2**15 - 1, 2**13], 15)


@pytest.mark.parametrize(("network", "sentence"), [
    (built([[-128, 1]]), "layer 0 (dense0): weights must be −127…127 to be saved, not -128"),
])
def test_what_the_compiler_would_round_is_refused(network, sentence):
    with pytest.raises(NetworkError, match=f"^{re.escape(sentence)}$"):
        real_network(network)
