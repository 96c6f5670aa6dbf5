# SPDX-License-Identifier: MIT
"""Integer networks in a file of real numbers become the same integers again."""

from dataclasses import fields, replace

import numpy as np
from firstspike_arch.checkpoint import load_network, save_network
from firstspike_arch.network import IntegerNetwork, Neuron
from firstspike_arch.network_builder import NetworkBuilder
from firstspike_arch.real_network import real_network
from firstspike_compiler.compile import compile_network
from firstspike_sim.testing.random_network import random_network


def through_a_file(network: IntegerNetwork, path) -> IntegerNetwork:
    save_network(path, real_network(network))
    return compile_network(load_network(path), lanes=1).program.network


def test_random_networks_are_the_same_programs_again(tmp_path):
    """Equal Verilog, images and port words follow from an equal architecture and equal images."""
    kinds = set()
    for seed in range(120):
        network = _with_what_few_have(np.random.default_rng(seed), random_network(
            np.random.default_rng(seed), maps=bool(seed % 2)))
        program = compile_network(network, lanes=1).program
        again = compile_network(through_a_file(network, tmp_path / "x.safetensors"), lanes=1).program
        assert again.architecture() == program.architecture() and again.images() == program.images(), f"seed {seed}"
        assert again.network.name == network.name
        for one, other in zip(network.layers, again.network.layers, strict=True):
            assert (one.name, one.weight_bits, one.weight_exponent) == (
                other.name, other.weight_bits, other.weight_exponent)
            left, right = (replace(layer.neuron, reset_step=None) for layer in (one, other))
            assert plain(left) == plain(right), f"seed {seed}"  # an ineffective reset_step is left out
            kinds |= {(network.input_kind, len(one.branches) > 0, one.neuron.levels > 1, one.neuron.leaky)}
            kinds.add(f"shift {one.neuron.leak_shift}")
            if one.weights.min() == -(1 << (one.weight_bits - 1)):
                kinds.add(f"lowest at {one.weight_bits} bits")
    assert len(kinds) > 25 and {"shift 12", "shift 15", "lowest at 8 bits", "lowest at 2 bits"} <= kinds


def _with_what_few_have(rng: np.random.Generator, network: IntegerNetwork) -> IntegerNetwork:
    """The lowest weight in some layers, and slow leaks, of which no random network is made; no current that is gone in
    the next step, as that one is none in a file of real numbers."""
    layers = []
    for layer in network.layers:
        neuron, weights = layer.neuron, layer.weights.copy()
        if rng.random() < 0.5:
            weights.flat[-1] = -(1 << (layer.weight_bits - 1))
        if neuron.theta_fall is None and rng.random() < 0.3:
            shift = int(rng.choice([9, 12, 15]))
            neuron = replace(neuron, leak_num=int(rng.integers(0, (1 << shift) + 1)), leak_shift=shift)
        if neuron.lasts and not np.any(neuron.current_leak_num):
            neuron = replace(neuron, current_leak_num=1)
        layers.append(replace(layer, weights=weights, neuron=neuron))
    return replace(network, layers=tuple(layers))


def plain(neuron: Neuron) -> dict:
    """All that a neuron does; its leaks in one notation."""
    names = ("leak", "current_leak", "rise_leak")
    given = {item.name: np.asarray(getattr(neuron, item.name)).tolist() for item in fields(neuron)
             if item.name not in [f"{name}_{part}" for name in names for part in ("num", "shift")]}
    leaks = {name: np.asarray(getattr(neuron, name)).tolist() for name in names}
    return {**given, **leaks}


def built(weights=((1, 2),), **options) -> IntegerNetwork:
    net = NetworkBuilder(2, steps=2, readout="spike_count")
    net.layer(weights, theta=1, **options)
    return net.build()


def test_what_the_compiler_would_round_or_clip_is_kept(tmp_path):
    network = built([[-128, 1]], leak=1 - 2**-12, name="mine")
    again, = through_a_file(network, tmp_path / "x.safetensors").layers
    assert again.weights.tolist() == [[-128, 1]] and again.weight_bits == 8 and again.name == "mine"
    assert (again.neuron.leak_num, again.neuron.leak_shift) == (4095, 12)
    again, = through_a_file(built([[-2, 1]], leak=1 - 2**-12), tmp_path / "x.safetensors").layers
    assert again.weights.tolist() == [[-2, 1]] and again.weight_bits == 2


def test_slow_leaks_are_exact(tmp_path):
    network = built([[1, 2], [3, 4]], leak=[1 - 2**-15, 0.25])
    again = through_a_file(network, tmp_path / "x.safetensors").layers[0].neuron
    assert (again.leak_num.tolist(), again.leak_shift) == ([2**15 - 1, 2**13], 15)
