# SPDX-License-Identifier: MIT
"""ETTFS against docs/semantics.md: one step and one neuron update at a time, in NumPy."""

import copy

import numpy as np
import pytest
import torch
from firstspike_arch.fixed import latency_step, quantise, threshold_at_least
from firstspike_arch.float_network import FloatLayer, FloatNetwork
from firstspike_train.data import load
from firstspike_train.evidence import first_spike
from firstspike_train.export import export_network
from firstspike_train.methods.ettfs import EttfsNetwork
from firstspike_train.recipe import (
    DataRecipe,
    EttfsRecipe,
    NetworkRecipe,
    QuantisationRecipe,
    Recipe,
    TrainingRecipe,
)

RECIPE = Recipe(
    name="pair", data=DataRecipe(dataset="digits"), network=NetworkRecipe(layers="24-16-10", steps=6),
    method=EttfsRecipe(kind="ettfs", cutoff=25),
    training=TrainingRecipe(epochs=1), quantisation=QuantisationRecipe(weight_bits=(5, 4, 6)),
)
IMAGES = load("digits", "train")[0][:150]


def module(seed, quantised):
    generator = torch.Generator().manual_seed(seed)
    made = EttfsNetwork(RECIPE, (1, 8, 8), generator)
    with torch.no_grad():
        for layer in made.stack:
            layer.gain.copy_(torch.rand(layer.gain.shape, generator=generator) - 0.3)
            layer.shift.copy_(torch.randn(layer.shift.shape, generator=generator))
            layer.theta.copy_(torch.rand(layer.theta.shape, generator=generator) + 0.1)
    if quantised:
        made.start("quantised", torch.from_numpy(IMAGES))
    return made


def run_network(network: FloatNetwork, images: np.ndarray, integers: bool):
    """"Has fired by step t" of the output, bool[T, B, C], and its membranes, stepped as the semantics say."""
    operands = []
    for layer in network.layers:
        assert layer.gain is None and layer.neuron.leak == 1 and layer.neuron.single_spike and not layer.neuron.strict
        weight, bias, theta = layer.weight, layer.neuron.bias, layer.neuron.theta
        if integers:
            weight, bias = (quantise(x, layer.weight_scale, layer.weight_bits) for x in (weight, bias))
            theta = np.array([threshold_at_least(x, layer.weight_scale) for x in theta])
            assert np.array_equal(bias, (layer.neuron.bias / layer.weight_scale).round()), "nothing of a bias is lost"
        operands.append((weight, bias, theta))
    pixels = images.astype(np.int64)
    spike_step = np.where(pixels < network.cutoff, network.steps, latency_step(pixels, network.steps))
    state = [np.zeros((len(images), len(bias))) for _, bias, _ in operands]
    done = [np.zeros_like(v, dtype=bool) for v in state]
    fired, membranes = [], []
    for t in range(network.steps):
        spikes = (spike_step == t).astype(float)
        for index, (weight, bias, theta) in enumerate(operands):
            state[index] = state[index] + spikes @ weight.T + bias
            fire = (state[index] >= theta) & ~done[index]
            done[index] |= fire
            spikes = fire.astype(float)
        fired.append(done[-1].copy())
        membranes.append(state[-1])
    return np.array(fired), np.array(membranes)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("quantised", [False, True])
def test_the_exported_network_does_what_the_module_does(seed, quantised):
    own = module(seed, quantised)
    network = export_network(own, RECIPE, "first_spike", {}, [])
    runner = own if quantised else copy.deepcopy(own).double()
    with torch.no_grad():
        fired, membrane = runner(torch.from_numpy(IMAGES))
    expected_fired, expected_membrane = run_network(network, IMAGES, integers=quantised)
    assert np.array_equal(fired[-1].numpy() > 0, expected_fired) and expected_fired.any() and not expected_fired.all()
    if quantised:
        assert np.array_equal(membrane.numpy(), expected_membrane)
    else:
        assert np.allclose(membrane.numpy(), expected_membrane, rtol=0, atol=1e-9)


def test_the_scores_are_the_weighted_sum_of_spikes():
    own = module(0, quantised=True)
    with torch.no_grad():
        fired = own(torch.from_numpy(IMAGES))[0][-1]
        score = own.score(fired).numpy() * own.step_weights[0]
    spikes = np.diff(fired.numpy(), axis=0, prepend=0)
    assert np.allclose(score, np.tensordot(own.step_weights, spikes, axes=1))


def test_read_outs_follow_the_rules_for_ties_and_silence():
    fired = np.zeros((3, 4, 3), dtype=bool)
    membrane = np.zeros((3, 4, 3))
    fired[1:, 0, 2] = fired[2:, 0, 0] = True  # image 0: class 2 first
    fired[1:, 1, 1:] = True  # image 1: 1 and 2 together, 2 higher; 0 is higher still but silent
    membrane[1, 1] = 9, 4, 5
    membrane[2, 2] = 1, 3, 3  # image 2: silent; equal membranes
    fired[0:, 3, 1:] = True  # image 3: tie, equal membranes
    found = first_spike(torch.from_numpy(fired), torch.from_numpy(membrane))
    assert found["classes"].tolist() == [2, 2, 1, 1]
    assert found["step"].tolist() == [1, 1, 2, 0]
    assert found["at"].sum(1).tolist() == [1, 2, 0, 2]


def test_evidence_agrees_with_the_weighted_sum():
    own = module(1, quantised=True)
    found = own.evidence(torch.from_numpy(IMAGES))
    with torch.no_grad():
        score = own.score(own(torch.from_numpy(IMAGES))[0][-1]).numpy()
    assert np.array_equal(found.classes["weighted_spikes"], score.argmax(1))
    assert 0 <= found.measures["output_ties"] <= 1 and found.measures["input_spikes"] > 0


def test_balancing_changes_no_spike():
    own = module(2, quantised=False).double()
    images = torch.from_numpy(IMAGES)
    with torch.no_grad():
        for layer in own.stack:
            layer.shift.mul_(0.02)  # far from the limit, which moves with the scale
            layer.theta.fill_(1)
        before = own(images)[0][-1]
        for layer in own.stack[:-1]:
            layer.start_quantisation(balance=True)
            layer.rounds = False
        assert torch.equal(own(images)[0][-1], before)


def test_layers_are_plain_and_in_double_precision():
    for layer in module(0, quantised=True).layers():
        assert isinstance(layer, FloatLayer) and layer.weight.dtype == np.float64 and layer.weight_scale > 0
