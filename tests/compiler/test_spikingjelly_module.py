# SPDX-License-Identifier: MIT
"""SpikingJelly's own run of random networks against the imported ones; what is refused."""

import re

import numpy as np
import pytest
import torch
from firstspike_compiler.errors import CompileError
from firstspike_compiler.frontends.spikingjelly_module import from_spikingjelly
from firstspike_sim.models.float_reference import run_float
from firstspike_sim.testing.framework_runs import run_spikingjelly
from firstspike_sim.testing.random_chain import Fork, random_chain
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import nn


def node(rng, decay_input: bool | str | None, v_reset: float | None) -> nn.Module:
    theta = float(rng.choice([0.5, 0.75, 1.0]))
    if decay_input == "current":
        made = neuron.CUBALIFNode(*rng.choice([0.25, 0.5, 0.75], 2).tolist(), v_threshold=theta, v_reset=v_reset)
        made.step_mode = "m"
        return made
    if decay_input is None:
        return neuron.IFNode(v_threshold=theta, v_reset=v_reset, step_mode="m")
    return neuron.LIFNode(tau=float(rng.choice([2.0, 4.0])), decay_input=decay_input, v_threshold=theta,
                          v_reset=v_reset, step_mode="m")


def neurons(rng, shape: tuple[int, ...], *options) -> nn.Module:
    """A node; of some vectors, one whose spikes come back."""
    one = node(rng, *options)
    if len(shape) > 1 or rng.random() < 0.7:
        return one
    one.step_mode = "s"  # a container runs it step by step
    if rng.random() < 0.5:
        return layer.ElementWiseRecurrentContainer(one, lambda spikes, x: spikes + x)
    module, size = layer.LinearRecurrentContainer(one, shape[0], shape[0]), shape[0]
    with torch.no_grad():
        module.rc.weight[:, :size] = torch.eye(size)  # what comes in passes through
        module.rc.weight[:, size:] = torch.tensor(rng.integers(-3, 4, (size, size)) / 8)
        module.rc.bias.copy_(torch.tensor(rng.integers(-1, 3, size) / 8))
    return module


@pytest.mark.thinned(2)
@pytest.mark.parametrize("v_reset", [None, 0.0, -0.25, 0.25])
@pytest.mark.parametrize("decay_input", [None, False, True, "current"])
def test_spikes_are_those_of_spikingjelly(exactly, decay_input, v_reset):
    def draw(rng):
        modules, shape = random_chain(rng, lambda shape: neurons(rng, shape, decay_input, v_reset), layer, fork=Fork)
        model = nn.Sequential(*modules)
        functional.set_step_mode(model, "m")
        network = from_spikingjelly(model, in_shape=shape, steps=6, readout="spike_count", in_max=2)
        return network, lambda inputs: run_spikingjelly(model, shape, inputs)

    found = exactly(draw)
    assert found.networks == 20 and found.integer_networks >= 10


@pytest.mark.parametrize("mode", ["m", "s"])
def test_delays_are_those_of_spikingjelly(mode):
    alive = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        paths = Fork([[layer.Linear(8, 4)], [layer.Delay(int(rng.integers(1, 4))), layer.Linear(8, 4)]], None)
        model = nn.Sequential(
            layer.Delay(1), layer.Linear(6, 8, bias=False), layer.Delay(int(rng.integers(0, 3))), neuron.IFNode(),
            layer.Delay(int(rng.integers(0, 3))), paths, neuron.LIFNode(tau=2.0)).eval()
        for module in model.modules():
            if isinstance(module, layer.Linear):
                module.weight.data = torch.tensor(rng.integers(-4, 7, module.weight.shape) / 4, dtype=torch.float32)
                if module.bias is not None:
                    module.bias.data.zero_()
        functional.set_step_mode(model, mode)
        network = from_spikingjelly(model, in_shape=6, steps=8, readout="spike_count")
        inputs = (rng.random((5, 8, 6)) < 0.5).astype(np.uint8)
        functional.set_step_mode(model, "m")
        expected = run_spikingjelly(model, (6,), torch.tensor(inputs, dtype=torch.float32))
        for one, other in zip(expected, run_float(network, inputs).spikes[1:], strict=True):
            assert np.array_equal(one, other), seed
        delays = [one.delays for one in (*network.layers, *network.layers[1].branches)]
        assert delays[0] is not None and (delays[0] >= 1).all()
        alive += 0.05 < expected[-1].mean() < 0.7
    assert alive >= 5


def test_delays_that_cannot_be_are_refused():
    with pytest.raises(CompileError, match="must be in front of synapses with a bias, which is there from the first"):
        load(nn.Sequential(layer.Linear(4, 3), layer.Delay(1), neuron.IFNode()).eval(), in_shape=4)
    with pytest.raises(CompileError, match="must be followed by synapses, or be read by its spike_count, not by first"):
        load(nn.Sequential(layer.Linear(4, 3), neuron.IFNode(), layer.Delay(1)).eval(), in_shape=4,
             readout="first_spike")


def small(**changes: nn.Module) -> nn.Module:
    parts = {
        "conv": layer.Conv2d(1, 2, 3), "fire": neuron.IFNode(), "pool": layer.MaxPool2d(2), "flat": layer.Flatten(),
        "dense": layer.Linear(18, 3), "out": neuron.LIFNode(tau=2.0), **changes,
    }
    model = nn.Sequential()
    for name, module in parts.items():
        model.add_module(name, module)
    return model.eval()


def load(model, **changes):
    return from_spikingjelly(model, **{"in_shape": (1, 8, 8), "steps": 4, "readout": "spike_count"} | changes)


def test_a_learned_time_constant_is_read():
    layers = load(small(fire=neuron.ParametricLIFNode(init_tau=4.0))).layers
    assert layers[0].neuron.leak == pytest.approx(0.75) and layers[0].neuron.theta[0] == pytest.approx(4.0)


def test_containers_are_walked_through():
    model = nn.Sequential(layer.SeqToANNContainer(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)),
                          neuron.IFNode(step_mode="m"), layer.Flatten(step_mode="m"),
                          layer.Linear(72, 3, step_mode="m"), neuron.IFNode(step_mode="m")).eval()
    assert [one.connectivity.out_shape for one in load(model).layers] == [(2, 6, 6), (3,)]


class Block(nn.Module):
    """A convolution, and a path past it onto the same membranes."""

    def __init__(self, inputs: int, outputs: int, make):
        super().__init__()
        self.conv, self.norm = layer.Conv2d(inputs, outputs, 3, padding=1), layer.BatchNorm2d(outputs)
        self.past = None if inputs == outputs else layer.Conv2d(inputs, outputs, 1)
        self.fire = make()

    def forward(self, x):
        return self.fire(self.norm(self.conv(x)) + (x if self.past is None else self.past(x)))


def test_a_forward_with_branches_is_followed(exactly):
    def draw(rng):
        model = nn.Sequential(Block(1, 2, lambda: node(rng, None, None)), Block(2, 2, lambda: node(rng, None, 0.0)),
                              layer.AvgPool2d(2), layer.Flatten(), layer.Linear(8, 3), node(rng, None, 0.0)).eval()
        with torch.no_grad():
            for one in model.parameters():
                one.copy_(torch.tensor(rng.choice([-2, -1, 1, 2, 3], tuple(one.shape)) / 8))
        for one in model.modules():
            if isinstance(one, nn.BatchNorm2d):
                one.eps, one.weight.data = 0.0, torch.ones(2)
        functional.set_step_mode(model, "m")
        network = from_spikingjelly(model, in_shape=(1, 4, 4), steps=6, readout="spike_count", in_max=2)

        def run(inputs: torch.Tensor) -> list[np.ndarray]:
            functional.reset_net(model)
            nodes = [one for one in model.modules() if isinstance(one, neuron.BaseNode)]
            spikes: list[np.ndarray] = []
            hooks = [one.register_forward_hook(
                lambda module, args, out: spikes.append(out.flatten(2).transpose(0, 1).numpy())) for one in nodes]
            model(inputs.transpose(0, 1).reshape(6, -1, 1, 4, 4))
            for hook in hooks:
                hook.remove()
            return spikes

        return network, run

    assert exactly(draw).integer_networks >= 10


def test_a_node_whose_membranes_go_on_is_refused():
    node = neuron.IFNode()
    with pytest.raises(CompileError, match=r"model.out \(IFNode\) must have one place in the model"):
        load(small(fire=node, out=node))


def test_the_potential_is_read_of_nodes_that_do_not_fire():
    last = load(small(out=neuron.NonSpikingLIFNode(tau=2.0, decode="last_mem")), readout="potential").layers[-1]
    assert last.neuron.theta is None and last.neuron.leak == 0.5
    with pytest.raises(CompileError, match=r"model.out \(NonSpikingIFNode\) must have decode None or 'last_mem'"):
        load(small(out=neuron.NonSpikingIFNode("max-mem")), readout="potential")
    with pytest.raises(CompileError, match=r"model.out \(NonSpikingIFNode\) must fire for a spike_count read-out"):
        load(small(out=neuron.NonSpikingIFNode()))


REFUSALS = [
    ({"fire": neuron.QIFNode()}, "model.fire (QIFNode) must be a module that can be mapped: "),
    ({"fire": neuron.IFNode(v_threshold=0.5, v_reset=0.5)}, "model.fire (IFNode) must have a threshold above"),
    ({"fire": neuron.IFNode(surrogate_function=surrogate.Sigmoid(spiking=False))},
     "model.fire (IFNode) must have a surrogate that is 1 for ≥ 0"),
    ({"conv": layer.WSConv2d(1, 2, 3)}, "model.conv (WSConv2d) must be a module that can be mapped: "),
    ({"dense": layer.Linear(18, 30), "out": nn.Sequential(neuron.IFNode(), layer.VotingLayer(10))},
     "model.out.1 (VotingLayer) must be followed by neurons, or be read by its potential"),
    ({"dense": layer.Linear(18, 3), "out": nn.Sequential(neuron.IFNode(), layer.VotingLayer(10))},
     "model.out.1 (VotingLayer) must take a vector of at least 10, not (3,)"),
]


@pytest.mark.parametrize(("change", "sentence"), REFUSALS)
def test_what_cannot_be_mapped_is_refused_by_name(change, sentence):
    with pytest.raises(CompileError, match=f"^{re.escape(sentence)}"):
        load(small(**change))
