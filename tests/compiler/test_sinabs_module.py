# SPDX-License-Identifier: MIT
"""sinabs's own run of random networks against the imported ones; what is refused.

Where sinabs is not installed (it brings a driver without source code), a stand-in with its arithmetic takes its place.
"""

import re
import sys
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from firstspike import from_sinabs, from_torch
from firstspike_compiler.errors import CompileError
from firstspike_sim.testing.framework_runs import run_sinabs
from firstspike_sim.testing.random_chain import random_chain
from torch import nn

STAND_IN = Path(__file__).parent / "sinabs_stand_in"
layers: Any = None
activation: Any = None


@pytest.fixture(scope="module", autouse=True)
def sinabs():
    """Its modules; a stand-in is gone afterwards, so that other tests do not take it for sinabs."""
    global layers, activation
    with pytest.MonkeyPatch.context() as patch:
        stands_in = find_spec("sinabs") is None
        if stands_in:
            patch.syspath_prepend(STAND_IN)
        layers, activation = import_module("sinabs.layers"), import_module("sinabs.activation")
        yield
    for name in [one for one in sys.modules if stands_in and one.partition(".")[0] == "sinabs"]:
        del sys.modules[name]


def neurons(rng, *, several: bool, hard: bool) -> nn.Module:
    options = {
        "spike_threshold": torch.tensor(float(rng.choice([0.5, 1.0]))), "batch_size": 1,
        "spike_fn": activation.MultiSpike if several else activation.SingleSpike,
        "reset_fn": activation.MembraneReset() if hard else activation.MembraneSubtract(),
        "min_v_mem": [None, -1.0, -0.5][int(rng.integers(3))],
    }
    if rng.random() < 0.5:
        return layers.IAFSqueeze(**options)
    if not several and rng.random() < 0.5:
        made = import_module("sinabs.layers.alif").ALIFSqueeze(
            tau_mem=2.0, tau_adapt=2.0, adapt_scale=float(rng.choice([0.5, 1.0, 2.0])),
            norm_input=bool(rng.random() < 0.5), train_alphas=True, **options)
        made.alpha_mem.data.fill_(float(rng.choice([0.5, 0.75])))
        made.alpha_adapt.data.fill_(float(rng.choice([0.5, 0.75])))
        return made
    lasts = rng.random() < 0.5
    made = layers.LIFSqueeze(tau_mem=2.0, tau_syn=2.0 if lasts else None, norm_input=bool(rng.random() < 0.5),
                             train_alphas=True, **options)
    made.alpha_mem.data.fill_(float(rng.choice([0.5, 0.75])))
    if lasts:
        made.alpha_syn.data.fill_(float(rng.choice([0.25, 0.5])))
    return made


def summed(module: nn.Module) -> nn.Module:
    """A sum pool in place of a maximum pool, which takes single spikes only, where one of the same windows exists."""
    plain = isinstance(module, nn.MaxPool2d) and not module.padding and not module.ceil_mode and module.dilation == 1
    return layers.SumPool2d(module.kernel_size, module.stride) if plain else module


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("hard", [False, True])
def test_spikes_are_those_of_sinabs(exactly, several, hard):
    def draw(rng):
        modules, shape = random_chain(rng, lambda shape: neurons(rng, several=several, hard=hard))
        modules = [summed(one) if several else one for one in modules]
        try:
            network = from_sinabs(
                nn.Sequential(*modules).eval(), in_shape=shape, steps=6, readout="spike_count", in_max=2)
        except CompileError as error:
            assert re.search("levels, 1…15, must say how many|must come (directly )?behind|must be followed by",
                             str(error))
            return draw(rng)
        return network, partial(run_sinabs, modules, shape)

    found = exactly(draw)
    assert found.networks == 20 and found.integer_networks >= 5


def read(*modules: nn.Module, **changes):
    fields = {"in_shape": (4,), "steps": 4, "readout": "spike_count"} | changes
    return from_sinabs(nn.Sequential(*modules).eval(), **fields)


def linear(gain: float = 1.0) -> nn.Linear:
    made = nn.Linear(4, 3, bias=False)
    made.weight.data.fill_(gain)
    return made


def test_numbers_of_spikes_are_as_many_as_there_may_be_or_as_are_given():
    assert read(linear(1.0), layers.IAF()).layers[0].neuron.levels == 5  # 4 and what is left of a threshold
    assert read(linear(8.0), layers.IAF(), levels=7).layers[0].neuron.levels == 7
    assert read(linear(8.0), layers.IAF(spike_fn=activation.SingleSpike)).layers[0].neuron.levels == 1


def test_a_forward_of_its_own_is_read():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.iaf = nn.Conv2d(1, 2, 3), layers.IAF(spike_fn=activation.SingleSpike)
            self.out, self.leak = nn.Linear(2 * 3 * 3, 3), layers.ExpLeak(tau_mem=5.0)

        def forward(self, x):
            return self.leak(self.out(nn.functional.avg_pool2d(self.iaf(self.conv(x)), 2).flatten(1)))

    network = from_sinabs(Net().eval(), in_shape=(1, 8, 8), steps=5, readout="potential")
    assert network.layers[1].neuron.leak == pytest.approx(np.exp(-0.2)) and network.layers[1].neuron.theta is None


@pytest.mark.parametrize(("module", "changes", "sentence"), [
    (lambda: layers.LIF(tau_mem=5.0, tau_syn=torch.tensor([5.0, 4.0, 4.0]), spike_fn=activation.SingleSpike,
                        min_v_mem=-1.0), {}, "must have one finite tau_syn with min_v_mem for all its neurons"),
    (lambda: layers.LIF(tau_mem=5.0, tau_syn=0.001), {}, "must have a tau_syn that leaves something of its currents"),
    (lambda: layers.IAF(reset_fn=activation.MembraneReset(0.5)), {},
     "must have the reset_fn MembraneSubtract, or MembraneReset to 0"),
    (lambda: layers.ALIF(tau_mem=5.0, tau_adapt=9.0, tau_syn=5.0), {}, "must have no tau_syn: sinabs forgets"),
    (lambda: layers.ALIF(tau_mem=5.0, tau_adapt=9.0, spike_fn=activation.MultiSpike), {},
     "must have the spike_fn SingleSpike, not "),
    (lambda: layers.ALIF(tau_mem=5.0, tau_adapt=9.0, adapt_scale=-1.0), {}, "must have an adapt_scale ≥ 0, not -1.0"),
    (lambda: layers.IAF(spike_fn=max), {}, "must have the spike_fn MultiSpike or SingleSpike, not "),
    (lambda: layers.IAF(reset_fn=activation.MembraneSubtract(0.5)), {},
     "must subtract at least its threshold, or be given levels"),
    (lambda: layers.IAF(), {"in_max": 100}, "may give 401 spikes in a step: levels, 1…15, must say how many to keep, "),
    (lambda: layers.IAF(), {"levels": 16}, "levels must be 1…15, not 16"),
    (lambda: layers.LIF(tau_mem=float("inf")), {},
     "must have a finite tau_mem with norm_input: its inputs count nothing"),
    (lambda: layers.SumPool2d(2, ceil_mode=True), {}, "must be a module that can be mapped: "),
])
def test_what_has_no_counterpart_is_named(module, changes, sentence):
    with pytest.raises(CompileError, match=re.escape(sentence)):
        read(linear(), module(), **changes)


def test_another_door_says_which_one_reads_it():
    with pytest.raises(CompileError, match=r"^model\.1 \(IAF\) must be read by from_sinabs: it is a module of sinabs$"):
        from_torch(nn.Sequential(linear(), layers.IAF()).eval(), in_shape=(4,), steps=4, readout="spike_count")
