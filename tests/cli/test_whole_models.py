# SPDX-License-Identifier: MIT
"""Models as their frameworks' tutorials and libraries publish them; every import is checked by a run of the model.

`firstspike` runs each model beside what it read of it (`check_run`), spike for spike, so that an import that succeeds
is one that does the same.
"""

import importlib
import re
import sys
import types
from functools import partial
from pathlib import Path

import firstspike as fs
import norse.torch as norse
import numpy as np
import pytest
import snntorch as snn
import torch
import torch.nn.functional as functional
from firstspike_compiler.errors import CompileError
from firstspike_compiler.frontends import snntorch_module
from snntorch import surrogate
from spikingjelly.activation_based import functional as jelly
from spikingjelly.activation_based import layer, neuron
from torch import nn

STEPS = 5


def shapes(network) -> list[tuple[int, ...]]:
    return [layer.connectivity.out_shape for layer in network.layers]


def sources(network) -> list[list[int]]:
    return [[branch.source for branch in layer.branches] for layer in network.layers]


def options(**changes):
    return {"steps": STEPS, "readout": "spike_count", "input_kind": "events"} | changes


# snnTorch's tutorials


class Tutorial5(nn.Module):
    """Fully connected, one image through all steps."""

    def __init__(self):
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(784, 30), snn.Leaky(beta=0.95, threshold=0.3)
        self.fc2, self.lif2 = nn.Linear(30, 10), snn.Leaky(beta=0.95, threshold=0.3)

    def forward(self, x):
        mem1 = self.lif1.init_leaky()
        mem2 = self.lif2.init_leaky()
        spk2_rec = []
        mem2_rec = []
        for _ in range(STEPS):
            cur1 = self.fc1(x)
            spk1, mem1 = self.lif1(cur1, mem1)
            cur2 = self.fc2(spk1)
            spk2, mem2 = self.lif2(cur2, mem2)
            spk2_rec.append(spk2)
            mem2_rec.append(mem2)
        return torch.stack(spk2_rec, dim=0), torch.stack(mem2_rec, dim=0)


class Convolutional(nn.Module):
    """In the style of tutorial 6, on frames [T, B, C, H, W]."""

    def __init__(self):
        super().__init__()
        self.conv1, self.lif1 = nn.Conv2d(1, 3, 5), snn.Leaky(beta=0.5, threshold=0.3)
        self.conv2, self.lif2 = nn.Conv2d(3, 4, 3), snn.Leaky(beta=0.5, threshold=0.2)
        self.fc1, self.lif3 = nn.Linear(4 * 2 * 2, 5), snn.Leaky(beta=0.5, threshold=0.2)

    def forward(self, x):
        batch_size = x.size(1)
        mem1, mem2, mem3 = self.lif1.init_leaky(), self.lif2.init_leaky(), self.lif3.init_leaky()
        count = torch.zeros(batch_size, 5)
        for step in range(x.size(0)):
            cur1 = functional.avg_pool2d(self.conv1(x[step]), 2)
            spk1, mem1 = self.lif1(cur1, mem1)
            cur2 = functional.avg_pool2d(self.conv2(spk1), 2)
            spk2, mem2 = self.lif2(cur2, mem2)
            cur3 = self.fc1(spk2.view(batch_size, -1))
            spk3, mem3 = self.lif3(cur3, mem3)
            count += spk3
        return count


class Recurrent(nn.Module):
    """As in the documentation of RLeaky, with both kinds of recurrence, and one written out."""

    def __init__(self):
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(20, 12), snn.RLeaky(beta=0.9, linear_features=12)
        self.fc2, self.lif2 = nn.Linear(12, 8), snn.RLeaky(beta=0.5, all_to_all=False, V=0.5, threshold=0.5)
        self.fc3, self.lif3, self.back = nn.Linear(8, 4), snn.Leaky(beta=0.5, threshold=0.3), nn.Linear(4, 4)

    def forward(self, x):
        spk1, mem1 = self.lif1.init_rleaky()
        spk2, mem2 = self.lif2.init_rleaky()
        mem3 = self.lif3.init_leaky()
        spk3 = torch.zeros(x.shape[1], 4)
        record = []
        for step in range(x.shape[0]):
            spk1, mem1 = self.lif1(self.fc1(x[step]), spk1, mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), spk2, mem2)
            spk3, mem3 = self.lif3(self.fc3(spk2) + self.back(spk3), mem3)
            record.append(spk3)
        return torch.stack(record)


def test_the_fully_connected_net_of_snntorch():
    torch.manual_seed(0)
    model = Tutorial5().eval()
    network = fs.from_snntorch(model, in_shape=784, **options(input_kind="direct", in_max=255, input_scale=1 / 255))
    assert shapes(network) == [(30,), (10,)] and network.layers[0].neuron.reset_delay
    fs.compile(network, lanes=2)
    for input_kind in ("events", "latency"):
        with pytest.raises(CompileError, match=r"a forward that runs one input through all steps is read with"):
            fs.from_snntorch(model, in_shape=784, **options(input_kind=input_kind))
    with pytest.raises(CompileError, match=r"model \(Tutorial5\) must stack the values of all 3 steps, as many as"):
        fs.from_snntorch(model, in_shape=784, **options(input_kind="direct", steps=3))


def test_the_convolutional_net_of_snntorch():
    torch.manual_seed(0)
    network = fs.from_snntorch(Convolutional().eval(), in_shape=(1, 16, 16), **options())
    assert shapes(network) == [(3, 6, 6), (4, 2, 2), (5,)]
    fs.compile(network, lanes=1)


def test_the_sequential_of_snntorch_keeps_its_states_in_its_neurons():
    torch.manual_seed(0)
    hidden = {"beta": 0.5, "spike_grad": surrogate.fast_sigmoid(slope=25), "init_hidden": True, "threshold": 0.3}
    model = nn.Sequential(
        nn.Conv2d(2, 3, 5), nn.AvgPool2d(2), snn.Leaky(**hidden), nn.Flatten(), nn.Linear(3 * 5 * 5, 10),
        snn.Leaky(**hidden, output=True)).eval()
    assert shapes(fs.from_snntorch(model, in_shape=(2, 14, 14), **options())) == [(3, 5, 5), (10,)]


class Tutorial6(nn.Module):
    """Convolutions with maximum pools in front of their neurons."""

    def __init__(self):
        super().__init__()
        self.conv1, self.lif1 = nn.Conv2d(1, 2, 5), snn.Leaky(beta=0.5, threshold=0.3)
        self.conv2, self.lif2 = nn.Conv2d(2, 3, 3), snn.Leaky(beta=0.5, threshold=0.2)
        self.fc1, self.lif3 = nn.Linear(3 * 2 * 2, 4), snn.Leaky(beta=0.5, threshold=0.2)

    def forward(self, x):
        mem1, mem2, mem3 = self.lif1.init_leaky(), self.lif2.init_leaky(), self.lif3.init_leaky()
        record = []
        for step in range(x.size(0)):
            cur1 = functional.max_pool2d(self.conv1(x[step]), 2)
            spk1, mem1 = self.lif1(cur1, mem1)
            cur2 = functional.max_pool2d(self.conv2(spk1), 2)
            spk2, mem2 = self.lif2(cur2, mem2)
            cur3 = self.fc1(spk2.view(x.size(1), -1))
            spk3, mem3 = self.lif3(cur3, mem3)
            record.append(spk3)
        return torch.stack(record)


def test_maximum_pools_in_front_of_neurons():
    torch.manual_seed(0)
    network = fs.from_snntorch(Tutorial6().eval(), in_shape=(1, 16, 16), **options())
    assert shapes(network) == [(2, 12, 12), (3, 4, 4), (4,)] and network.layers[0].current_pool.kernel == (2, 2)
    fs.compile(network, lanes=1)
    hidden = {"beta": 0.5, "init_hidden": True, "threshold": 0.3}
    model = nn.Sequential(
        nn.Conv2d(2, 3, 5), nn.BatchNorm2d(3), nn.MaxPool2d(3, 2, padding=1, ceil_mode=True), nn.BatchNorm2d(3),
        snn.Leaky(**hidden), nn.Flatten(), nn.Linear(3 * 3 * 3, 10), snn.Leaky(**hidden, output=True)).eval()
    network = fs.from_snntorch(model, in_shape=(2, 9, 9), **options(steps=2))
    program = fs.compile(network, lanes=3).program
    outcome = fs.verify(program, np.random.default_rng(0).integers(0, 2, (1, 2, 162)), backend="pysim")
    assert outcome.equal and min(outcome.alive) > 0.02, outcome.first


def test_recurrence_of_snntorch_in_hardware():
    torch.manual_seed(0)
    network = fs.from_snntorch(Recurrent().eval(), in_shape=20, **options())
    assert sources(network) == [[0], [1], [2]]
    inputs = np.random.default_rng(0).integers(0, 2, (1, STEPS, 20))
    program = fs.compile(network, lanes=4).program
    assert all(0.02 < one.mean() < 0.7 for one in fs.infer(program, inputs).spikes)
    outcome = fs.verify(program, inputs, backend="pysim")
    assert outcome.equal, outcome.first


def test_what_recurrence_of_snntorch_is_refused():
    for leaky, sentence in [
        (snn.RLeaky(beta=0.5, linear_features=8, reset_mechanism="zero"), "must have reset_delay=False for reset_me"),
        (snn.RLeaky(beta=0.5, all_to_all=False, V=torch.full((8,), float("nan"))), "must have a finite V"),
        (snn.RSynaptic(alpha=0.5, beta=0.5, linear_features=8, reset_mechanism="zero"),
         "must have reset_mechanism 'subtract' or 'none', not 'zero', which"),
    ]:
        with pytest.raises(CompileError, match=sentence):
            fs.from_snntorch([nn.Linear(20, 8), leaky], in_shape=20, **options())
    with pytest.raises(CompileError, match=r"model\[1\] \(RLeaky\) must be a vector for its own spikes to come back"):
        fs.from_snntorch([nn.Conv2d(1, 2, 3), snn.RLeaky(beta=0.5, conv2d_channels=2, kernel_size=3), nn.Flatten(),
                          nn.Linear(72, 3), snn.Leaky(beta=0.5)], in_shape=(1, 8, 8), **options())


class Currents(nn.Module):
    """Neurons whose currents last, in a loop over the steps, their states handed around."""

    def __init__(self):
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(20, 8), snn.Synaptic(alpha=0.75, beta=0.5, threshold=0.4)
        self.fc2, self.lif2 = nn.Linear(8, 3), snn.RSynaptic(alpha=0.5, beta=0.5, linear_features=3, threshold=0.4)

    def forward(self, x):
        syn1, mem1 = self.lif1.reset_mem()
        spk2, syn2, mem2 = self.lif2.reset_mem()
        record = []
        for one in x:
            spk1, syn1, mem1 = self.lif1(self.fc1(one), syn1, mem1)
            spk2, syn2, mem2 = self.lif2(self.fc2(spk1), spk2, syn2, mem2)
            record.append(spk2)
        return torch.stack(record)


class WrittenOut(Currents):
    """A current in the forward, in front of neurons without one."""

    def __init__(self):
        super().__init__()
        self.lif = snn.Leaky(beta=0.5)

    def forward(self, x):
        mem, current, record = self.lif.reset_mem(), torch.zeros(1), []
        for one in x:
            current = 0.75 * current + self.fc1(one)
            spikes, mem = self.lif(current, mem)
            record.append(spikes)
        return torch.stack(record)


def test_currents_of_snntorch_are_handed_around():
    torch.manual_seed(0)
    network = fs.from_snntorch(Currents().eval(), in_shape=20, **options())
    assert [layer.neuron.current_leak for layer in network.layers] == [0.75, 0.5] and sources(network) == [[], [1]]
    inputs = np.random.default_rng(0).integers(0, 2, (20, STEPS, 20))
    assert all(0.02 < one.mean() < 0.9 for one in fs.infer(fs.compile(network, lanes=1).program, inputs).spikes)


# branches


class Branches(nn.Module):
    """Two convolutions side by side on the same spikes, whose own are joined or added in some way."""

    def __init__(self, ends):
        super().__init__()
        self.stem, self.lif0 = nn.Conv2d(1, 2, 3, padding=1), snn.Leaky(beta=0.5, threshold=0.2, init_hidden=True)
        self.a, self.lif1 = nn.Conv2d(2, 3, 1), snn.Leaky(beta=0.75, threshold=0.2, init_hidden=True)
        self.b, self.lif2 = nn.Conv2d(2, 3, 3, padding=1), snn.Leaky(beta=0.5, threshold=0.3, init_hidden=True)
        self.conv, self.norm = nn.Conv2d(6, 2, 3), nn.BatchNorm2d(2)
        self.narrow, self.wide, self.pooled = nn.Linear(48, 4), nn.Linear(96, 4), nn.Linear(24, 4)
        self.mid, self.tail = snn.Leaky(beta=0.5, threshold=0.2, init_hidden=True), nn.Linear(8, 4)
        self.odd = nn.Linear(48 + 32, 4)
        self.last = snn.Leaky(beta=0.5, threshold=0.2, init_hidden=True)
        self.ends = ends

    def forward(self, x):
        stem = self.lif0(self.stem(x))
        return self.last(self.ends(self, stem, self.lif1(self.a(stem)), self.lif2(self.b(stem))))


ENDS = [
    lambda self, stem, a, b: self.wide(torch.cat([a, b], 1).flatten(1)),
    lambda self, stem, a, b: self.wide(torch.cat((a.flatten(1), torch.flatten(b, 1)), dim=-1)),
    lambda self, stem, a, b: self.tail(self.mid(self.norm(self.conv(torch.cat([b, a], dim=1))).flatten(1))),
    lambda self, stem, a, b: self.narrow((a + b).view(len(a), -1)),
    lambda self, stem, a, b: self.narrow((2 * a - b / 4).reshape(a.shape[0], 48)) * 0.5,
    lambda self, stem, a, b: self.narrow(a.flatten(1)) - self.narrow(b.flatten(1)) * torch.tensor([1.0, 2.0, 0.5, 1.0]),
    lambda self, stem, a, b: self.pooled(functional.avg_pool2d(torch.cat([a, b], 1), 2).flatten(1)),
    lambda self, stem, a, b: self.odd(torch.cat([b, stem], 1).flatten(1)) + self.narrow(a.flatten(1)),
]


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("input_kind", ["events", "direct"])
def test_branches_side_by_side_are_joined_added_and_scaled(ends, input_kind):
    torch.manual_seed(1)
    network = fs.from_snntorch(Branches(ends).eval(), in_shape=(1, 4, 4), **options(input_kind=input_kind, in_max=2))
    golden = fs.infer(fs.compile(network, lanes=1).program, np.random.default_rng(0).integers(
        0, 3, (4, STEPS, 16) if input_kind == "events" else (4, 16)))
    assert all(one.any() for one in golden.spikes)


@pytest.mark.slow
def test_branches_side_by_side_in_hardware():
    torch.manual_seed(1)
    network = fs.from_snntorch(Branches(ENDS[0]).eval(), in_shape=(1, 4, 4), **options(in_max=2, steps=3))
    program = fs.compile(network, lanes=2).program
    outcome = fs.verify(program, np.random.default_rng(0).integers(0, 3, (1, 3, 16)), backend="pysim")
    assert outcome.equal and min(outcome.alive) > 0.02, outcome.first


def test_two_branches_of_a_direct_input_are_refused():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(6, 3), nn.Linear(6, 3), nn.Linear(6, 2)
            self.fire = nn.ModuleList(snn.Leaky(beta=0.5, init_hidden=True) for _ in range(3))

        def forward(self, x):
            first, second, last = self.fire
            return last(self.c(torch.cat([first(self.a(x)), second(self.b(x))], 1)))

    with pytest.raises(CompileError, match=r"model.fire.1 \(Leaky\) must not take the input, which is direct"):
        fs.from_snntorch(Both().eval(), in_shape=6, **options(input_kind="direct"))
    assert sources(fs.from_snntorch(Both().eval(), in_shape=6, **options())) == [[], [-1], [0]]


# Norse


class NorseTutorial(nn.Module):
    """Norse's tutorial on MNIST; with ``current`` = 1000, synaptic currents are gone after each step."""

    def __init__(self, current: float):
        super().__init__()
        numbers = {"tau_syn_inv": torch.tensor(current), "tau_mem_inv": torch.tensor(250.0)}
        self.l1 = norse.LIFRecurrentCell(25, 8, p=norse.LIFParameters(alpha=100, v_th=torch.tensor(0.3), **numbers))
        self.fc_out = nn.Linear(8, 4, bias=False)
        self.out = norse.LICell(p=norse.LIParameters(**numbers))
        self.input_features = 25

    def forward(self, x):
        seq_length, _, _, _, _ = x.shape
        s1 = so = None
        voltages = []
        for ts in range(seq_length):
            z = x[ts, :, :, :].view(-1, self.input_features)
            z, s1 = self.l1(z, s1)
            z = self.fc_out(z)
            vo, so = self.out(z, so)
            voltages += [vo]
        return torch.stack(voltages)


def test_the_tutorial_of_norse():
    torch.manual_seed(0)
    for current, lasting in ((1000.0, None), (200.0, pytest.approx(0.8))):
        network = fs.from_norse(NorseTutorial(current).eval(), in_shape=(1, 5, 5), **options(readout="potential"))
        assert sources(network) == [[0], []] and network.layers[-1].neuron.theta is None
        assert [layer.neuron.current_leak for layer in network.layers] == [lasting, lasting]
        fs.compile(network, lanes=1)


class HandedState(nn.Module):
    """A SequentialState inside a loop, or with its state handed around from outside."""

    def __init__(self, loop: bool):
        super().__init__()
        p = norse.LIFBoxParameters(tau_mem_inv=torch.tensor(500.0), v_th=torch.tensor(0.2))
        self.net = norse.SequentialState(nn.Linear(20, 8), norse.LIFBoxCell(p), nn.Linear(8, 3), norse.LIFBoxCell(p))
        self.loop = loop

    def forward(self, x, state=None):
        if not self.loop:
            return self.net(x, state)
        out = 0
        for one in x:
            spikes, state = self.net(one, state)
            out = out + spikes
        return out


def test_states_of_norse_are_handed_around():
    torch.manual_seed(0)
    for loop in (True, False):
        assert shapes(fs.from_norse(HandedState(loop).eval(), in_shape=20, **options())) == [(8,), (3,)]
    p = norse.LIFParameters(tau_syn_inv=torch.tensor(1000.0), v_th=torch.tensor(0.05))
    model = norse.SequentialState(
        norse.Lift(nn.Conv2d(1, 2, 3)), norse.LIF(p), nn.Flatten(2), norse.Lift(nn.Linear(72, 8)), norse.LIF(p),
        norse.LIFRecurrent(8, 3, p=p)).eval()
    assert sources(fs.from_norse(model, in_shape=(1, 8, 8), **options())) == [[], [], [2]]


# SpikingJelly's containers and its library


class Past(nn.Module):
    """A path past synapses, without neurons of its own."""

    def __init__(self, synapses: nn.Module):
        super().__init__()
        self.synapses = synapses

    def forward(self, x):
        return self.synapses(x) + x


@pytest.mark.parametrize("read", ["spikingjelly", "torch"])
def test_what_takes_all_steps_may_stand_in_a_forward_without_neurons(read):
    torch.manual_seed(0)
    if read == "torch":
        model = fs.SpikingSequential(
            nn.Conv2d(1, 2, 3), fs.IF(0.3), Past(fs.SpikingSequential(nn.Conv2d(2, 2, 3, padding=1))), fs.IF(0.3),
            nn.Flatten(), nn.Linear(72, 3), fs.IF(0.3))
        network = fs.from_torch(model.eval(), in_shape=(1, 8, 8), **options())
    else:
        model = nn.Sequential(
            layer.Conv2d(1, 2, 3), neuron.IFNode(0.3), Past(layer.SeqToANNContainer(nn.Conv2d(2, 2, 3, padding=1))),
            neuron.IFNode(0.3), layer.Flatten(), layer.Linear(72, 3), neuron.IFNode(0.3))
        jelly.set_step_mode(model, "m")
        network = fs.from_spikingjelly(model.eval(), in_shape=(1, 8, 8), **options())
    assert shapes(network) == [(2, 6, 6), (2, 6, 6), (3,)] and len(network.layers[1].branches) == 1


def test_recurrent_containers_of_spikingjelly():
    torch.manual_seed(0)

    def chain(*modules: nn.Module):
        return nn.Sequential(*modules, layer.Linear(8, 3), neuron.IFNode()).eval()

    for model in (
        chain(layer.LinearRecurrentContainer(nn.Sequential(nn.Linear(20, 8), neuron.LIFNode()), 20, 8)),
        chain(layer.Linear(20, 8), layer.LinearRecurrentContainer(neuron.IFNode(), 8, 8, bias=False)),
        chain(layer.Linear(20, 8), layer.ElementWiseRecurrentContainer(neuron.IFNode(), lambda x, y: x + y)),
    ):
        assert sources(fs.from_spikingjelly(model, in_shape=20, **options())) == [[0], []]
    with pytest.raises(CompileError, match=r"model.1 \(ElementWiseRecurrentContainer\) must have an element_wise_fu"):
        fs.from_spikingjelly(chain(layer.Linear(20, 8), layer.ElementWiseRecurrentContainer(
            neuron.IFNode(), lambda x, y: x * y)), in_shape=20, **options())


@pytest.fixture
def library(monkeypatch):
    """``library(name)``: a module of models. They take torchvision only to download weights."""
    for name in ("torchvision", "torchvision.models", "torchvision.models.utils"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules["torchvision.models.utils"].load_state_dict_from_url = None  # pyright: ignore
    return lambda name: importlib.import_module(f"spikingjelly.activation_based.model.{name}")


def potential(**changes):
    return options(steps=2, readout="potential", input_kind="direct") | changes


def in_mode(model: nn.Module, mode: str) -> nn.Module:
    jelly.set_step_mode(model, mode)
    return model.eval()


@pytest.mark.parametrize("mode", ["s", "m"])
def test_parametric_lif_nets(library, mode):
    nets = library("parametric_lif_net")
    torch.manual_seed(0)
    for kind, shape, input_kind in [
        (nets.MNISTNet, (1, 28, 28), "direct"), (nets.NMNISTNet, (2, 34, 34), "events"),
        (nets.CIFAR10Net, (3, 32, 32), "direct"), (nets.DVSGestureNet, (2, 128, 128), "events"),
        (nets.CIFAR10DVSNet, (2, 128, 128), "events"),
    ]:
        model = in_mode(kind(2, neuron.ParametricLIFNode, v_threshold=0.2), mode)
        network = fs.from_spikingjelly(model, in_shape=shape, **potential(input_kind=input_kind))
        assert network.layers[-1].neuron.theta is None
        assert shapes(network)[-1] == (11 if kind is nets.DVSGestureNet else 10,)
        with pytest.raises(CompileError, match=r"VotingLayer\) must be followed by neurons, or be read by its potent"):
            fs.from_spikingjelly(model, in_shape=shape, **potential(input_kind=input_kind, readout="spike_count"))
    fs.compile(network, lanes=1)


@pytest.mark.parametrize("mode", ["s", "m"])
def test_spiking_vgg(library, mode):
    torch.manual_seed(0)
    model = library("spiking_vgg").SpikingVGG(
        [4, "M", 4, "M", 8, "M"], batch_norm=True, num_classes=3, init_weights=False, spiking_neuron=neuron.IFNode,
        v_threshold=0.2)
    model.classifier[0], model.classifier[3] = layer.Linear(8 * 7 * 7, 12), layer.Linear(12, 12)
    model.classifier[6] = layer.Linear(12, 3)
    network = fs.from_spikingjelly(in_mode(model, mode), in_shape=(3, 56, 56), **potential())
    assert shapes(network)[-4:] == [(8, 7, 7), (12,), (12,), (3,)]
    fs.compile(network, lanes=1)


@pytest.mark.parametrize("block", ["BasicBlock", "Bottleneck"])
@pytest.mark.parametrize("name", ["spiking_resnet", "sew_resnet"])
def test_resnets(library, name, block):
    torch.manual_seed(0)
    models = library(name)
    kind = models.SpikingResNet if name == "spiking_resnet" else models.SEWResNet
    more = {} if name == "spiking_resnet" else {"cnf": "ADD"}
    model = kind(getattr(models, block), [2, 1, 1, 1], num_classes=3, spiking_neuron=neuron.LIFNode, tau=2.0, **more)
    network = fs.from_spikingjelly(in_mode(model, "m"), in_shape=(3, 32, 32), **potential())
    assert any(sources(network)) and shapes(network)[-1] == (3,)


def test_what_the_library_does_beyond_is_refused_by_name(library):
    models = library("sew_resnet")
    for cnf in ("AND", "IAND"):
        model = models.SEWResNet(models.BasicBlock, [1, 1, 1, 1], num_classes=3, cnf=cnf, spiking_neuron=neuron.IFNode)
        with pytest.raises(CompileError, match=r"model.layer1.0 \(BasicBlock\) must have a forward that calls modules"):
            fs.from_spikingjelly(model.eval(), in_shape=(3, 32, 32), **potential())
    model = library("ms_resnet").MSResNet(T=2, num_classes=3, layers=(1, 1, 1), base_channels=4)
    with pytest.raises(CompileError, match=r"model.layer1.0.downsample.0 \(Conv2d\) must come behind neurons, not"):
        fs.from_spikingjelly(model.eval(), in_shape=(3, 32, 32), **potential())


# the check itself


def test_what_was_read_wrong_is_found_by_a_run(monkeypatch):
    """Were a leak forgotten, or an addition, the model's own spikes would show it."""
    torch.manual_seed(0)
    model = Tutorial5().eval()
    direct = options(input_kind="direct", in_max=255, input_scale=1 / 255)
    right = snntorch_module._leaky

    def forgets(where, module, synapses):
        return right(where, module, synapses) if "lif1" in where else right(where, snn.Leaky(beta=0.5), synapses)

    monkeypatch.setattr(snntorch_module, "_leaky", forgets)
    with pytest.raises(CompileError, match=r"^model.lif2 \(Leaky\) must do what was read of it, but in a run of the "
                                           r"model its spikes differ in step \d: the model does something there, or "):
        fs.from_snntorch(model, in_shape=784, **direct)
    assert shapes(snntorch_module.from_snntorch(model, in_shape=784, **direct)) == [(30,), (10,)]  # nothing is run


def test_outputs_that_do_not_fire_are_compared_too(monkeypatch):
    torch.manual_seed(0)
    leaky = snn.Leaky(beta=0.5, threshold=0.2, init_hidden=True)
    model = nn.Sequential(nn.Linear(20, 8), leaky, nn.Linear(8, 3)).eval()
    fs.from_snntorch(model, in_shape=20, **options(readout="potential"))
    run = nn.Linear.forward
    monkeypatch.setattr(nn.Linear, "forward", lambda self, x: run(self, x).clamp(min=-9 * (len(self.weight) == 8)))
    with pytest.raises(CompileError, match=r"^the output of model.2 \(Linear\) must do what was read of it"):
        fs.from_snntorch(model, in_shape=20, **options(readout="potential"))


def test_a_model_that_cannot_run_is_refused():
    model = nn.Sequential(nn.Linear(20, 8), snn.Leaky(beta=0.5, init_hidden=True))
    model[1].spike_grad = lambda x: (x > 0).float() if len(x) > 8 else None
    with pytest.raises(CompileError, match=r"^model must run, to be compared with what was read of it: "):
        fs.from_snntorch(model.eval(), in_shape=20, **options())


# the table of docs/bring_your_own.md

PAGE = Path(__file__).parents[2] / "docs" / "bring_your_own.md"


class Small(nn.Module):
    """A forward as given, of one step, over two layers of neurons that keep their states."""

    def __init__(self, forward):
        super().__init__()
        self.fc, self.lif = nn.Linear(20, 8), snn.Leaky(beta=0.5, threshold=0.3, init_hidden=True)
        self.out, self.last = nn.Linear(8, 3), snn.Leaky(beta=0.5, threshold=0.3, init_hidden=True)
        self.skip, self.back, self.h, self.norms = nn.Linear(20, 8), nn.Linear(8, 8), 0, nn.ModuleList(
            nn.BatchNorm1d(8) for _ in range(STEPS))
        self.how = forward

    def forward(self, x):
        return self.last(self.out(self.lif(self.how(self, x))))


def keeps(self, x):
    self.h += 1
    return self.fc(x)


def norm_a_step(self, x):
    self.h += 1
    return self.norms[self.h - 1](self.fc(x))


def hooked() -> nn.Module:
    model = Small(lambda self, x: self.fc(x))
    model.fc.register_forward_hook(lambda *_: None)
    return model


class Anew(Small):
    def forward(self, x):
        return self.last(self.out(self.lif(self.fc(x), self.lif.init_leaky())))


def from_snntorch(model, in_shape=20, **changes):
    torch.manual_seed(0)
    model = model() if isinstance(model, type) else model
    model = [one.eval() for one in model] if isinstance(model, list) else model.eval()
    return fs.from_snntorch(model, in_shape=in_shape, **options(**changes))


def small(forward):
    return lambda library: from_snntorch(Small(forward))


def residual(self, x):
    return self.fc(x) / 2 - 0.5 * self.skip(x)


def net(library, name: str, kind: str, shape, **changes):
    torch.manual_seed(0)
    models = library(name)
    model = getattr(models, kind)(2, neuron.IFNode, v_threshold=0.2)
    return fs.from_spikingjelly(model.eval(), in_shape=shape, **potential(**changes))


def resnet(library, name: str, kind: str, **more):
    models = library(name)
    model = getattr(models, kind)(models.BasicBlock, [1, 1, 1, 1], num_classes=3, spiking_neuron=neuron.IFNode, **more)
    return fs.from_spikingjelly(model.eval(), in_shape=(3, 32, 32), **potential())


def whole(library, name: str, kind: str, **sizes):
    return fs.from_spikingjelly(getattr(library(name), kind)(T=2, **sizes).eval(), in_shape=(3, 32, 32), **potential())


def feedback(library):
    return [fs.from_spikingjelly(nn.Sequential(layer.Linear(20, 8), one, layer.Linear(8, 3), neuron.IFNode()).eval(),
                                 in_shape=20, **options())
            for one in (layer.LinearRecurrentContainer(neuron.IFNode(), 8, 8),
                        layer.ElementWiseRecurrentContainer(neuron.IFNode(), lambda x, y: x + y))][-1]


def sequential_states(library):
    lifted = norse.SequentialState(norse.Lift(nn.Linear(20, 3)), norse.LIF(norse.LIFParameters(
        tau_syn_inv=torch.tensor(1000.0)))).eval()
    fs.from_norse(lifted, in_shape=20, **options())
    return fs.from_norse(HandedState(True).eval(), in_shape=20, **options())


def tutorial_of_norse(current: float):
    return lambda library: fs.from_norse(
        NorseTutorial(current).eval(), in_shape=(1, 5, 5), **options(readout="potential"))


CONVOLUTION = {"conv2d_channels": 2, "kernel_size": 3}
ROWS = {
    "snnTorch, `class Net` that runs": lambda library: from_snntorch(Tutorial5, 784, input_kind="direct"),
    "snnTorch, `class Net` on frames": lambda library: from_snntorch(Tutorial6, (1, 16, 16)),
    "snnTorch, `nn.Sequential`": lambda library: from_snntorch(nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), snn.Leaky(beta=0.5, init_hidden=True), nn.Flatten(), nn.Linear(18, 3),
        snn.Leaky(beta=0.5, init_hidden=True, output=True)), (1, 8, 8)),
    "snnTorch, `forward` of one step": lambda library: from_snntorch(Anew(None)),
    "snnTorch, `RLeaky` with `linear": lambda library: from_snntorch(Recurrent),
    "snnTorch, `RLeaky` with a conv": lambda library: from_snntorch([
        nn.Conv2d(1, 2, 3), snn.RLeaky(beta=0.5, **CONVOLUTION), nn.Flatten(), nn.Linear(72, 3), snn.Leaky(beta=0.5)],
        (1, 8, 8)),
    "snnTorch, `Synaptic`, `RSynaptic`": lambda library: from_snntorch(Currents),
    "snnTorch, `Alpha`": lambda library: from_snntorch(nn.Sequential(nn.Linear(20, 3), snn.Alpha(alpha=0.9, beta=0.5))),
    "SpikingJelly, `parametric_lif_net`": lambda library: net(library, "parametric_lif_net", "MNISTNet", (1, 28, 28)),
    "SpikingJelly, `spiking_vgg`": lambda library: [
        resnet(library, "spiking_resnet", "SpikingResNet"), resnet(library, "sew_resnet", "SEWResNet", cnf="ADD")][-1],
    "SpikingJelly, `sew_resnet` with cnf": lambda library: resnet(library, "sew_resnet", "SEWResNet", cnf="AND"),
    "SpikingJelly, `ms_resnet`": lambda library: whole(
        library, "ms_resnet", "MSResNet", num_classes=3, layers=(1, 1, 1), base_channels=4),
    "SpikingJelly, `spikformer`": lambda library: whole(library, "spikformer", "spikformer_cifar10"),
    "SpikingJelly, `LinearRecurrent": feedback,
    "SpikingJelly, `layer.Delay`": lambda library: fs.from_spikingjelly(
        nn.Sequential(*(one(step_mode="m") for one in (partial(layer.Delay, 2), partial(layer.Linear, 20, 3),
                                                       neuron.IFNode))).eval(), in_shape=20, **options()),
    "SpikingJelly, `CUBALIFNode`": lambda library: fs.from_spikingjelly(
        nn.Sequential(layer.Linear(20, 3), neuron.CUBALIFNode()).eval(), in_shape=20, **options()),
    "Norse, `SequentialState`": sequential_states,
    "Norse, `LIFRecurrentCell`": tutorial_of_norse(200.0),
    "any, branches side by side": lambda library: from_snntorch(Branches(ENDS[0]), (1, 4, 4)),
    "any, the same spikes on two": small(residual),
    "any, recurrence written out": lambda library: from_snntorch(Recurrent),
    "any, a current written out": lambda library: from_snntorch(WrittenOut),
    "any, such spikes kept": small(keeps),
    "any, one BatchNorm": small(norm_a_step),
    "any, random numbers": small(lambda self, x: self.fc(x + torch.randn_like(x))),
    "any, a slice": small(lambda self, x: self.fc(x[:, :20])),
    "any, a `forward` that depends": small(lambda self, x: self.fc(x) if x.mean() > 0 else self.skip(x)),
    "any, hooks": lambda library: from_snntorch(hooked()),
}


def rows() -> list[tuple[str, str]]:
    table = PAGE.read_text().split("| what your framework has | what happens |")[1].split("\n\n")[0]
    return [tuple(cell.strip() for cell in line.split("|")[1:3]) for line in table.splitlines()[2:]]


def test_the_table_has_the_rows_that_are_tested():
    assert [sum(row.startswith(start) for start in ROWS) for row, _ in rows()] == [1] * len(ROWS)


@pytest.mark.parametrize(("row", "happens"), rows())
def test_what_the_table_says_happens(library, row, happens):
    run = next(run for start, run in ROWS.items() if row.startswith(start))
    if happens.startswith("refused: "):
        with pytest.raises(CompileError, match=re.escape(happens.removeprefix("refused: "))):
            run(library)
    else:
        assert happens.startswith("read")
        network = run(library)
        assert network.layers
        assert any(sources(network)) or "recurrent" not in happens
