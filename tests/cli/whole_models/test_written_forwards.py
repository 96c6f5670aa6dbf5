# SPDX-License-Identifier: MIT
"""Forwards of the user's own: branches, recurrence written out, and what differs from step to step."""

import firstspike as fs
import numpy as np
import pytest
import snntorch as snn
import torch
import torch.nn.functional as functional
from firstspike_compiler.errors import CompileError
from torch import nn

STEPS = 5


def options(**changes):
    return {"steps": STEPS, "readout": "spike_count", "input_kind": "events"} | changes


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


def test_two_branches_of_a_direct_input_are_refused(sources):
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


class Small(nn.Module):
    """A forward as given, of one step, over two layers of neurons that keep their states."""

    def __init__(self, forward):
        super().__init__()
        self.fc, self.lif = nn.Linear(20, 8), snn.Leaky(beta=0.5, threshold=0.3, init_hidden=True)
        self.out, self.last = nn.Linear(8, 3), snn.Leaky(beta=0.5, threshold=0.3, init_hidden=True)
        self.skip, self.norms = nn.Linear(20, 8), nn.ModuleList(nn.BatchNorm1d(8) for _ in range(STEPS))
        self.h, self.how = 0, forward

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


class Loop(nn.Module):
    """All steps in a forward; ``current`` makes what neurons get, of the input and of their spikes and what they got in
    the step before."""

    def __init__(self, current):
        super().__init__()
        self.fc, self.back, self.lif = nn.Linear(20, 4), nn.Linear(4, 4), snn.Leaky(beta=0.5, threshold=0.3)
        self.current = current

    def forward(self, x):
        mem, spikes, current, record = self.lif.reset_mem(), torch.zeros(x.shape[1], 4), torch.zeros(1), []
        for one in x:
            current = self.current(self, one, spikes, current)
            spikes, mem = self.lif(current, mem)
            record.append(spikes)
        return torch.stack(record)


def read(model: nn.Module, in_shape=20):
    return fs.from_snntorch(model.eval(), in_shape=in_shape, **options())


FRAMEWORK = "any"
ROWS = {
    "any, branches side by side": lambda: read(Branches(ENDS[0]), (1, 4, 4)),
    "any, the same spikes on two": lambda: read(Small(lambda self, x: self.fc(x) / 2 - 0.5 * self.skip(x))),
    "any, recurrence written out": lambda: read(Loop(lambda self, x, spikes, got: self.fc(x) + self.back(spikes))),
    "any, a current written out": lambda: read(Loop(lambda self, x, spikes, got: 0.75 * got + self.fc(x))),
    "any, such spikes kept": lambda: read(Small(keeps)),
    "any, one BatchNorm": lambda: read(Small(norm_a_step)),
    "any, random numbers": lambda: read(Small(lambda self, x: self.fc(x + torch.randn_like(x)))),
    "any, a slice": lambda: read(Small(lambda self, x: self.fc(x[:, :20]))),
    "any, a `forward` that depends": lambda: read(Small(lambda self, x: self.fc(x) if x.mean() > 0 else self.skip(x))),
    "any, hooks": lambda: read(hooked()),
}


def test_what_the_table_says_happens(row, happens, as_said):
    as_said(ROWS, row, happens)
