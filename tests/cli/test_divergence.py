# SPDX-License-Identifier: MIT
"""The first divergence of every kind of network: which neuron it is, its spikes, its membranes, and a view of it."""

import json
from collections.abc import Callable
from typing import NamedTuple

import firstspike as fs
import numpy as np
import pytest
from firstspike import verb_verify
from firstspike.page import divergence_figures
from firstspike.page.divergence import divergence_facts
from firstspike.page.findings import membranes_title
from firstspike_arch.program import Program
from firstspike_hw.accelerator import Accelerator
from firstspike_hw.verilog import verilog
from firstspike_sim.backends.pysim import PysimBackend
from firstspike_sim.models.golden import GoldenModel


class Kind(NamedTuple):
    """Programs that differ in the threshold of a channel of the first layer, and inputs in which that matters."""

    make: Callable[[int], Program]
    good: int
    planted: int
    inputs: np.ndarray
    neurons: list[int]
    """Those of the channel."""


def convolution(theta: int) -> Program:
    """In three by three banks."""
    random = np.random.default_rng(0)
    network = fs.NetworkBuilder((1, 4, 4), steps=2, readout="potential", name="convolution")
    network.layer(random.integers(-2, 6, (2, 1, 3, 3)), theta=[6, theta], padding=1)
    network.layer(random.integers(-7, 8, (2, 32)))
    return fs.compile(network.build(), lanes=[1, 2], banks=[(3, 3), (1, 1)]).program


def recurrent(theta: int) -> Program:
    random = np.random.default_rng(0)
    network = fs.NetworkBuilder(6, steps=5, readout="spike_count", name="recurrent")
    network.layer(random.integers(-3, 7, (6, 6)), theta=[9] * 5 + [theta], leak=0.875)
    network.branch(random.integers(-3, 4, (6, 6)), source=0)
    network.layer(random.integers(-7, 8, (3, 6)), theta=6)
    return fs.compile(network.build(), lanes=[2, 3]).program


def direct(theta: int) -> Program:
    """Several thresholds, of which the second differs: only the magnitude of a spike tells."""
    random = np.random.default_rng(0)
    network = fs.NetworkBuilder(6, steps=2, readout="spike_count", input_kind="direct", in_max=255, name="direct")
    network.layer(random.integers(-3, 8, (4, 6)), theta=[[200, 800, 1600]] * 3 + [[200, theta, 1600]], leak=0.75)
    network.layer(random.integers(-7, 8, (3, 4)), theta=[[6, 12, 18]] * 3)
    return fs.compile(network.build(), lanes=[2, 3]).program


RANDOM = np.random.default_rng(1)
KINDS = {
    "convolution": Kind(convolution, 6, 4, RANDOM.random((2, 2, 16)) < 0.3, list(range(16, 32))),
    "recurrent": Kind(recurrent, 9, 6, RANDOM.random((4, 5, 6)) < 0.4, [5]),
    "direct": Kind(direct, 800, 400, RANDOM.integers(0, 256, (4, 6)), [3]),
}


def failed(kind: Kind, monkeypatch) -> tuple[Program, Program, np.ndarray, fs.Verification]:
    good, bad, inputs = kind.make(kind.good), kind.make(kind.planted), kind.inputs.astype(np.uint8)
    load = PysimBackend.load
    monkeypatch.setattr(PysimBackend, "load", lambda self, program: load(self, bad))
    return good, bad, inputs, fs.verify(good, inputs, backend="pysim")


@pytest.mark.parametrize("name", KINDS)
def test_the_planted_neuron_is_found_and_drawn(name, monkeypatch):
    good, bad, inputs, outcome = failed(KINDS[name], monkeypatch)
    found = divergence_facts(good, outcome, inputs, "", waves=None)
    assert found is not None and found["text"] in outcome.first
    expected, actual = (fs.infer(one, inputs).spikes[1] for one in (good, bad))
    first = int(np.flatnonzero((expected != actual).any((1, 2)))[0])
    step = int(np.flatnonzero((expected != actual)[first].any(1))[0])
    wrong = np.flatnonzero((expected != actual)[first, step]).tolist()
    assert found["input"] == first and found["neuron"] == wrong[0] and {*wrong} <= {*KINDS[name].neurons}
    layer = found["streams"][1]
    assert any(neuron == wrong[0] and magnitude == actual[first, step, neuron]
               for _, neuron, magnitude in layer["hardware"])
    assert name != "direct" or {spike[1:] for spike in layer["expected"]} == {(3, 1)}
    shown, thresholds = found["membranes"], good.network.layers[0].neuron.theta
    assert thresholds is not None
    channel = wrong[0] // good.network.layers[0].positions
    lowest = thresholds[channel, 0]
    assert shown["thresholds"] == (thresholds[channel] - lowest).tolist()
    wanted = GoldenModel(good.network).run(inputs[first:first + 1], membranes=True).membranes
    assert wanted is not None and shown["expected"] == (wanted[0][0, :, wrong[0]] - lowest).tolist()
    assert sum(one <= shown["expected"][step] for one in shown["thresholds"]) == expected[first, step, wrong[0]]
    place = " (1, 0, 1) of conv2d0" if name == "convolution" else " of dense0"
    assert membranes_title(found) == f"Membrane of neuron {wrong[0]}{place} in the golden model"
    spikes, membranes = divergence_figures.spikes_around(found), divergence_figures.membranes(shown)
    magnitudes, levels = ([one.get_text() for one in axis.texts] for axis in (spikes.axes[1], membranes.axes[0]))
    assert magnitudes == (["1", "2"] if name == "direct" else [])
    assert levels == (["threshold 1", "threshold 2", "threshold 3"] if name == "direct" else ["threshold"])


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_its_page_has_the_membranes_that_the_hardware_had(name, monkeypatch, tmp_path):
    good, bad, inputs, outcome = failed(KINDS[name], monkeypatch)
    verb_verify.write_verification(
        good, outcome, inputs, None, tmp_path / "page.html", tmp_path / "page.json", split="test", accuracy={},
        verilog=verilog(Accelerator(bad), bad.memories()), command="firstspike verify b", commands={},
        waves=tmp_path / "page.fst")
    found = json.loads((tmp_path / "page.json").read_text())["divergence"]
    membranes = GoldenModel(bad.network).run(inputs, membranes=True).membranes
    layer, neuron = bad.network.layers[0], found["neuron"]
    lowest = layer.spread(layer.neuron.first_theta)[neuron]
    assert membranes is not None and not found["note"]
    assert found["membranes"]["hardware"] == (membranes[0][found["input"], :, neuron] - lowest).tolist()
    assert membranes_title(found) in (tmp_path / "page.html").read_text()
    assert membranes_title(found).endswith("thresholds or timing differ") == (name == "direct")
    view = (tmp_path / "page.gtkw").read_text()
    assert all(f"-core {core.index}: {core.layer.name}" in view for core in good.cores)
    assert "core0.membranes_value[" in view and ("core0.events1__payload" in view) == (name == "recurrent")


def windows(theta: int) -> Program:
    """One layer; what comes last is for its second neuron alone."""
    network = fs.NetworkBuilder(2, steps=2, readout="spike_count", endless=True, name="windows")
    network.layer([[2, 0], [0, 2]], theta=[2, theta], reset="zero", leak=0.5, v_min=0)
    return fs.compile(network.build(), lanes=1).program


def test_of_an_inference_without_end_the_window_that_differs_counts(monkeypatch):
    inputs = np.repeat([[1, 0], [1, 0], [0, 1]], 2, axis=0)[None]
    good, _, inputs, outcome = failed(Kind(windows, 2, 7, inputs, [1]), monkeypatch)
    found = divergence_facts(good, outcome, inputs, "", waves=None)
    assert found is not None and (found["input"], found["layer"], found["neuron"]) == (0, "dense0", 1)
