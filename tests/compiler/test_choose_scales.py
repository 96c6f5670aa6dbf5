# SPDX-License-Identifier: MIT
"""Weights that fit stay as they are; other scales are those that change the fewest spikes."""

from dataclasses import replace
from fractions import Fraction

import firstspike as fs
import numpy as np
import pytest
import torch
from firstspike_arch.float_network import FloatLayer, FloatNetwork
from firstspike_arch.neuron import FloatNeuron
from firstspike_compiler.compile import compile_network
from firstspike_compiler.errors import CompileError
from firstspike_compiler.passes.choose_scales import choose_scales
from firstspike_compiler.passes.fold_normalisation import fold_normalisation
from firstspike_compiler.passes.quantise import quantise
from firstspike_compiler.passes.weight_grid import finest_multiple, grid_step
from firstspike_sim.models.float_reference import run_float
from firstspike_sim.models.golden import GoldenModel
from firstspike_sim.testing.float_networks import residual
from firstspike_train.neurons import LIF
from torch import nn

STEP = 0.7 / 13


def network_of(weight: np.ndarray, *, bits: int = 4, steps: int = 8, scale=None, **neuron) -> FloatNetwork:
    neuron = {"theta": np.full(len(weight), 1.0), "reset": "zero", **neuron}
    return FloatNetwork(name="n", steps=steps, readout="spike_count", input_kind="events", layers=(
        FloatLayer(weight=weight, weight_bits=bits, weight_scale=scale, neuron=FloatNeuron(**neuron)),))


def integers(low: int, high: int, shape=(32, 40), seed: int = 0) -> np.ndarray:
    whole = np.random.default_rng(seed).integers(low, high + 1, shape)
    whole.flat[:2] = low, high
    return whole


def by_multiplying(whole: np.ndarray, bits: int) -> np.ndarray:
    """As Brevitas and hand-made training do: whole numbers times a step, in float32."""
    return (whole.astype(np.float32) * np.float32(STEP)).astype(np.float64)


def by_fake_quantise(whole: np.ndarray, bits: int) -> np.ndarray:
    """As torch.ao does while training."""
    real = torch.as_tensor((whole + np.random.default_rng(1).uniform(-0.4, 0.4, whole.shape)) * STEP).float()
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return torch.fake_quantize_per_tensor_affine(real, float(np.float32(STEP)), 0, low, high).double().numpy()


def by_dequantise(whole: np.ndarray, bits: int) -> np.ndarray:
    """As torch.ao does afterwards."""
    scale = float(np.float32(STEP))
    tensor = torch.quantize_per_tensor(torch.as_tensor(whole * scale).float(), scale, 0, torch.qint8)
    return tensor.dequantize().double().numpy()


@pytest.mark.filterwarnings("ignore:.*quantize_per_tensor:UserWarning")
@pytest.mark.parametrize("make", [by_multiplying, by_fake_quantise, by_dequantise])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("spare", [0, 1])
def test_weights_of_quantisation_aware_training_are_kept(make, bits, spare):
    low, high = -(1 << (bits - 1)) + spare, max(1, (1 << (bits - 1)) - 1 - spare)
    whole = integers(low, high)
    compilation = compile_network(network_of(make(whole, bits), bits=bits), lanes=1)
    layer = compilation.program.network.layers[0]
    np.testing.assert_array_equal(layer.weights, whole)
    assert layer.scale == pytest.approx(STEP, rel=1e-6) and compilation.roundings[0].saturated == 0
    assert layer.weight_bits == bits


def test_of_whole_steps_the_one_nearest_to_biases_is_taken():
    """Weights of 3 bits in 6 are whole in steps of 1, 1/2, … 1/10: biases of 0.3 are nearest in 1/7 or 1/10."""
    whole = integers(-3, 3)
    for bias, wanted in ((0.5, 1 / 2), (1 / 3, 1 / 3), (0.3, 1 / 10), (0.25, 1 / 4), (1.0, 1.0), (2 / 7, 1 / 7)):
        network = network_of(whole.astype(float), bits=6, bias=np.full(len(whole), bias))
        assert choose_scales(network).layers[0].weight_scale == pytest.approx(wanted)
    # No step has all of these whole: the errors of all biases together count.
    biases = np.array([0.31, 0.47, 0.11, 0.9] * 8)
    steps = 1 / np.arange(1, 11)
    errors = [np.square(np.rint(biases / step) * step - biases).sum() for step in steps]
    network = network_of(whole.astype(float), bits=6, bias=biases)
    assert choose_scales(network).layers[0].weight_scale == pytest.approx(steps[int(np.argmin(errors))])


def test_a_step_of_fewer_bits_is_found_at_more():
    whole = integers(-6, 6)
    layer = compile_network(network_of(by_multiplying(whole, 4), bits=8), lanes=1).program.network.layers[0]
    np.testing.assert_array_equal(layer.weights, whole)
    biased = network_of(by_multiplying(whole, 4), bits=8, bias=np.full(32, STEP / 3))
    np.testing.assert_array_equal(compile_network(biased, lanes=1).program.network.layers[0].weights, whole * 3)
    leaky = compile_network(network_of(by_multiplying(whole, 4), bits=8, leak=0.9), lanes=1)
    np.testing.assert_array_equal(leaky.program.network.layers[0].weights, whole * (127 // 6))


def test_a_threshold_that_is_whole_but_for_float32_is_whole():
    for count in range(1, 200):
        theta = np.float64(np.float32(STEP * count))
        network = network_of(by_multiplying(integers(-6, 6), 4), theta=np.full(32, theta), reset="subtract")
        neuron = compile_network(network, lanes=1).program.network.layers[0].neuron
        assert (neuron.theta == count).all() and neuron.reset_step is None


def test_the_step_of_a_grid_is_the_same_on_every_processor():
    """Its sums are exact: that of a product of vectors depends on the order in which a processor adds up."""
    whole = range(1, 128)
    for step in np.random.default_rng(0).uniform(0.001, 0.1, 20).tolist():
        exact = sum(Fraction(step * number * number) for number in whole)
        assert grid_step(step * np.arange(-127, 128), 8) == float(exact) / sum(number ** 2 for number in whole)


def test_other_weights_are_on_no_grid():
    rng = np.random.default_rng(0)
    for count in (40, 300, 5000):
        assert grid_step(rng.normal(size=count), 8) is None
    assert grid_step(np.zeros(4), 4) is None
    assert grid_step(np.array([0.25, -0.5]), 4) == 0.25
    off = by_multiplying(integers(-6, 6), 4).ravel()
    assert grid_step(off, 3) is None and grid_step(off, 4) is not None
    off[5] += STEP * 1e-3
    assert grid_step(off, 8) is None
    assert [finest_multiple(np.array(one), 1.0, 4) for one in ([-4.0, 3.0], [-4.0, 0.0], [2.0], [-1.0, 7.0])] == [
        2, 2, 3, 1]


def test_channels_that_a_normalisation_scaled_keep_their_steps():
    whole = integers(-6, 7, (32, 1, 3, 3))
    conv = nn.Conv2d(1, 32, 3, bias=False)
    norm = nn.BatchNorm2d(32)
    with torch.no_grad():
        conv.weight.copy_(torch.as_tensor(by_multiplying(whole, 4)))
        for one in norm.weight, norm.running_var:
            one.copy_(  # pyright: ignore - both are there
                torch.as_tensor(np.random.default_rng(2).uniform(0.5, 2, 32)))
    model = nn.Sequential(conv, norm, LIF(leak=1.0, theta=1.0), nn.Flatten(), nn.Linear(32 * 16, 3),
                          LIF(leak=1.0, theta=1.0)).eval()
    options = {"in_shape": (1, 6, 6), "steps": 4, "readout": "spike_count", "weight_bits": 4}
    network = fs.from_torch(model, **options)
    folded = compile_network(network, per_channel=True, lanes=1)
    layer = folded.program.network.layers[0]
    assert folded.roundings[0].weight_error < 1e-4 < compile_network(network, lanes=1).roundings[0].weight_error
    for kept, channel in zip(layer.weights.reshape(32, -1), whole.reshape(32, -1), strict=True):
        assert np.gcd.reduce(channel) * abs(kept).max() == np.gcd.reduce(kept) * abs(channel).max()
    # One number is the step of layers without a normalisation; for the others there is none.
    given = fs.from_torch(model, **options, weight_scale=0.02)
    assert [layer.weight_scale for layer in given.layers] == [None, 0.02]
    with pytest.raises(CompileError, match=r"^layer 0: weight_scale must be None, not 0.1: the normalisation before "):
        fs.from_torch(model, **options, weight_scale=[0.1, 0.02])


def test_an_exponent_makes_the_steps_of_membranes_finer():
    weight = np.random.default_rng(3).normal(size=(4, 9))
    layer = FloatLayer(weight=weight, neuron=FloatNeuron(theta=np.full(4, 2.0), leak=0.9))
    plain, finer = (choose_scales(FloatNetwork(
        name="x", steps=3, readout="spike_count", layers=(replace(layer, weight_exponent=exponent),))).layers[0]
        for exponent in (0, 4))
    assert finer.weight_scale == plain.weight_scale / 16
    network, _ = quantise(FloatNetwork(name="x", steps=3, readout="spike_count", layers=(finer,)))
    coarse, _ = quantise(FloatNetwork(name="x", steps=3, readout="spike_count", layers=(plain,)))
    assert np.array_equal(network.layers[0].weights, coarse.layers[0].weights)
    assert (np.abs(network.layers[0].neuron.theta / 16 - coarse.layers[0].neuron.theta) < 1).all()
    assert network.layers[0].weight_unit == 16


def test_a_scale_that_is_given_is_taken():
    whole = integers(-8, 7)
    weight = by_multiplying(whole, 4) + STEP * 0.3 * np.sin(np.arange(whole.size)).reshape(whole.shape)
    network = network_of(weight, bits=8)
    given = compile_network(network, weight_scale=STEP, weight_bits=4, lanes=1)
    layer = given.program.network.layers[0]
    np.testing.assert_array_equal(layer.weights, np.maximum(whole, -7))  # not whole before, so clipped as in training
    assert layer.scale == STEP and layer.weight_bits == 4 and "(kept)" in given.report()
    exact = compile_network(network_of(by_multiplying(whole, 4), bits=4), weight_scale=[STEP], lanes=1)
    np.testing.assert_array_equal(exact.program.network.layers[0].weights, whole)
    trained = network_of(weight, scale=STEP)
    assert compile_network(trained, weight_scale=0.5, lanes=1).program.network.layers[0].scale == STEP
    assert compile_network(trained, weight_scale=[0.5], lanes=1).program.network.layers[0].scale == 0.5
    for wrong, sentence in (
        (0.0, "layer 0: weight_scale must be a positive number, not 0.0"),
        ([np.nan], "layer 0: weight_scale must be a positive number, not nan"),
        ([0.1, 0.1], "weight_scale must be one number or one for each of the 1 layers, not 2"),
        ("0.1", "weight_scale must be one number or one for each of the 1 layers, not str"),
    ):
        with pytest.raises(CompileError) as error:
            compile_network(network, weight_scale=wrong)
        assert str(error.value) == sentence
    with pytest.raises(CompileError, match=r"^weight_scale must not be given for an integer network"):
        compile_network(given.program.network, weight_scale=0.1)


def wrong_spikes(network: FloatNetwork, inputs: np.ndarray, scale: float | None = None) -> float:
    """Percentage of neuron-steps in which integers do not spike as real numbers do."""
    golden = GoldenModel(compile_network(network, weight_scale=scale, lanes=1).program.network).run(inputs)
    return 100 * float(np.mean(golden.spikes[1] != run_float(network, inputs).spikes[1]))


@pytest.mark.parametrize(("reset", "leak"), [("zero", 1.0), ("zero", 0.9), ("subtract", 1.0)])
def test_a_small_threshold_does_not_pull_the_step_down(reset, leak):
    """Thresholds below a step of the weights: rounding them up is exact, clipping half of the weights is not."""
    rng = np.random.default_rng(0)
    weight = rng.normal(0, 0.5, (32, 64))
    network = network_of(weight, theta=np.full(32, 0.05), reset=reset, leak=leak)
    compilation = compile_network(network, lanes=1)
    assert compilation.roundings[0].saturated < 0.05 * weight.size
    inputs = (rng.random((60, 8, 64)) < 0.1).astype(np.int64)
    assert wrong_spikes(network, inputs) < 6 < wrong_spikes(network, inputs, 0.05)


def test_a_soft_reset_is_nearly_whole():
    rng = np.random.default_rng(0)
    for theta in rng.uniform(0.5, 5, 20):
        network = network_of(rng.normal(size=(16, 30)), theta=np.full(16, theta), reset="subtract")
        steps = theta / choose_scales(network).layers[0].weight_scale
        assert abs(steps - round(steps)) < 0.15 * steps


def test_half_a_step_that_a_leak_loses_makes_steps_finer():
    network = network_of(np.random.default_rng(0).normal(size=(16, 8)))
    whole, leaky = (choose_scales(replace(network, layers=(replace(layer, neuron=replace(layer.neuron, leak=leak)),)))
                    .layers[0].weight_scale for layer in network.layers for leak in (1.0, 0.9))
    assert np.all(np.less(leaky, whole))  # pyright: ignore - numbers


def test_a_scale_is_chosen_for_all_weights_of_a_membrane():
    network = residual()
    layer = replace(network.layers[1], weight_scale=None)
    large = replace(layer.branches[1], weight=np.eye(3) * 100)
    for branches, least in (((), 0), ((*layer.branches[:1], large), 100 / 2 / 127)):
        changed = replace(network, layers=(network.layers[0], replace(layer, branches=branches)))
        assert choose_scales(fold_normalisation(changed)).layers[1].weight_scale > least
