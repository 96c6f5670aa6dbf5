# SPDX-License-Identifier: MIT
"""Neurons as torch modules: steps as computed by hand, slopes of the surrogates, a loop of torch's own."""

import re

import pytest
import torch
from firstspike_arch.neuron import FloatNeuron
from firstspike_train.lif import NeuronKind
from firstspike_train.neurons import IF, LIF, LeakyIntegrator, SpikingSequential
from torch import nn


def over_time(*values: float) -> torch.Tensor:
    """Currents of one neuron, [T, 1, 1]."""
    return torch.tensor(values).view(-1, 1, 1)


@pytest.mark.parametrize(("neurons", "spikes", "membranes"), [
    (IF(), [0, 1, 1, 0], [0.75, 1.5, 1.25, 0.75]),
    (IF(strict=True, theta=1.5), [0, 0, 1, 0], [0.75, 1.5, 2.25, 1.25]),
    (IF(reset="zero"), [0, 1, 0, 1], [0.75, 1.5, 0.75, 1.25]),
    (IF(reset="none"), [0, 1, 1, 1], [0.75, 1.5, 2.25, 2.75]),
    (IF(single_spike=True), [0, 1, 0, 0], [0.75, 1.5, 2.25, 2.75]),
    (LIF(0.5), [0, 1, 0, 0], [0.75, 1.125, 0.8125, 0.90625]),
    (LIF(0.5, 0.5), [1, 1, 1, 1], [0.75, 0.875, 0.9375, 0.71875]),
    (IF(0.5, levels=2), [1, 2, 1, 1], [0.75, 1.0, 0.75, 0.75]),
    (LIF(0.5, single_spike=True), [0, 1, 0, 0], [0.75, 1.125, 1.3125, 1.15625]),
])
def test_steps_are_those_of_the_equation(neurons, spikes, membranes):
    fired, before_reset = neurons.run(over_time(0.75, 0.75, 0.75, 0.5))
    assert fired.flatten().tolist() == spikes
    assert before_reset.flatten().tolist() == membranes
    assert torch.equal(neurons(over_time(0.75, 0.75, 0.75, 0.5)), fired)


def test_an_integrator_hands_out_its_membrane():
    assert LeakyIntegrator(0.5)(over_time(1.0, 1.0, 0.0)).flatten().tolist() == [1.0, 1.5, 0.75]
    assert LeakyIntegrator()(over_time(1.0, 1.0, 0.0)).flatten().tolist() == [1.0, 2.0, 2.0]


def test_thresholds_differ_by_channel():
    spikes = IF(torch.tensor([1.0, 2.0]).view(2, 1, 1))(torch.ones(2, 3, 2, 4, 4))
    assert spikes[:, 0, :, 0, 0].tolist() == [[1, 0], [1, 1]]


@pytest.mark.parametrize("single_spike", [False, True])
def test_slopes_reach_currents_threshold_and_leak(single_spike):
    neurons = LIF(0.75, 1.0, single_spike=single_spike, learns=("theta", "leak"))
    currents = over_time(0.5, 0.5, 0.5).requires_grad_()
    neurons(currents).sum().backward()
    assert all((one.grad != 0).any() for one in (currents, neurons.theta, neurons.leak))
    assert neurons.theta.grad < 0  # a higher threshold, fewer spikes


@pytest.mark.parametrize("neuron", [
    FloatNeuron(reset="zero"), FloatNeuron(single_spike=True), FloatNeuron(v_min=0.0),
    FloatNeuron(current_leak=0.5, current_delay=True)])
def test_layers_refuse_options_that_they_do_not_train(neuron):
    with pytest.raises(ValueError, match=r"^neuron must have no more than leaks, strict, and a reset 'subtract' or"):
        NeuronKind(neuron=neuron)


def test_training_may_not_leave_the_ranges():
    neurons = LIF(0.75, 1.0, learns=("theta", "leak"))
    with torch.no_grad():
        neurons.theta.fill_(-1)
        neurons.leak.fill_(2)
    leak, theta = neurons.operands()
    assert leak == 1 and theta > 0


def test_what_does_not_learn_is_in_the_state_but_no_parameter():
    neurons = LIF(0.5, 2.0, learns=("leak",))
    assert [name for name, _ in neurons.named_parameters()] == ["leak"]
    assert set(neurons.state_dict()) == {"leak", "theta"}
    lasting = LIF(0.5, 2.0, current_leak=0.5, learns=("current_leak",))
    assert [name for name, _ in lasting.named_parameters()] == ["current_leak"]
    assert set(lasting.state_dict()) == {"leak", "theta", "current_leak"}


@pytest.mark.parametrize("single_spike", [False, True])
def test_currents_last(single_spike):
    neurons = LIF(0.5, 1.75, current_leak=0.5, single_spike=single_spike, learns=("current_leak",))
    # i: 1, 0.5, 1.25, 0.625; v: 1, 1, 1.75, 0.625 (or 1.5)
    spikes, membranes = neurons.run(over_time(1.0, 0.0, 1.0, 0.0))
    assert spikes.flatten().tolist() == [0, 0, 1, 0]
    assert membranes.flatten().tolist() == [1, 1, 1.75, 1.5 if single_spike else 0.625]
    spikes.sum().backward()
    assert neurons.current_leak is not None and neurons.current_leak.grad > 0


def test_a_sequence_over_time_is_each_step_on_its_own_but_for_neurons():
    torch.manual_seed(0)
    convolution, normalise, dense = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2).eval(), nn.Linear(8, 3)
    net = SpikingSequential(SpikingSequential(convolution, normalise), IF(), nn.MaxPool2d(2), nn.Flatten(), dense)
    images = 3 * torch.randn(5, 4, 1, 6, 6)
    by_hand = IF()(torch.stack([normalise(convolution(one)) for one in images]))
    by_hand = torch.stack([dense(nn.functional.max_pool2d(one, 2).flatten(1)) for one in by_hand])
    assert by_hand.std() > 0
    assert torch.allclose(net(images), by_hand, atol=1e-6)


@pytest.mark.parametrize("neurons", [IF(single_spike=True), LIF(0.75, learns=("theta", "leak")), IF(levels=3)])
def test_a_loop_of_ones_own_trains(neurons):
    torch.manual_seed(0)
    x = torch.rand(64, 8)
    y = (x[:, 0] > x[:, 1]).long()
    net = nn.Sequential(nn.Linear(8, 16), neurons, nn.Linear(16, 2), LeakyIntegrator())
    optimiser = torch.optim.Adam(net.parameters(), lr=0.02)
    for _ in range(60):
        loss = nn.functional.cross_entropy(net(x.expand(4, -1, -1))[-1], y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert (net(x.expand(4, -1, -1))[-1].argmax(1) == y).double().mean() > 0.95


@pytest.mark.parametrize(("make", "sentence"), [
    (lambda: LIF(1.5), "leak must be a number 0…1, not 1.5"),
    (lambda: LeakyIntegrator("a"), "leak must be a number 0…1, not 'a'"),
    (lambda: IF(0.0), "theta must be at least 0.001, not 0.0"),
    (lambda: IF(float("nan")), "theta must be at least 0.001, not nan"),
    (lambda: IF(reset="half"), "reset must be one of subtract, zero, none, not 'half'"),
    (lambda: IF(levels=16), "levels must be 1…15, and 1 with single_spike, not 16"),
    (lambda: IF(levels=2, single_spike=True), "levels must be 1…15, and 1 with single_spike, not 2"),
    (lambda: IF(learns="theta"), "learns must be a tuple of 'theta', 'leak' and 'current_leak', not 'theta'"),
    (lambda: IF(current_leak=2), "current_leak must be a number 0…1, not 2"),
    (lambda: IF(learns=("current_leak",)), "current_leak must be a number 0…1 to be learned, not None"),
    (lambda: IF(slope="ramp"), "slope must be one of triangle, sigmoid, rectangle, gaussian, and width positive, "
                               "not 'ramp', 1.0"),
])
def test_arguments_out_of_range_are_named(make, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        make()
