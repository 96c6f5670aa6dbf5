# SPDX-License-Identifier: MIT
"""snnTorch's tutorials."""

import firstspike as fs
import numpy as np
import pytest
import snntorch as snn
import torch
import torch.nn.functional as functional
from firstspike_compiler.errors import CompileError
from snntorch import surrogate
from torch import nn

STEPS = 5


def options(**changes):
    return {"steps": STEPS, "readout": "spike_count", "input_kind": "events"} | changes


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


def test_the_fully_connected_net_of_snntorch(shapes):
    model = Tutorial5().eval()
    network = fs.from_snntorch(model, in_shape=784, **options(input_kind="direct", in_max=255, input_scale=1 / 255))
    assert shapes(network) == [(30,), (10,)] and network.layers[0].neuron.reset_delay
    fs.compile(network, lanes=2)
    for input_kind in ("events", "latency"):
        with pytest.raises(CompileError, match=r"a forward that runs one input through all steps is read with"):
            fs.from_snntorch(model, in_shape=784, **options(input_kind=input_kind))
    with pytest.raises(CompileError, match=r"model \(Tutorial5\) must stack the values of all 3 steps, as many as"):
        fs.from_snntorch(model, in_shape=784, **options(input_kind="direct", steps=3))


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


def test_the_convolutional_net_of_snntorch(shapes):
    network = fs.from_snntorch(Convolutional().eval(), in_shape=(1, 16, 16), **options())
    assert shapes(network) == [(3, 6, 6), (4, 2, 2), (5,)]
    fs.compile(network, lanes=1)


def test_the_sequential_of_snntorch_keeps_its_states_in_its_neurons(shapes):
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


def test_maximum_pools_in_front_of_neurons(shapes):
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


def test_recurrence_of_snntorch_in_hardware(sources):
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


def test_currents_of_snntorch_are_handed_around(sources):
    network = fs.from_snntorch(Currents().eval(), in_shape=20, **options())
    assert [layer.neuron.current_leak for layer in network.layers] == [0.75, 0.5] and sources(network) == [[], [1]]
    inputs = np.random.default_rng(0).integers(0, 2, (20, STEPS, 20))
    assert all(0.02 < one.mean() < 0.9 for one in fs.infer(fs.compile(network, lanes=1).program, inputs).spikes)


FRAMEWORK = "snnTorch"
CONVOLUTION = {"conv2d_channels": 2, "kernel_size": 3}
HIDDEN = {"beta": 0.5, "init_hidden": True}


class Anew(nn.Module):
    """A step that begins with new states."""

    def __init__(self):
        super().__init__()
        self.fc, self.lif = nn.Linear(20, 8), snn.Leaky(beta=0.5, threshold=0.3)

    def forward(self, x):
        return self.lif(self.fc(x), self.lif.init_leaky())


def read(model, in_shape=20, **changes):
    return fs.from_snntorch((model() if isinstance(model, type) else nn.Sequential(*model)).eval(), in_shape=in_shape,
                            **options(**changes))


ROWS = {
    "snnTorch, `class Net` that runs": lambda: read(Tutorial5, 784, input_kind="direct"),
    "snnTorch, `class Net` on frames": lambda: read(Tutorial6, (1, 16, 16)),
    "snnTorch, `nn.Sequential`": lambda: read([
        nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), snn.Leaky(**HIDDEN), nn.Flatten(), nn.Linear(18, 3),
        snn.Leaky(**HIDDEN, output=True)], (1, 8, 8)),
    "snnTorch, `forward` of one step": lambda: read(Anew),
    "snnTorch, `RLeaky` with `linear": lambda: read(Recurrent),
    "snnTorch, `RLeaky` with a conv": lambda: read([
        nn.Conv2d(1, 2, 3), snn.RLeaky(beta=0.5, **CONVOLUTION), nn.Flatten(), nn.Linear(72, 3), snn.Leaky(beta=0.5)],
        (1, 8, 8)),
    "snnTorch, `Synaptic`, `RSynaptic`": lambda: read(Currents),
    "snnTorch, `Alpha`": lambda: read([nn.Linear(20, 3), snn.Alpha(alpha=0.9, beta=0.5)]),
}


def test_what_the_table_says_happens(row, happens, as_said):
    as_said(ROWS, row, happens)
