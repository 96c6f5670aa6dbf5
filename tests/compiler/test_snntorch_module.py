# SPDX-License-Identifier: MIT
"""snnTorch's own run of random networks against the imported ones; what is refused."""

import re
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import snntorch as snn
import torch
from firstspike_arch.connectivity import Conv2d, Dense
from firstspike_compiler.compile import compile_network
from firstspike_compiler.errors import CompileError
from firstspike_compiler.frontends.snntorch_module import from_snntorch
from firstspike_sim.testing.framework_runs import run_snntorch
from firstspike_sim.testing.random_chain import Fork, random_chain
from torch import nn


@pytest.mark.parametrize(("reset", "delay"), [
    ("subtract", True), ("zero", True), ("zero", False), ("none", True), ("none", False)])
def test_spikes_are_those_of_snntorch(exactly, reset, delay):
    def draw(rng):
        each, kept = rng.random() < 0.5, rng.random() < 0.5

        def leaky(shape):
            beta, threshold = (torch.tensor(rng.choice(values, shape if each else ()), dtype=torch.float32)
                               for values in ([0.5, 0.75, 1.0], [0.5, 1.0, 1.75]))
            return snn.Leaky(beta=beta, threshold=threshold, reset_mechanism=reset, reset_delay=delay,
                             init_hidden=kept)

        modules, shape = random_chain(rng, leaky, fork=Fork if kept else None)
        network = from_snntorch(modules, in_shape=shape, steps=6, readout="spike_count", in_max=2)
        return network, lambda inputs: run_snntorch(modules, shape, inputs)

    found = exactly(draw)
    assert found.networks == 20 and found.integer_networks >= 10


@pytest.mark.parametrize(("reset", "delay"), [
    ("subtract", True), ("zero", False), ("none", True), ("none", False)])
def test_currents_are_those_of_snntorch(exactly, reset, delay):
    def draw(rng):
        each, kept = rng.random() < 0.5, rng.random() < 0.5

        def synaptic(shape):
            alpha, beta, threshold = (torch.tensor(rng.choice(values, shape if each else ()), dtype=torch.float32)
                                      for values in ([0.0, 0.5, 0.75, 1.0], [0.5, 0.75], [0.5, 1.0, 1.75]))
            return snn.Synaptic(alpha=alpha, beta=beta, threshold=threshold, reset_mechanism=reset, reset_delay=delay,
                                init_hidden=kept)

        modules, shape = random_chain(rng, synaptic, fork=Fork if kept else None)
        network = from_snntorch(modules, in_shape=shape, steps=6, readout="spike_count", in_max=2)
        return network, lambda inputs: run_snntorch(modules, shape, inputs)

    found = exactly(draw)
    assert found.networks == 20 and found.integer_networks >= 10


@pytest.mark.parametrize("fields", [{"in_min": -1, "in_max": 1}, {"in_min": -9, "in_max": 15, "input_scale": 1 / 8}])
def test_polarities_and_signals_are_numbers_in_every_step(exactly, fields):
    def draw(rng):
        modules, shape = random_chain(rng, lambda shape: snn.Leaky(
            beta=float(rng.choice([0.5, 0.75, 1.0])), threshold=float(rng.choice([0.5, 1.0, 1.75]))))
        network = from_snntorch(modules, in_shape=shape, steps=6, readout="spike_count", **fields)
        return network, lambda inputs: run_snntorch(modules, shape, inputs)

    found = exactly(draw)
    assert found.networks == 20 and found.integer_networks >= 10


@pytest.mark.parametrize("fields", [{"in_min": -1}, {"in_max": 4, "input_scale": 1 / 4}, {"in_max": 2}])
def test_a_maximum_pool_takes_an_input_of_single_spikes_only(fields):
    modules = [nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4, 3), snn.Leaky(beta=0.5)]
    assert len(from_snntorch(modules, in_shape=(1, 4, 4), steps=6, readout="spike_count").layers) == 2
    with pytest.raises(CompileError, match="must come directly behind neurons, behind synapses, or behind an input of"):
        from_snntorch(modules, in_shape=(1, 4, 4), steps=6, readout="spike_count", **fields)


def eighths(rng: np.random.Generator, module: nn.Module) -> nn.Module:
    """Multiples of 1/8, with which float32 rounds nothing."""
    with torch.no_grad():
        for one in module.parameters():
            one.copy_(torch.tensor(rng.integers(-3, 5, tuple(one.shape)) / 8))
    return module.eval()


@pytest.mark.parametrize(("reset", "delay", "lasts"), [
    ("subtract", True, False), ("zero", False, False), ("none", True, False), ("subtract", True, True),
    ("none", True, True)])
@pytest.mark.parametrize("all_to_all", [True, False])
def test_recurrence_is_that_of_snntorch(exactly, all_to_all, reset, delay, lasts):
    def draw(rng):
        def leaky(size: int) -> nn.Module:
            back = {"linear_features": size} if all_to_all else {"all_to_all": False, "V": torch.zeros(size)}
            kind = partial(snn.RSynaptic, float(rng.choice([0.25, 0.5]))) if lasts else snn.RLeaky
            return eighths(rng, kind(
                beta=float(rng.choice([0.5, 0.75])), threshold=float(rng.choice([0.5, 1.0])), reset_mechanism=reset,
                reset_delay=delay, **back))

        modules = [eighths(rng, nn.Linear(7, 6)), leaky(6), eighths(rng, nn.Linear(6, 3)), leaky(3)]
        network = from_snntorch(modules, in_shape=(7,), steps=6, readout="spike_count", in_max=2)
        assert [[one.source for one in layer.branches] for layer in network.layers] == [[0], [1]]
        assert all(layer.neuron.current_leak is not None for layer in network.layers) == lasts
        return network, lambda inputs: run_snntorch(modules, (7,), inputs)

    found = exactly(draw)
    assert found.networks == 20 and found.integer_networks >= 10


@pytest.mark.parametrize("options", [{}, {"stride": 1}, {"kernel_size": 3, "padding": 1}, {"ceil_mode": True}])
def test_maximum_pools_in_front_of_neurons_are_those_of_snntorch(exactly, options):
    def draw(rng):
        pool = nn.MaxPool2d(**{"kernel_size": 2, **options})
        head = [eighths(rng, nn.Conv2d(1, 2, 3)), pool]
        width = nn.Sequential(*head, nn.Flatten())(torch.zeros(1, 1, 7, 7)).shape[1]
        modules = [*head, snn.Leaky(beta=0.5, threshold=1.5), nn.Flatten(), eighths(rng, nn.Linear(width, 3)),
                   snn.Leaky(beta=0.75, threshold=2.0)]
        network = from_snntorch(modules, in_shape=(1, 7, 7), steps=6, readout="spike_count", in_max=2)
        assert network.layers[0].current_pool is not None
        return network, lambda inputs: run_snntorch(modules, (1, 7, 7), inputs)

    found = exactly(draw)
    assert found.networks == 20 and found.integer_networks >= 10


def in_step(rng, slack: float) -> list[nn.Module]:
    """Two layers that subtract in the same step; with no slack, no membrane can stay above its threshold."""
    modules: list[nn.Module] = []
    for inputs, outputs, largest in ((6, 5, 2), (5, 3, 1)):
        linear = nn.Linear(inputs, outputs)
        beta = float(rng.choice([0.5, 0.75, 1.0]))
        with torch.no_grad():
            linear.weight.copy_(torch.tensor(rng.integers(-1, 6, (outputs, inputs)) / 8))
            linear.bias.copy_(torch.tensor(rng.integers(0, 3, outputs) / 8))
            drive = linear.weight.clamp(min=0).sum(1) * largest + linear.bias
        theta = torch.ceil(8 * drive / (2 - beta)) / 8 - slack
        modules += [linear, snn.Leaky(beta=beta, threshold=theta, reset_delay=False)]
    return modules


def test_subtraction_in_the_same_step(exactly):
    def draw(rng):
        modules = in_step(rng, 0.0)
        network = from_snntorch(modules, in_shape=(6,), steps=6, readout="spike_count", in_max=2)
        assert not network.layers[0].neuron.reset_delay
        return network, lambda inputs: run_snntorch(modules, (6,), inputs)

    found = exactly(draw)
    assert found.networks == 20 and found.integer_networks >= 10
    network = from_snntorch(in_step(np.random.default_rng(0), 0.0), in_shape=(6,), steps=6, readout="spike_count",
                            in_max=2)
    compile_network(network, lanes=1, in_max=1)
    for more in (lambda: compile_network(network, lanes=1, in_max=3),
                 lambda: compile_network(replace(network, in_max=3), lanes=1)):
        with pytest.raises(CompileError, match=r"^in_max must be at most 2, for which the model was imported, not 3: "):
            more()
    with pytest.raises(CompileError, match=r"model\[1\] \(Leaky\) must have reset_delay=True or reset_mechanism"):
        from_snntorch(in_step(np.random.default_rng(0), 0.25), in_shape=(6,), steps=6, readout="spike_count", in_max=2)


def test_the_shape_of_a_vector_may_be_a_number():
    def read(in_shape):
        return from_snntorch(in_step(np.random.default_rng(0), 0.0), in_shape=in_shape, steps=6, readout="spike_count",
                             in_max=2).layers[0].connectivity.in_shape

    assert read(6) == read(np.int64(6)) == read([6]) == (6,)
    with pytest.raises(CompileError, match=r"^in_shape must be N, \(N,\), \(C, L\) or \(C, H, W\), each at least 1, "
                                           r"not 6\.5$"):
        read(6.5)


def small(**changes: nn.Module) -> nn.Module:
    parts = {
        "conv": nn.Conv2d(1, 2, 3), "norm": nn.BatchNorm2d(2), "fire": snn.Leaky(beta=0.5, init_hidden=True),
        "pool": nn.AvgPool2d(2), "flat": nn.Flatten(), "dense": nn.Linear(18, 3),
        "out": snn.Leaky(beta=0.5, init_hidden=True, output=True), **changes,
    }
    model = nn.Sequential()
    for name, module in parts.items():
        model.add_module(name, module)
    return model.eval()


def load(model, **changes):
    fields = {"in_shape": (1, 8, 8), "steps": 4, "readout": "spike_count"} | changes
    return from_snntorch(model, **fields)


def test_a_chain_becomes_layers():
    first, last = load(small(), name="mine").layers
    assert first.connectivity == Conv2d(in_shape=(1, 8, 8), channels=2, kernel=(3, 3))
    assert last.connectivity == Dense(in_shape=(2, 6, 6), neurons=3, pool=2) and last.average_pool
    assert first.neuron.strict and first.neuron.reset_delay and first.neuron.leak == 0.5


def test_a_pool_in_front_of_neurons_goes_into_the_kernel():
    first, _ = load(small(norm=nn.AvgPool2d(2), pool=nn.Identity())).layers
    assert first.connectivity == Conv2d(in_shape=(1, 8, 8), channels=2, kernel=(4, 4), stride=(2, 2))


@pytest.mark.parametrize(("size", "pool"), [(3, 2), ((2, 2), 3), (None, 1), ((6, None), 1)])
def test_an_adaptive_pool_is_an_average_pool(size, pool):
    *_, last = load(small(pool=nn.AdaptiveAvgPool2d(size), dense=nn.Linear(2 * (6 // pool) ** 2, 3))).layers
    assert last.connectivity == Dense(in_shape=(2, 6, 6), neurons=3, pool=pool) and last.average_pool == (pool > 1)


def test_a_maximum_of_spikes_is_a_layer_of_its_own():
    layers = load(small(pool=nn.MaxPool2d(2))).layers
    assert [layer.connectivity.out_shape for layer in layers] == [(2, 6, 6), (2, 3, 3), (3,)]


def test_the_potential_is_read_of_the_last_synapses_or_of_neurons_without_reset():
    network = load(nn.Sequential(*list(small())[:-1]).eval(), readout="potential")
    assert network.layers[-1].neuron.theta is None and network.layers[-1].neuron.leak == 1
    network = load(small(out=snn.Leaky(beta=0.75, reset_mechanism="none")), readout="potential")
    assert network.layers[-1].neuron.theta is None and network.layers[-1].neuron.leak == 0.75
    with pytest.raises(CompileError, match=r"model.out \(Leaky\) must have no reset, or be left out"):
        load(small(), readout="potential")


def turned(norm: nn.BatchNorm2d) -> nn.Module:
    """A normalisation that makes the largest the smallest."""
    assert norm.weight is not None
    nn.init.constant_(norm.weight, -1.0)
    return norm


REFUSALS = [
    ({"fire": snn.RSynaptic(alpha=0.5, beta=0.5, all_to_all=False, reset_mechanism="zero")},
     "model.fire (RSynaptic) must have reset_mechanism 'subtract' or 'none', not 'zero', which also takes"),
    ({"fire": snn.RSynaptic(alpha=0.5, beta=0.5, all_to_all=False, reset_delay=False)},
     "model.fire (RSynaptic) must have reset_delay=True: RSynaptic resets one step late"),
    ({"fire": snn.Synaptic(alpha=0.5, beta=0.5, threshold=0.001, reset_delay=False)},
     "model.fire (Synaptic) must have reset_delay=True or reset_mechanism 'zero'"),
    ({"fire": snn.Synaptic(alpha=0.0, beta=0.5, reset_mechanism="zero")},
     "model.fire (Synaptic) must have reset_delay=False for reset_mechanism 'zero'"),
    ({"fire": snn.Alpha(alpha=0.5, beta=0.25)}, "model.fire (Alpha) must be a module that can be mapped: "),
    ({"fire": snn.Leaky(beta=torch.rand(2, 6, 6))},
     "model.fire (Leaky) must have the same beta for all neurons of a channel"),
    ({"fire": snn.Leaky(beta=0.5, threshold=torch.rand(2, 6, 6))},
     "model.fire (Leaky) must have the same threshold for all neurons of a channel"),
    ({"fire": snn.Leaky(beta=0.5, threshold=torch.ones(5))}, "model.fire (Leaky) must have a threshold that fits"),
    ({"fire": snn.Leaky(beta=0.5, threshold=-1.0)}, "model.fire (Leaky) must have a threshold above"),
    ({"fire": snn.Leaky(beta=0.5, graded_spikes_factor=2.0)}, "model.fire (Leaky) must have a graded_spikes_factor"),
    ({"fire": snn.Leaky(beta=0.5, state_quant=torch.round)}, "model.fire (Leaky) must have neither inhibition"),
    ({"fire": snn.Leaky(beta=0.5, spike_grad=torch.sigmoid)}, "model.fire (Leaky) must have a surrogate that is 1"),
    ({"fire": nn.ReLU()}, "model.fire (ReLU) must be a module that can be mapped: "),
    ({"norm": nn.MaxPool2d(2, return_indices=True)}, "model.norm (MaxPool2d) must not have return_indices"),
    ({"norm": nn.MaxPool2d(7)}, "model.norm (MaxPool2d) must fit what comes in: kernel must be at most the padded map"),
    ({"norm": nn.Sequential(nn.MaxPool2d(2), nn.AvgPool2d(2))},
     "model.norm.1 (AvgPool2d) must come before model.norm.0 (MaxPool2d), which takes the largest of currents"),
    ({"norm": nn.Sequential(nn.MaxPool2d(2), turned(nn.BatchNorm2d(2)))},
     "model.norm.1 (BatchNorm2d) must come before model.norm.0 (MaxPool2d), which takes the largest of currents"),
    ({"norm": nn.BatchNorm2d(2, track_running_stats=False)}, "model.norm (BatchNorm2d) must have running statistics"),
    ({"norm": nn.Conv2d(2, 2, 1)}, "model.norm (Conv2d) must come behind neurons, not behind model.conv (Conv2d)"),
    ({"conv": nn.Conv2d(1, 2, 3, padding=1, padding_mode="circular")},
     "model.conv (Conv2d) must have padding_mode 'zeros', not 'circular'"),
    ({"conv": nn.Conv1d(1, 2, 3)}, "model.conv (Conv1d) must take (C, L), not (1, 8, 8)"),
    ({"conv": nn.ConvTranspose2d(1, 2, 3, padding=9)}, "model.conv (ConvTranspose2d) must fit what comes in: padding"),
    ({"conv": nn.Conv2d(1, 2, 9)}, "model.conv (Conv2d) must fit what comes in: kernel must be at most"),
    ({"pool": nn.AvgPool2d(7)}, "model.pool (AvgPool2d) must have windows inside the map of 6 × 6"),
    ({"norm": nn.AvgPool2d(4, ceil_mode=True)}, "model.norm (AvgPool2d) must have windows of one size inside the map"),
    ({"norm": nn.AdaptiveAvgPool2d(4)}, "model.norm (AdaptiveAvgPool2d) must have windows of one size inside the map"),
    ({"conv": nn.ConvTranspose2d(1, 2, 3), "norm": nn.AvgPool2d(2)},
     "model.norm (AvgPool2d) must come behind neurons, or directly behind a convolution that is not transposed"),
    ({"pool": nn.AdaptiveAvgPool2d(4), "flat": nn.Conv2d(2, 2, 1)},
     "model.flat (Conv2d) must be dense (a Linear), as the windows of the pool before it differ"),
    ({"pool": nn.AvgPool2d(3, 2), "flat": nn.Conv2d(2, 2, 1, padding=1)},
     "model.flat (Conv2d) must not have padding behind a pool whose windows do not lie side by side"),
    ({"pool": nn.AdaptiveAvgPool2d(0)}, "model.pool (AdaptiveAvgPool2d) must divide a map into at least one window"),
    ({"pool": nn.BatchNorm2d(2)}, "model.pool (BatchNorm2d) must come behind synapses, not behind model.fire (Leaky)"),
    ({"flat": nn.Identity()}, "model.dense (Linear) must come behind a Flatten"),
    ({"dense": nn.Linear(72, 3)}, "model.dense (Linear) must have weights of shape (3, 18) for what comes in"),
    ({"dense": nn.Identity()}, "model.out (Leaky) must come behind synapses, not behind model.fire (Leaky)"),
    ({"out": nn.Identity()}, "model.dense (Linear) must be followed by neurons"),
]


@pytest.mark.parametrize(("change", "sentence"), REFUSALS)
def test_what_cannot_be_mapped_is_refused_by_name(change, sentence):
    with pytest.raises(CompileError, match=f"^{re.escape(sentence)}"):
        load(small(**change))


def test_neurons_in_two_places_keep_their_membranes_apart_or_are_refused():
    fire = snn.Leaky(beta=0.5)
    assert [layer.neuron.leak for layer in load(small(fire=fire, out=fire)).layers] == [0.5, 0.5]
    fire = snn.Leaky(beta=0.5, init_hidden=True)
    with pytest.raises(CompileError, match=r"model.out \(Leaky\) must have one place in the model"):
        load(small(fire=fire, out=fire))


def test_what_is_no_chain_is_refused():
    model = small()
    model.norm.train()
    with pytest.raises(CompileError, match=r"model.norm \(BatchNorm2d\) must be in evaluation mode"):
        load(model)
    model = small()
    model.conv.register_forward_hook(lambda *_: None)
    with pytest.raises(CompileError, match=r"model.conv \(Conv2d\) must have no forward hooks"):
        load(model)
    with pytest.raises(CompileError, match=r"model \(Linear\) must be a Sequential, or the list"):
        load(nn.Linear(3, 2))


def test_a_sum_pool_brings_all_of_its_window_in_a_step():
    """Four spikes of a window through a weight of 0.5 are a current of 2: the membrane may stay above its threshold."""
    conv = nn.Conv2d(1, 1, 1, bias=False)
    conv.weight.data.fill_(0.5)
    modules = [nn.AvgPool2d(2, divisor_override=1), conv, snn.Leaky(0.5, reset_delay=False, reset_mechanism="subtract")]
    with pytest.raises(CompileError, match="its membrane may stay above the threshold"):
        from_snntorch(nn.Sequential(*modules).eval(), in_shape=(1, 4, 4), steps=4, readout="spike_count")
