# SPDX-License-Identifier: MIT
"""From real numbers to integers: exact folding, and what is rounded, and how."""

from dataclasses import replace

import numpy as np
import pytest
from firstspike_arch.connectivity import Dense
from firstspike_arch.fixed import standardise
from firstspike_arch.float_network import FloatBranch
from firstspike_compiler.compile import compile_network
from firstspike_compiler.errors import CompileError
from firstspike_compiler.passes.choose_scales import choose_scales
from firstspike_compiler.passes.fold_normalisation import fold_normalisation
from firstspike_compiler.passes.quantise import quantise
from firstspike_sim.models.float_reference import run_float
from firstspike_sim.testing.float_networks import WEIGHTS, layer_of, network_of, residual

RNG = np.random.default_rng(6)


def test_normalisation_folds_to_the_trained_formula():
    gain, shift = RNG.normal(size=6), RNG.normal(size=6)
    folded = fold_normalisation(network_of(layer_of(gain=gain, shift=shift))).layers[0]
    centred = WEIGHTS[0] - WEIGHTS[0].mean(1, keepdims=True)
    expected = gain[:, None] * np.sqrt(5 / 20) * centred / (WEIGHTS[0].std(1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(folded.weight, expected, rtol=1e-12)
    np.testing.assert_array_equal(folded.weight, gain[:, None] * standardise(WEIGHTS[0], 5))
    np.testing.assert_array_equal(folded.neuron.bias, shift)
    assert folded.gain is None and folded.shift is None


def test_the_unit_of_a_direct_input_goes_into_the_first_weights():
    whole = RNG.integers(-7, 8, (6, 20))
    layer = layer_of(weight=whole / 8, weight_scale=1 / 8, theta=np.full(6, 2.0), bias=np.full(6, 0.25))
    network = network_of(layer, layer_of(WEIGHTS[1]), input_kind="direct", in_min=-128, in_max=127,
                         input_scale=1 / 128)
    folded = fold_normalisation(network)
    assert folded.input_scale == 1 and folded.layers[0].weight_scale == 1 / 1024
    np.testing.assert_array_equal(folded.layers[1].weight, WEIGHTS[1])
    integer, roundings = quantise(choose_scales(folded))
    np.testing.assert_array_equal(integer.layers[0].weights, whole)
    np.testing.assert_array_equal(integer.layers[0].neuron.theta, 2048)
    np.testing.assert_array_equal(integer.layers[0].neuron.bias, 256)
    assert roundings[0].weight_error == 0 and (integer.in_min, integer.in_max) == (-128, 127)
    with pytest.raises(CompileError, match=r"^network net: input_scale must be 1 for latency input, whose spikes are 1"
                                           r", not 0\.0078125$"):
        fold_normalisation(replace(network, input_kind="latency", in_min=0))


def test_the_unit_of_numbers_in_every_step_goes_into_all_weights_for_the_input():
    deep = layer_of(WEIGHTS[1], branches=(
        FloatBranch(source=-1, weight=np.ones((3, 20)), connectivity=Dense(in_shape=(20,), neurons=3)),
        FloatBranch(source=0, weight=np.ones((3, 6)), connectivity=Dense(in_shape=(6,), neurons=3))))
    network = network_of(layer_of(WEIGHTS[0]), deep, input_kind="events", in_min=-128, in_max=127, input_scale=1 / 4)
    folded = fold_normalisation(network)
    np.testing.assert_array_equal(folded.layers[0].weight, WEIGHTS[0] / 4)
    np.testing.assert_array_equal(folded.layers[1].weight, WEIGHTS[1])
    assert [np.unique(branch.weight).tolist() for branch in folded.layers[1].branches] == [[0.25], [1.0]]
    numbers = np.random.default_rng(4).integers(-128, 128, (3, 5, 20))
    for one, other in zip(run_float(network, numbers).membranes, run_float(folded, numbers).membranes, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_network_that_is_already_whole_is_quantised_without_loss():
    whole = RNG.integers(-7, 8, (6, 20))
    whole[0, 0] = 7
    layer = layer_of(weight=whole / 49, weight_scale=1 / 49, bias=np.arange(6) / 49, single_spike=False, strict=True)
    integer, (rounding,) = quantise(fold_normalisation(network_of(layer)))
    dense, = integer.layers
    np.testing.assert_array_equal(dense.weights, whole)
    np.testing.assert_array_equal(dense.neuron.bias, np.arange(6))
    np.testing.assert_array_equal(dense.neuron.theta, 50)  # fire at K + 1 …
    np.testing.assert_array_equal(dense.neuron.reset_step, 49)  # … subtract K
    assert rounding.saturated == 0 and rounding.reset_error < 1e-9 and rounding.weight_error < 1e-9


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_numbers_of_a_membrane_are_rounded_to_the_nearest(scale):
    numbers = np.array([-2.7, -2.3, 0.5, 1.5, 2.3, 2.7])
    nearest = [-3, -2, 0, 2, 2, 3]
    for place, (low, high) in enumerate(zip([-2.7, -2.3, -2.5, -3.5], [2.7, 2.3, 2.5, 3.5], strict=True)):
        layer = layer_of(np.eye(6) * scale, weight_scale=scale, single_spike=False, bias=numbers * scale,
                         v_init=numbers[::-1] * scale, v_reset=numbers * scale, reset="zero", v_min=low * scale,
                         v_max=high * scale, theta=np.full(6, 9 * scale))
        neuron = quantise(network_of(layer))[0].layers[0].neuron
        assert neuron.bias.tolist() == neuron.v_reset.tolist() == nearest == neuron.v_init.tolist()[::-1]
        assert (neuron.v_min, neuron.v_max) == ([-3, -2, -2, -4][place], [3, 2, 2, 4][place])


@pytest.mark.parametrize("strict", [False, True])
def test_several_thresholds_are_rounded_each_on_its_own(strict):
    theta = np.array([[0.5, 1.0, 1.4], [0.25, 0.25, 2.0], [0.3, 0.6, 0.9]])
    layer = layer_of(weight=np.eye(3), theta=theta, weight_scale=0.25, single_spike=False, strict=strict)
    integer, (rounding,) = quantise(fold_normalisation(network_of(layer)))
    neuron = integer.layers[0].neuron
    v = np.arange(-4, 20)[:, None, None]
    assert neuron.levels == 3
    np.testing.assert_array_equal(v * 0.25 > theta if strict else v * 0.25 >= theta, v >= neuron.theta)
    first = np.round(theta[:, 0] / 0.25)
    np.testing.assert_array_equal(neuron.first_theta if neuron.reset_step is None else neuron.reset_step, first)
    assert rounding.reset_error == pytest.approx(0.2)
    assert rounding.theta_error == pytest.approx(0 if strict else 0.8)


def test_falling_thresholds_are_rounded_step_by_step():
    fall = np.array([0, 0.1, 0.35, 0.5, 0.95])
    for strict in (False, True):
        layer = layer_of(theta=np.ones(6), theta_fall=fall, bias_once=True, weight_scale=0.125, strict=strict)
        network = network_of(layer, layer_of(WEIGHTS[1]), input_kind="direct")
        neuron = quantise(choose_scales(fold_normalisation(network)))[0].layers[0].neuron
        v = np.arange(-4, 20)[:, None]
        reached = v >= neuron.first_theta[0] - neuron.theta_fall
        np.testing.assert_array_equal(reached, v * 0.125 > 1 - fall if strict else v * 0.125 >= 1 - fall)


def test_branches_share_one_scale_and_an_average_is_a_sum_of_quarters():
    integer, roundings = quantise(fold_normalisation(residual()))
    layer = integer.layers[1]
    pooled, own = layer.branches
    assert (pooled.source, own.source) == (-1, 1) and layer.scale == 1 / 16
    np.testing.assert_array_equal(layer.weights, np.round(WEIGHTS[1] * 4) * 4)
    np.testing.assert_array_equal(pooled.weights, np.arange(-7, 8).reshape(3, 5))
    np.testing.assert_array_equal(own.weights, np.eye(3) * 8)
    np.testing.assert_array_equal(layer.neuron.theta, 16)
    assert roundings[1].weight_error == 0 and roundings[1].saturated == 0
    summed, _ = quantise(fold_normalisation(residual(average_pool=False)))
    np.testing.assert_array_equal(summed.layers[1].branches[0].weights, np.arange(-7, 8).reshape(3, 5) * 4)


def leaky(leak, theta=80.0, **options):
    """Two quantised neurons with this leak, or these, and their rounding."""
    layer = layer_of(weight=np.array([[0.1, 0.05], [0.025, 0.1]]), single_spike=False, theta=np.full(2, theta),
                     weight_scale=0.001, weight_bits=8, leak=leak)
    integer, (rounding,) = quantise(fold_normalisation(network_of(layer)), **options)
    return integer.layers[0].neuron, rounding


@pytest.mark.parametrize(("leak", "num", "shift"), [
    (0.9, 115, 7), (0.95, 243, 8), (0.99, 4055, 12), (1 - 1 / 600, 16357, 14), (1 - 2**-15, 2**15 - 1, 15),
    (2731 / 4096, 2731, 12), (1.0, 1, 0), (0.0, 0, 0), (np.array([0.5, 0.9]), [64, 115], 7),
    (np.array([1.0, 0.99]), [4096, 4055], 12), (np.array([0.75, 0.75]), 3, 2),
])
def test_a_leak_gets_the_shift_that_its_time_constant_needs(leak, num, shift):
    neuron, rounding = leaky(leak)
    assert np.array_equal(neuron.leak_num, num) and neuron.leak_shift == shift and not rounding.warnings
    off = np.abs(neuron.leak - leak)
    assert (off <= 0.02 * (1 - np.asarray(leak))).all() and abs(rounding.leak_error) == off.max()


@pytest.mark.parametrize(("leak", "theta", "options", "sentence"), [
    (1 - 1 / 400, 8.0, {"leak_shift_max": 8},
     "leak 0.9975, a time constant of 400 steps, became 255/256: 256 steps; leak_shift_max must be 14 to come near"),
    (np.array([0.5, 1 - 1 / 600]), 8.0, {"leak_shift_max": 8}, "leak 0.9983333, a time constant of 600 steps, became "
     "2/2: none at all; leak_shift_max must be 14 to come near"),
    (1 - 1e-5, 8000.0, {}, "leak 0.99999, a time constant of 1e+05 steps, became 1/1: none at all"),
])
def test_a_leak_that_is_another_in_integers_is_told(leak, theta, options, sentence):
    assert leaky(leak, theta, **options)[1].warnings == (sentence,)
    network = network_of(layer_of(weight=np.eye(2), theta=np.ones(2), weight_scale=0.001, leak=0.9975))
    assert "warning: dense0: leak 0.9975, a" in compile_network(network, leak_shift_max=8).report()
    assert "warning: dense0: leak" not in compile_network(network).report()
