# SPDX-License-Identifier: MIT
"""Weights of a network that was built are replaced, if it stays the same hardware."""

from dataclasses import replace

import numpy as np
import pytest
from firstspike_compiler.compile import compile_network
from firstspike_compiler.errors import CompileError
from firstspike_compiler.reload_weights import reload_weights
from firstspike_sim.testing.float_networks import residual, two_layers


def test_weights_are_reloaded_if_the_proof_allows():
    program = compile_network(two_layers(), lanes=2).program
    layer = program.network.layers[0]

    def with_first(**changes):
        return replace(program.network, layers=(replace(layer, **changes), program.network.layers[1]))

    mirrored = reload_weights(program, with_first(weights=layer.weights[:, ::-1]))
    assert mirrored.config == program.config
    np.testing.assert_array_equal(mirrored.network.layers[0].weights, layer.weights[:, ::-1])
    with pytest.raises(CompileError, match=r"^layer 0 \(dense0\): membranes must fit the \d+ bits as built, not \d+: "):
        reload_weights(program, with_first(weights=np.full_like(layer.weights, -7)))
    with pytest.raises(CompileError, match=r"^layer 0 \(dense0\): neurons must be as built"):
        reload_weights(program, with_first(neuron=replace(layer.neuron, theta=layer.neuron.theta + 1)))
    with pytest.raises(CompileError, match=r"^layer 0 \(dense0\): neurons must be as built"):
        reload_weights(program, with_first(neuron=replace(layer.neuron, bias=layer.neuron.bias + 9)))
    with pytest.raises(CompileError, match=r"^layer 0 \(dense0\): weights must be \(6, 20\) of 4 bits as built"):
        reload_weights(program, with_first(weight_bits=5))
    with pytest.raises(CompileError, match=r"^readout must be 'first_spike' as built, not 'spike_count'$"):
        reload_weights(program, replace(program.network, readout="spike_count"))


def test_weights_of_branches_are_reloaded():
    program = compile_network(residual(), lanes=2, headroom_bits=1).program
    layer = program.network.layers[1]
    pooled, own = layer.branches

    def with_last(**changes):
        return replace(program.network, layers=(program.network.layers[0], replace(layer, **changes)))

    mirrored = replace(pooled, weights=pooled.weights[:, ::-1])
    changed = reload_weights(program, with_last(branches=(mirrored, own)))
    assert changed.config == program.config and changed.images() != program.images()
    sentence = r"^layer 1 \(dense1\): synapses must be as built \(sources, shapes, strides, padding, groups, pools\)$"
    for branches in ((), (pooled,), (own, pooled)):
        with pytest.raises(CompileError, match=sentence):
            reload_weights(program, with_last(branches=branches))
    with pytest.raises(CompileError, match=r"^layer 1 \(dense1\): neurons must be as built"):
        reload_weights(program, with_last(neuron=replace(layer.neuron, theta=np.repeat(layer.neuron.theta, 2, 1))))
