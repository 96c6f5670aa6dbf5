# SPDX-License-Identifier: MIT
"""Plain torch modules with our own neurons: their own run against the imported network, spike for spike."""

import re
from collections import OrderedDict
from functools import partial

import firstspike as fs
import numpy as np
import pytest
import torch
from firstspike_compiler.errors import CompileError
from firstspike_sim.testing.framework_runs import run_firstspike
from firstspike_sim.testing.random_chain import Fork, alive, random_chain
from torch import nn

KINDS = {
    "fire once": {"single_spike": True},
    "subtract": {"reset": "subtract"},
    "zero, strict": {"reset": "zero", "strict": True},
    "none": {"reset": "none"},
    "levels": {"levels": 3},
    "lasting currents": {"current_leak": 0.75},
    "lasting currents, fire once": {"current_leak": 0.5, "single_spike": True},
}


def draw(rng: np.random.Generator, **options):
    """A network as imported, its own run, and its modules."""

    def neurons(shape: tuple[int, ...]) -> nn.Module:
        theta = float(rng.choice([0.5, 1.0, 1.75]))
        return fs.IF(theta, **options) if rng.random() < 0.3 else fs.LIF(float(rng.choice([0.5, 0.75])), theta,
                                                                         **options)

    # The largest of several magnitudes has no counterpart.
    modules, shape = random_chain(rng, neurons, fork=partial(Fork, chain=fs.SpikingSequential),
                                  spikes_maximum="levels" not in options)
    network = fs.from_torch(fs.SpikingSequential(*modules), in_shape=shape, steps=6, readout="spike_count", in_max=2)
    return network, lambda inputs: run_firstspike(modules, shape, inputs)


@pytest.mark.parametrize("kind", KINDS)
def test_spikes_are_those_of_torch(exactly, kind):
    found = exactly(lambda rng: draw(rng, **KINDS[kind]))
    assert found.networks == 20 and found.integer_networks >= 10


@pytest.mark.parametrize("kind", ["fire once", "subtract", "lasting currents"])
def test_the_hardware_is_the_same(kind):
    for seed in range(100):
        rng = np.random.default_rng(seed)
        network, run = draw(rng, **KINDS[kind])
        size = int(np.prod(network.layers[0].connectivity.in_shape))
        inputs = rng.integers(0, 3, (2, 6, size))
        if size < 50 and alive(run(torch.tensor(inputs, dtype=torch.float32))):
            break
    else:
        pytest.fail("no network is alive")
    outcome = fs.verify(fs.compile(network, lanes=2).program, inputs, backend="pysim")
    assert outcome.equal, outcome.first


class Block(nn.Module):
    """Two convolutions, and a path past them onto the same membranes."""

    def __init__(self, channels: int, stride: int, neurons):
        super().__init__()
        self.first = fs.SpikingSequential(nn.Conv2d(channels, channels, 3, stride, padding=1), nn.BatchNorm2d(channels))
        self.inner = neurons()
        self.second = fs.SpikingSequential(nn.Conv2d(channels, channels, 3, padding=1))
        self.past = fs.SpikingSequential(nn.Conv2d(channels, channels, 1, stride)) if stride > 1 else None
        self.outer = neurons()

    def forward(self, x):
        y = self.second(self.inner(self.first(x)))
        return self.outer(y + (x if self.past is None else self.past(x)))


class Residual(nn.Module):
    """Blocks between a convolution and a dense layer, which has a path past it, too."""

    def __init__(self, stride: int, neurons, side: int = 8):
        super().__init__()
        self.stem = fs.SpikingSequential(nn.Conv2d(1, 2, 3, padding=1), neurons())
        self.block = Block(2, stride, neurons)
        self.pool = fs.SpikingSequential(nn.AvgPool2d(2))
        width = 2 * (side // stride // 2) ** 2
        self.dense, self.fire = nn.Linear(width, width), neurons()
        self.head = nn.Sequential(nn.Linear(width, 3), neurons())

    def forward(self, x):
        x = self.pool(self.block(self.stem(x))).flatten(2)
        return self.head(self.fire(self.dense(x) + x))


def fill(rng: np.random.Generator, model: nn.Module) -> nn.Module:
    """Multiples of 1/8, with which float32 rounds nothing."""
    with torch.no_grad():
        for one in model.parameters():
            one.copy_(torch.tensor(rng.integers(-3, 4, tuple(one.shape)) / 8))
        for one in model.modules():
            if isinstance(one, nn.BatchNorm2d):
                one.eps = 0.0
                one.weight.copy_(torch.tensor(rng.choice([0.5, 1.0], one.num_features)))
    return model.eval()


@torch.no_grad()
def recorded(model: nn.Module, shape: tuple[int, ...], inputs: torch.Tensor) -> list[np.ndarray]:
    """Spikes [B, T, M] of all neurons of a model, in the order in which they fire."""
    spikes: list[np.ndarray] = []
    hooks = [one.register_forward_hook(lambda module, args, out: spikes.append(out.flatten(2).transpose(0, 1).numpy()))
             for one in model.modules() if isinstance(one, fs.LIF)]
    model(inputs.transpose(0, 1).reshape(inputs.shape[1], inputs.shape[0], *shape))
    for hook in hooks:
        hook.remove()
    return spikes


@pytest.mark.parametrize("stride", [1, 2])
def test_paths_past_layers_are_branches(exactly, stride):
    def draw(rng):
        def neurons() -> nn.Module:
            return fs.LIF(float(rng.choice([0.5, 0.75])), float(rng.choice([0.5, 1.0])))

        model = fill(rng, Residual(stride, neurons))
        network = fs.from_torch(model, in_shape=(1, 8, 8), steps=6, readout="spike_count", in_max=2)
        # Dense and one-to-one synapses from the same spikes are one set.
        assert [[one.source for one in layer.branches] for layer in network.layers] == [[], [], [0], [], []]
        return network, lambda inputs: recorded(model, (1, 8, 8), inputs)

    assert exactly(draw).networks == 20


def test_a_residual_network_in_hardware():
    shape = (1, 4, 4)
    for seed in range(100):
        rng = np.random.default_rng(seed)
        model = fill(rng, Residual(1, lambda: fs.LIF(0.5), side=4))
        inputs = rng.integers(0, 3, (2, 4, 16))
        if alive(recorded(model, shape, torch.tensor(inputs, dtype=torch.float32))):
            break
    else:
        pytest.fail("no network is alive")
    network = fs.from_torch(model, in_shape=shape, steps=4, readout="spike_count", in_max=2)
    outcome = fs.verify(fs.compile(network, lanes=2).program, inputs, backend="pysim")
    assert outcome.equal, outcome.first
    assert min(outcome.alive) > 0.02


def test_what_is_saved_compiles_into_the_same_program(tmp_path):
    model = fill(np.random.default_rng(0), Residual(2, lambda: fs.LIF(0.75)))
    network = fs.from_torch(model, in_shape=(1, 8, 8), steps=4, readout="spike_count", in_max=2)
    fs.save(network, tmp_path / "x.safetensors")
    programs = [fs.compile(one, lanes=2).program for one in (network, fs.load(tmp_path / "x.safetensors"))]
    assert programs[0].digest() == programs[1].digest()


def small(**change: nn.Module) -> fs.SpikingSequential:
    modules = {"conv": nn.Conv2d(1, 2, 3), "fire": fs.LIF(0.5), "pool": nn.AvgPool2d(2), "flat": nn.Flatten(),
               "dense": nn.Linear(18, 3), "out": fs.IF()}
    return fs.SpikingSequential(OrderedDict(modules | change)).eval()


def load(model, **changes):
    return fs.from_torch(model, **{"in_shape": (1, 8, 8), "steps": 4, "readout": "spike_count"} | changes)


def test_learned_numbers_are_read_as_computed_with():
    first, last = load(small(fire=fs.LIF(0.5, torch.tensor([1.0, 2.0]).view(2, 1, 1), learns=("theta", "leak")),
                             out=fs.IF(0.75, levels=2))).layers
    assert first.neuron.theta.tolist() == [1, 2] and first.neuron.leak == 0.5
    assert last.neuron.theta.tolist() == [[0.75, 1.5]] * 3


def test_neurons_keep_no_state_and_may_have_several_places():
    fire = fs.IF(0.5)
    assert [layer.neuron.theta[0] for layer in load(small(fire=fire, out=fire)).layers] == [0.5, 0.5]


def test_a_forward_that_may_differ_in_training_is_read_in_evaluation():
    model = Follows(lambda self, x: self.fire(self.fc(x)), fc=nn.Linear(64, 3), fire=fs.IF())
    with pytest.raises(CompileError, match=r"model \(Follows\) must be in evaluation mode"):
        load(model.train(), in_shape=(64,))
    assert len(load(model.eval(), in_shape=(64,)).layers) == 1


def test_the_potential_is_read_of_the_last_synapses_or_of_an_integrator():
    network = load(small(out=fs.LeakyIntegrator(0.75)), readout="potential")
    assert network.layers[-1].neuron.theta is None and network.layers[-1].neuron.leak == 0.75
    network = load(fs.SpikingSequential(*list(small())[:-1]), readout="potential")
    assert network.layers[-1].neuron.theta is None and network.layers[-1].neuron.leak == 1


class Follows(nn.Module):
    """A forward as given, over modules as given."""

    def __init__(self, forward, **modules: nn.Module):
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)
        self.how = forward

    def forward(self, x):
        return self.how(self, x)


def in_place(one, other):
    one += other
    return one


def through(self, x):
    for part in self.parts:
        x = part(x)
    return x


@pytest.mark.parametrize("add", [
    torch.add, in_place, lambda one, other: one.add(other), lambda one, other: one + other])
def test_additions_may_be_written_in_several_ways(add):
    model = Follows(lambda self, x: self.f(add(self.b(y := self.f(self.a(x))), y)), a=nn.Linear(64, 3),
                    b=nn.Linear(3, 3), f=fs.IF())
    second = load(model.eval(), in_shape=(64,)).layers[1]
    assert not second.branches  # two sets from the same spikes are one
    assert np.array_equal(second.weight, model.b.weight.detach().double() + torch.eye(3))


@pytest.mark.parametrize("flatten", [
    lambda x: torch.flatten(x, 2), lambda x: torch.flatten(x, start_dim=2), lambda x: x.flatten(start_dim=2),
    lambda x: x.flatten(-3)])
def test_modules_of_a_list_and_flattening_are_followed(flatten):
    stem = Follows(through, parts=nn.ModuleList([fs.SpikingSequential(nn.Conv2d(1, 2, 3)), fs.IF()]))
    model = Follows(lambda self, x: self.out(self.dense(flatten(self.stem(x)))), stem=stem, dense=nn.Linear(72, 3),
                    out=fs.IF())
    assert [layer.connectivity.out_shape for layer in load(model.eval()).layers] == [(2, 6, 6), (3,)]


RULE = ("model (Follows) must have a forward that calls modules, adds, scales by constants, concatenates channels, "
        "pools and flattens, the same in every step, and no more: ")
REFUSALS = [
    (small(fire=nn.ReLU()), "model.fire (ReLU) must be a module that can be mapped: "),
    (small(fire=type("Mine", (fs.LIF,), {})(0.5)), "model.fire (Mine) must be a module that can be mapped: "),
    (small(fire=fs.IF(torch.rand(2, 6, 6) + 1)), "model.fire (IF) must have the same theta for all neurons of a chan"),
    (small(fire=fs.IF(levels=2), pool=nn.MaxPool2d(2)), "model.pool (MaxPool2d) must come directly behind neurons"),
    (small(fire=fs.LeakyIntegrator()), "model.fire (LeakyIntegrator) must fire, or be the last module: model.pool"),
    (small(out=fs.LeakyIntegrator()), "model.out (LeakyIntegrator) must fire for a spike_count read-out"),
    (nn.Linear(64, 3), "model (Linear) must be a Sequential, or the list"),
    (Follows(lambda self, x: self.fc(x) * self.fc(x), fc=nn.Linear(64, 3)), f"{RULE}it multiplies tensors"),
    (Follows(lambda self, x: self.fc(x)[..., :2], fc=nn.Linear(64, 3)), f"{RULE}it takes a slice of a value"),
    (Follows(lambda self, x: self.fc(x).relu(), fc=nn.Linear(64, 3)), f"{RULE}relu of a tensor"),
    (Follows(lambda self, x: self.fc(x).sum(1), fc=nn.Linear(64, 3)), f"{RULE}sum must be over the steps"),
    (Follows(lambda self, x: self.fc(x) if x.max() > 0 else x, fc=nn.Linear(64, 3)), f"{RULE}max of a tensor"),
    (Follows(lambda self, x: self.fc(x) if x[0, 0, 0].item() else x, fc=nn.Linear(64, 3)), f"{RULE}it takes a slice"),
    (Follows(lambda self, x: self.fc(x) + 1, fc=nn.Linear(64, 3)), f"{RULE}it adds a constant, 1"),
    (Follows(lambda self, x: self.fc(x) + torch.randn_like(x), fc=nn.Linear(64, 64)), f"{RULE}randn_like of a tensor"),
    (Follows(lambda self, x: self.a(x) + self.b(x), a=nn.Linear(64, 3), b=nn.Linear(64, 2)),
     "model.add must add up equal shapes, not (3,) and (2,)"),
    (Follows(lambda self, x: self.a(self.f(self.a(x))) + x, a=nn.Linear(64, 64), f=fs.IF()),
     "model.add must be followed by neurons, or be read by its potential"),
    (Follows(lambda self, x: self.f(self.a(self.i(self.a(x)) + x)), a=nn.Linear(64, 64), f=fs.IF(),
             i=fs.LeakyIntegrator()), "model.i (LeakyIntegrator) must fire, or be the last module: model.add"),
]


@pytest.mark.parametrize(("model", "sentence"), REFUSALS)
def test_what_cannot_be_mapped_is_refused_by_name(model, sentence):
    flat = {} if isinstance(model, fs.SpikingSequential) else {"in_shape": (64,)}
    with pytest.raises(CompileError, match=f"^{re.escape(sentence)}"):
        load(model.eval(), **flat)
