# SPDX-License-Identifier: MIT
"""Norse's tutorial on MNIST, and states that are handed around."""

import firstspike as fs
import norse.torch as norse
import pytest
import torch
from torch import nn


def options(**changes):
    return {"steps": 5, "readout": "spike_count", "input_kind": "events"} | changes


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


def test_the_tutorial_of_norse(sources):
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


def test_states_of_norse_are_handed_around(shapes, sources):
    for loop in (True, False):
        assert shapes(fs.from_norse(HandedState(loop).eval(), in_shape=20, **options())) == [(8,), (3,)]
    p = norse.LIFParameters(tau_syn_inv=torch.tensor(1000.0), v_th=torch.tensor(0.05))
    model = norse.SequentialState(
        norse.Lift(nn.Conv2d(1, 2, 3)), norse.LIF(p), nn.Flatten(2), norse.Lift(nn.Linear(72, 8)), norse.LIF(p),
        norse.LIFRecurrent(8, 3, p=p)).eval()
    assert sources(fs.from_norse(model, in_shape=(1, 8, 8), **options())) == [[], [], [2]]


def sequential_states():
    lifted = norse.SequentialState(norse.Lift(nn.Linear(20, 3)), norse.LIF(norse.LIFParameters(
        tau_syn_inv=torch.tensor(1000.0)))).eval()
    fs.from_norse(lifted, in_shape=20, **options())
    return fs.from_norse(HandedState(True).eval(), in_shape=20, **options())


FRAMEWORK = "Norse"
ROWS = {
    "Norse, `SequentialState`": sequential_states,
    "Norse, `LIFRecurrentCell`": lambda: fs.from_norse(
        NorseTutorial(200.0).eval(), in_shape=(1, 5, 5), **options(readout="potential")),
}


def test_what_the_table_says_happens(row, happens, as_said):
    as_said(ROWS, row, happens)
