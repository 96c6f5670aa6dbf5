# SPDX-License-Identifier: MIT
"""Norse's own run of random networks against the imported ones; what is refused."""

import re
from functools import partial

import numpy as np
import pytest
import torch
from firstspike_compiler.errors import CompileError
from firstspike_compiler.frontends.norse_module import from_norse
from firstspike_sim.models.float_reference import run_float
from firstspike_sim.testing.framework_runs import StateFork, run_norse
from firstspike_sim.testing.random_chain import random_chain
from norse import torch as norse
from norse.torch.functional.reset import reset_subtract, reset_value
from torch import nn


def cell(rng, kind: str, shape: tuple[int, ...], *, each: bool) -> nn.Module:
    """A cell with one number for all neurons, or one for each channel; of some vectors, with recurrent weights."""
    size = shape if each else ()

    def drawn(*choices: float) -> torch.Tensor:
        return torch.tensor(rng.choice(choices, size=size), dtype=torch.float32)

    dt, rate = 2.0**-10, drawn(0.25, 0.5)
    numbers = {"v_th": drawn(0.5, 0.75, 1.0), "v_reset": drawn(-0.125, 0.0, 0.125)}
    if kind == "iaf":
        return norse.IAFCell(norse.IAFParameters(**numbers))
    numbers |= {"tau_mem_inv": rate / dt, "v_leak": drawn(0.0, 0.125)}
    if kind == "lsnn":
        numbers = {name: torch.tensor(float(rng.choice(choices))) for name, choices in (
            ("v_th", [0.25, 0.5]), ("v_reset", [-0.125, 0.0, 0.125]), ("v_leak", [0.0, 0.125]),
            ("beta", [0.5, 1.0]))} | {"tau_mem_inv": drawn(0.25, 0.5) / dt}
        parameters = norse.LSNNParameters(tau_syn_inv=drawn(0.5, 1.0) / dt, tau_adapt_inv=drawn(0.25, 0.5) / dt,
                                          **numbers)
        if len(shape) > 1 or rng.random() < 0.6:
            return norse.LSNNCell(parameters, dt=dt)
        weights = torch.tensor(rng.choice([-0.25, 0.125, 0.25], size=shape * 2), dtype=torch.float32)
        return norse.LSNNRecurrentCell(shape[0], shape[0], parameters, dt=dt, input_weights=torch.eye(shape[0]),
                                       recurrent_weights=weights)
    if kind == "lif":
        parameters = norse.LIFParameters(tau_syn_inv=drawn(0.25, 0.5, 1.0) / dt, **numbers)
        if len(shape) > 1 or rng.random() < 0.6:
            return norse.LIFCell(parameters, dt=dt)
        weights = torch.tensor(rng.choice([-0.25, 0.125, 0.25], size=shape * 2), dtype=torch.float32)
        return norse.LIFRecurrentCell(  # which takes no tensor of several for v_leak
            shape[0], shape[0], parameters._replace(v_leak=torch.tensor(0.125)), dt=dt,
            input_weights=torch.eye(shape[0]), recurrent_weights=weights)
    reset = reset_subtract if kind == "soft box" else reset_value
    return norse.LIFBoxCell(norse.LIFBoxParameters(reset_method=reset, **numbers), dt=dt)


@pytest.mark.parametrize("kind", ["hard box", "soft box", "lif", "lsnn", "iaf"])
def test_spikes_are_those_of_norse(exactly, kind):
    def draw(rng):
        each = rng.random() < 0.5
        modules, shape = random_chain(rng, lambda shape: cell(rng, kind, shape, each=each),
                                      fork=partial(StateFork, chain=norse.SequentialState))
        network = from_norse(norse.SequentialState(*modules), in_shape=shape, steps=6, readout="spike_count", in_max=2)
        return network, lambda inputs: run_norse(modules, shape, inputs)

    found = exactly(draw)
    assert found.networks == 20 and found.integer_networks >= 10


def load(*modules: nn.Module, **changes):
    model = norse.SequentialState(*modules).eval()
    return from_norse(model, **{"in_shape": (4,), "steps": 4, "readout": "spike_count"} | changes)


def test_modules_over_time_are_those_of_one_step():
    rng = np.random.default_rng(0)
    linear, dt = nn.Linear(4, 3), 2.0**-10
    with torch.no_grad():
        linear.weight.copy_(torch.tensor(rng.integers(-2, 5, (3, 4)) / 8))
        linear.bias.copy_(torch.tensor([0.125, 0.0, -0.125]))
    lif = norse.LIFParameters(tau_syn_inv=torch.tensor(0.5 / dt), tau_mem_inv=torch.tensor(0.5 / dt),
                              v_th=torch.tensor(0.25))
    inputs = rng.integers(0, 2, (10, 6, 4))
    lsnn = norse.LSNNParameters(tau_syn_inv=torch.tensor(0.5 / dt), tau_mem_inv=torch.tensor(0.5 / dt),
                                v_th=torch.tensor(0.25), beta=torch.tensor(0.25), tau_adapt_inv=torch.tensor(0.5 / dt))
    for neurons in (norse.IAF(), norse.LIF(lif, dt=dt), norse.LSNN(lsnn, dt=dt)):
        expected, _ = norse.SequentialState(norse.Lift(linear), neurons)(
            torch.tensor(inputs, dtype=torch.float32).transpose(0, 1))
        spikes = run_float(load(norse.Lift(linear), neurons), inputs).spikes[1]
        assert 0.02 < spikes.mean() < 0.7 and np.array_equal(expected.detach().transpose(0, 1).numpy(), spikes)


@pytest.mark.parametrize(("rest", "apart"), [(0.25, True), (1.0, False)])
def test_a_reset_potential_is_apart_from_rest_or_rest_is_a_bias(rest, apart):
    """Neurons that rest at 1.0 fire on their own."""
    parameters = norse.LIFBoxParameters(v_th=torch.tensor(0.5), v_leak=torch.tensor(rest), v_reset=torch.tensor(-0.25),
                                        tau_mem_inv=torch.tensor(0.5 * 2.0**10), reset_method=reset_value)
    linear = nn.Linear(4, 3)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor(np.random.default_rng(0).integers(-2, 5, (3, 4)) / 8))
        linear.bias.zero_()
    modules = [linear, norse.LIFBoxCell(parameters, dt=2.0**-10)]
    network = load(*modules)
    neuron = network.layers[0].neuron
    assert (neuron.v_reset is not None) == (neuron.bias is None) == (neuron.v_init is None) == apart
    inputs = np.random.default_rng(1).integers(0, 2, (10, 6, 4))
    expected, = run_norse(modules, (4,), torch.tensor(inputs, dtype=torch.float32))
    assert 0.02 < expected.mean() < 0.8 and np.array_equal(run_float(network, inputs).spikes[1], expected)


def test_the_potential_is_read_of_an_integrator():
    network = load(nn.Linear(4, 3), norse.LIBoxCell(dt=0.0025), readout="potential")
    assert network.layers[0].neuron.theta is None and network.layers[0].neuron.leak == pytest.approx(0.75)


@pytest.mark.parametrize("lasts", [False, True])
def test_integrators_that_differ_are_compared_in_one_unit(lasts):
    rng = np.random.default_rng(3)
    numbers = {"tau_mem_inv": torch.tensor([0.25, 0.5, 0.75]) * 2.0**10, "v_leak": torch.tensor([0.0, 0.5, -0.25])}
    if lasts:
        syn = torch.tensor([0.5, 0.25, 0.75]) * 2.0**10
        modules = [nn.Linear(4, 3, bias=False),
                   norse.LICell(norse.LIParameters(**numbers, tau_syn_inv=syn), dt=2.0**-10)]
    else:
        modules = [nn.Linear(4, 3), norse.LIBoxCell(norse.LIBoxParameters(**numbers), dt=2.0**-10)]
    inputs, state = rng.integers(0, 2, (20, 6, 4)), None
    with torch.no_grad():
        modules[0].weight.copy_(torch.tensor(rng.normal(size=(3, 4))))
        found, model = run_float(load(*modules, readout="potential"), inputs), norse.SequentialState(*modules)
        for step in range(6):
            v, state = model(torch.tensor(inputs[:, step], dtype=torch.float32), state)
            np.testing.assert_allclose(found.membranes[0][:, step], v, rtol=1e-5, atol=1e-6)
    assert np.array_equal(found.classes, v.argmax(1)) and len(set(found.classes.tolist())) > 1


REFUSALS = [
    ((norse.LSNNCell(norse.LSNNParameters(beta=torch.tensor(-0.5))),),
     "model.1 (LSNNCell) must have a beta ≥ 0, not -0.5"),
    ((norse.LSNNCell(adjoint=True),), "model.1 (LSNNCell) must have adjoint=False"),
    ((norse.LSNNCell(norse.LSNNParameters(tau_adapt_inv=torch.tensor(3000.0))),),
     "model.1 (LSNNCell) must have 0 ≤ dt·tau_adapt_inv ≤ 1, not 3.0"),
    ((norse.LIFCell(dt=0.01),), "model.1 (LIFCell) must have 0 ≤ dt·tau_syn_inv ≤ 1, not 2.0"),
    ((norse.LIFRecurrentCell(3, 3, norse.LIFParameters(tau_syn_inv=torch.tensor(-1.0))),),
     "model.1 (LIFRecurrentCell) must have 0 ≤ dt·tau_syn_inv ≤ 1, not -0.001"),
    ((norse.LIFCell(norse.LIFParameters(v_leak=torch.tensor(1.5))),),
     "model.1 (LIFCell) must have synapses without a bias: its resting potential is a bias of its"),
    ((norse.LIFBoxCell(dt=0.5),), "model.1 (LIFBoxCell) must have 0 < dt·tau_mem_inv ≤ 1, not 50.0"),
    ((norse.LIFBoxCell(norse.LIFBoxParameters(reset_method=lambda z, v, reset, th: v)),),
     "model.1 (LIFBoxCell) must have the reset_method reset_value or reset_subtract"),
    ((norse.IAFCell(norse.IAFParameters(v_th=torch.tensor(0.0))),), "model.1 (IAFCell) must have a threshold above"),
]


@pytest.mark.parametrize(("modules", "sentence"), REFUSALS)
def test_what_cannot_be_mapped_is_refused_by_name(modules, sentence):
    with pytest.raises(CompileError, match=f"^{re.escape(sentence)}"):
        load(nn.Linear(4, 3), *modules)
