# SPDX-License-Identifier: MIT
"""Networks stated by hand: exactly as written, or refused in a sentence that names the layer and the rule."""

import re

import numpy as np
import pytest
import torch
from firstspike_arch.connectivity import Conv2d, ConvTranspose2d, Dense, Window
from firstspike_arch.network import IntegerNetwork, NetworkError
from firstspike_arch.network_builder import NetworkBuilder
from firstspike_sim.models.golden import GoldenModel

KERNEL = np.arange(18).reshape(2, 1, 3, 3) - 8


def builder(in_shape=(1, 6, 6), **fields) -> NetworkBuilder:
    return NetworkBuilder(in_shape, **{"steps": 4, "readout": "spike_count"} | fields)


def test_all_of_it_is_as_written():
    net = builder(in_max=3, steps_max=9, name="mine")
    first = net.layer(KERNEL, theta=[5, 9], bias=-1, leak=0.875, reset="zero", padding=1, stride=2)
    second = net.layer(np.eye(2, 18, dtype=int) * 3, theta=[[2, 4], [3, 6]], v_init=[1, -1], reset_step=2, v_min=-40,
                       leak=[0.25, 1],
                       reset_delay=True, name="dense")
    net.branch([[1, 2], [3, -4]], source=second)
    net.branch(np.ones((2, 9), int), source=-1, pool=2)
    network = net.build()
    assert (network.name, network.steps, network.steps_max, network.in_max) == ("mine", 4, 9, 3)
    assert (first, second) == (0, 1)
    conv, dense = network.layers
    assert conv.connectivity == Conv2d(in_shape=(1, 6, 6), channels=2, kernel=(3, 3), padding=(1, 1), stride=(2, 2))
    assert np.array_equal(conv.weights, KERNEL) and conv.weight_bits == 5 and conv.name == "conv2d0"
    assert (conv.neuron.leak_num, conv.neuron.leak_shift, conv.neuron.reset) == (7, 3, "zero")
    assert conv.neuron.theta.tolist() == [[5], [9]] and conv.neuron.bias.tolist() == [-1, -1]
    assert dense.connectivity == Dense(in_shape=(2, 3, 3), neurons=2)
    assert (dense.neuron.leak_num.tolist(), dense.neuron.leak_shift) == ([1, 4], 2)
    assert dense.neuron.theta.tolist() == [[2, 4], [3, 6]] and dense.neuron.v_init.tolist() == [1, -1]
    assert dense.neuron.reset_step.tolist() == [2, 2] and dense.neuron.v_min == -40 and dense.neuron.reset_delay
    assert [(one.source, one.weights.tolist()) for one in dense.branches] == [
        (1, [[1, 2], [3, -4]]), (-1, np.ones((2, 9)).tolist())]
    assert dense.branches[1].connectivity.pool == 2 and dense.weight_bits == 3


def test_kernels_may_be_dilated_or_transposed_and_pools_may_have_two_sides():
    net = builder((2, 6, 8))
    first = net.layer(np.ones((3, 2, 2, 3), int), theta=5, dilation=(1, 2), pool=(2, 1), padding=(0, 1))
    net.layer(np.ones((4, 3, 3, 2), int), theta=9, transposed=True, stride=2, padding=1, output_padding=(1, 0))
    net.branch(np.ones((4, 3, 3, 2), int), source=first, transposed=True, stride=2, padding=1, output_padding=(1, 0))
    one, other = net.build().layers
    assert one.connectivity == Conv2d(in_shape=(2, 6, 8), channels=3, kernel=(2, 3), dilation=(1, 2), pool=(2, 1),
                                      padding=(0, 1))
    assert other.connectivity == other.branches[0].connectivity == ConvTranspose2d(
        in_shape=(3, 2, 6), channels=4, kernel=(3, 2), stride=(2, 2), padding=(1, 1), output_padding=(1, 0))
    assert other.out_shape == (4, 4, 10) and net.build().classes == 160


def test_whole_numbers_may_come_in_any_array():
    for weights in ([[1, -2]], [[1.0, -2.0]], np.array([[1, -2]], np.int8), torch.tensor([[1.0, -2.0]])):
        net = builder(2)
        net.layer(weights, theta=1)
        assert net.build().layers[0].weights.tolist() == [[1, -2]]


@pytest.mark.parametrize(("weights", "bits"), [([[1]], 2), ([[-2]], 2), ([[2]], 3), ([[-8]], 4), ([[127]], 8)])
def test_weights_get_the_fewest_bits(weights, bits):
    net = builder(1)
    net.layer(weights, theta=1)
    assert net.build().layers[0].weight_bits == bits


def one(weights=((1, 2), (3, 4)), in_shape=2, fields=None, **options):
    net = builder(in_shape, **fields or {})
    net.layer(weights, **{"theta": 3} | options)
    return net.build()


def branched(*arguments, **options):
    net = builder(2)
    net.layer([[1, 2], [3, 4]], theta=3)
    net.branch(*arguments, **options)
    return net.build()


L = "layer 0 (dense0): "


@pytest.mark.parametrize(("make", "sentence"), [
    (lambda: builder((2, 2, 2, 2)),
     "in_shape must be N, (N,), (C, L) or (C, H, W), each at least 1, not (2, 2, 2, 2)"),
    *((lambda shape=shape: builder(shape),
       f"in_shape must be N, (N,), (C, L) or (C, H, W), each at least 1, not {shape!r}")
      for shape in (True, None, "8", 2.5, (), (1, 2, 3.0), -1)),
    (lambda: builder(0), "in_shape must be N, (N,), (C, L) or (C, H, W), each at least 1, not 0"),
    (lambda: builder().build(), "a network must have at least one layer, not 0"),
    (lambda: builder().branch([[1]], source=0), "a branch must come after its layer, but there is none yet"),
    (lambda: one([[0.5, 1]]), "layer 0: weights must be whole numbers below 2^53, not 0.5: nothing is rounded here"),
    (lambda: one([[np.nan, 1]]), "layer 0: weights must be whole numbers below 2^53, not nan: nothing is rounded here"),
    (lambda: one([[1e20, 1]]), "layer 0: weights must be whole numbers below 2^53, not 1e+20: nothing is rounded here"),
    (lambda: one([["a", "b"]]), "layer 0: weights must be integers, not <U1"),
    (lambda: one([[True, False]]), "layer 0: weights must be integers, not bool"),
    (lambda: one([[1], [2, 3]]), "layer 0: weights must be an array of integers: setting an array element"),
    (lambda: one([1, 2]), f"{L}weights must have shape (neurons, inputs), without stride"),
    (lambda: one([[1, 2]], stride=2), f"{L}weights must have shape (neurons, inputs), without stride"),
    (lambda: one([[1, 2]], transposed=True), f"{L}weights must have shape (neurons, inputs), without stride"),
    (lambda: one(KERNEL, (1, 9, 9), output_padding=1),
     "layer 0 (conv2d0): output_padding must be 0 unless the convolution is transposed, not 1"),
    (lambda: one(KERNEL, (1, 9, 9), dilation=5), "layer 0 (conv2d0): kernel of 11 × 11 with its dilation must be at m"),
    (lambda: one(KERNEL, (1, 9, 9), pool=(2, 10)), "layer 0 (conv2d0): pool must be 1…9, or sides of at most (9, 9)"),
    (lambda: one([[1, 2, 3]]), f"{L}weights must have shape (1, 2) for the shape (2,) that comes in, not (1, 3)"),
    (lambda: one([[1, 200]]), f"{L}weights must be −128…127, not 0…200"),
    (lambda: one([[1, 7]], weight_bits=3), f"{L}weights must be -4…3 at 3 bits, not 1…7"),
    (lambda: one(weight_bits=3.0), f"{L}weight_bits must be 2…8, not 3.0"),
    (lambda: one(KERNEL), "layer 0 (conv2d0): in_shape must be (C, H, W), not (2,)"),
    (lambda: one(KERNEL, (1, 2, 2)), "layer 0 (conv2d0): kernel must be at most the padded input, 2 × 2, not 3 × 3"),
    (lambda: one(KERNEL, (2, 6, 6)), "layer 0 (conv2d0): weights must have shape (2, 2, 3, 3) for the shape (2, 6, 6)"),
    (lambda: one(pool=2), f"{L}pool must be 1…1 for an input of shape (2,), not 2"),
    (lambda: one(theta=0), f"{L}theta must be ≥ 1, or above v_init, not 0"),
    (lambda: one(theta=1.5), f"{L}theta must be whole numbers below 2^53, not 1.5: nothing is rounded here"),
    (lambda: one(theta=[1, 2, 3]), f"{L}theta must be one number or have shape (2,), not (3,)"),
    (lambda: one(theta=[[1, 2, 3]]), f"{L}theta must have shape (2,) or (2, n) with n = 1…15, not (1, 3)"),
    (lambda: one(theta=[[2, 1], [1, 2]]), f"{L}theta must ascend from one level to the next"),
    (lambda: one(theta=None), f"{L}a layer without threshold must be the output of a potential read-out"),
    (lambda: one(bias=[1, 2, 3]), f"{L}bias must be one number or have shape (2,), not (3,)"),
    (lambda: one(leak=0.9), f"{L}leak must be num / 2^shift exactly, with shift ≤ 15, not 0.9; 230 / 256 would be ne"),
    (lambda: one([[0.5]], name="first"), "layer 0 (first): weights must be whole numbers below 2^53, not 0.5"),
    (lambda: one(leak=[0.5, 0.9]), f"{L}leak must be num / 2^shift exactly, with shift ≤ 15, not 0.9; 230 / 256 would"),
    (lambda: one(leak=[0.5] * 3), f"{L}leak must be one number or have shape (2,), not (3,)"),
    (lambda: one(leak=[0.5, np.nan]), f"{L}leak must be 0…1, not nan"),
    (lambda: one(leak="slow"), f"{L}leak must be 0…1, not 'slow'"),
    (lambda: one(leak=2), f"{L}leak must be 0…1, not 2"),
    (lambda: one(reset="half"), f"{L}reset must be subtract, zero or none, not 'half'"),
    (lambda: one(tau=2.0), f"{L}must have the options of Neuron: Neuron.__init__() got an unexpected keyword argument"),
    (lambda: one(single_spike="yes"), f"{L}single_spike must be True or False, not 'yes'"),
    (lambda: one(v_min=0.5), f"{L}v_min must be an integer, not 0.5"),
    (lambda: one(name="a b"), "name of a layer must be 1…80 letters, digits or _ . + -, not 'a b'"),
    (lambda: one(fields={"steps": 2.5}), "steps must be an integer, not 2.5"),
    (lambda: one(fields={"in_max": True}), "in_max must be an integer, not True"),
    (lambda: branched([[1, 2]], source=1), f"{L}source of a branch must be −1…0, not 1"),
    (lambda: branched([[1, 2]], source=-1), f"{L}synapses must reach neurons of the shape (2,), not (1,)"),
])
def test_what_breaks_a_rule_is_named(make, sentence):
    with pytest.raises(NetworkError, match=f"^{re.escape(sentence)}"):
        make()


def test_a_network_is_no_more_than_its_layers():
    assert isinstance(one(), IntegerNetwork)


def test_a_pool_of_currents_is_between_the_convolution_and_its_neurons():
    net = builder()
    net.layer(KERNEL, theta=4, current_pool=2)
    net.layer(np.ones((3, 8), int), theta=2)
    network = net.build()
    assert network.layers[0].current_pool == Window(kernel=(2, 2), stride=(2, 2))
    assert network.layers[0].sums_shape == (2, 4, 4) and network.layers[0].out_shape == (2, 2, 2)


@pytest.mark.parametrize(("weights", "pool", "sentence"), [
    (KERNEL, 5, "layer 0 (conv2d0): current_pool: kernel must be at most the padded map, not 5 × 5 for 4 × 4"),
    (KERNEL, 0, "layer 0 (conv2d0): current_pool: kernel, stride and dilation must be at least 1 and padding at least "
                "0, not (0, 0), (0, 0), (1, 1), (0, 0)"),
    (np.ones((2, 36), int), 2, "layer 0 (dense0): current_pool: a maximum pool must take a map (C, H, W), not (2,)"),
])
def test_a_pool_of_currents_that_does_not_fit_is_refused(weights, pool, sentence):
    with pytest.raises(NetworkError, match=f"^{re.escape(sentence)}$"):
        builder().layer(weights, theta=4, current_pool=pool)


@pytest.mark.parametrize("once", [False, True])
def test_a_pool_of_spikes_is_the_maximum_of_their_windows(once):
    net = builder((2, 6, 6), steps=4)
    net.layer(np.ones((2, 1, 1, 1), int), theta=1, groups=2, single_spike=once, reset="zero")
    assert net.max_pool((2, 3), stride=(2, 1), padding=(1, 0)) == 1
    net.layer(np.ones((3, 2 * 4 * 4), int), theta=2)
    network = net.build()
    spikes = GoldenModel(network).run(np.random.default_rng(0).integers(0, 2, (8, 4, 72))).spikes
    maps = torch.as_tensor(spikes[1]).double().reshape(32, 2, 6, 6)
    wanted = torch.nn.functional.max_pool2d(maps, (2, 3), (2, 1), (1, 0)).reshape(8, 4, -1).numpy()
    if once:  # the first of a window passes
        wanted *= np.cumsum(wanted, axis=1) == 1
    np.testing.assert_array_equal(spikes[2], wanted)
    assert 0.05 < wanted.mean() < 0.95


@pytest.mark.parametrize(("in_shape", "fields", "theta"), [
    ((1, 6, 6), {"in_max": 2}, None), ((1, 6, 6), {"input_kind": "direct"}, None), (36, {}, None),
    ((1, 6, 6), {}, [[1, 2]] * 2),
])
def test_a_pool_of_other_spikes_is_refused(in_shape, fields, theta):
    net = builder(in_shape, **fields)
    if theta:
        net.layer(KERNEL, theta=theta)
    with pytest.raises(NetworkError, match=r"^layer \d \(max_pool\d\): a max_pool must take a map of single spikes, "
                                           r"from neurons with one threshold or from the input$"):
        net.max_pool(2)
