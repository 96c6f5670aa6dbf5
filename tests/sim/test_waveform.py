# SPDX-License-Identifier: MIT
"""Waveforms: what a core captured is read back out of them, and a view names signals that are there."""

import numpy as np
import pytest
from firstspike_compiler.compile import compile_network
from firstspike_sim.backends.verilator import VerilatorBackend
from firstspike_sim.models.golden import GoldenModel
from firstspike_sim.models.prediction import predict_inputs
from firstspike_sim.testing.random_network import random_inputs, random_network
from firstspike_sim.waveform import Captured, Waveform, captured_membranes, view_file
from vcd import VCDWriter


@pytest.fixture(scope="module")
def program():
    """Two dense layers, the first in several rows."""
    for seed in range(100):
        network = random_network(np.random.default_rng(seed), neurons_max=12)
        if len(network.layers) >= 2 and len(network.layers[0].out_shape) == 1 and network.layers[0].neurons >= 5:
            return compile_network(network, lanes=2).program
    raise AssertionError("no random network has two dense layers")


def test_captures_are_found_by_row_step_and_inference(program, tmp_path):
    """A waveform written by hand, in which the third row of the first core is captured in cycles 2, 5 and 9."""
    core = program.cores[0]
    bits, lanes = core.plan.membrane_bits, core.plan.lanes
    with (tmp_path / "w.vcd").open("w") as file, VCDWriter(file, timescale="1 ns") as writer:
        names = {"capture__valid": 1, "capture__row": 4, "capture__last": 1, "capture__final": 1}
        signals = {name: writer.register_var("TOP.firstspike.core0", name, "wire", size=size, init=0)
                   for name, size in names.items()}
        value = writer.register_var("TOP.firstspike.core0.membranes", "value", "wire", size=bits * lanes, init=0)
        for cycle, last, final, stored in ((2, 0, 0, -2), (4, 1, 0, 1), (5, 1, 1, 1), (9, 0, 0, -1)):
            at = 2 * (2 + cycle) - 1  # behind the edge before
            for name, one in (("capture__valid", 1), ("capture__row", 0 if cycle == 4 else 2), ("capture__last", last),
                              ("capture__final", final)):
                writer.change(signals[name], at, one)
            writer.change(value, at, (stored & (1 << bits) - 1) << bits)
            writer.change(signals["capture__valid"], at + 2, 0) if cycle != 4 else None
    wave = Waveform(tmp_path / "w.vcd", "firstspike")
    neuron = int(core.plan.neurons_of_rows()[2, 1])
    assert captured_membranes(wave, core, neuron, 12) == [
        Captured(0, 0, 2, -2), Captured(0, 1, 5, 1), Captured(1, 0, 9, -1)]
    view = view_file(wave, program, tmp_path / "w.gtkw", cycle=5)
    assert f"-core 0: {core.layer.name}" in view and "TOP.firstspike.core0.capture__row[3:0]" in view
    assert "core1.busy" not in view  # it is not in the waveform
    marker = next(line for line in view.splitlines() if line.startswith("*"))
    assert marker.split()[1] == str(2 * (2 + 5))


@pytest.mark.slow
def test_hardware_captures_the_membranes_of_the_golden_model(program, tmp_path):
    network = program.network
    inputs = random_inputs(np.random.default_rng(1), network, 3)
    backend = VerilatorBackend(waves=tmp_path / "w.fst", optimise=False)
    backend.load(program)
    prediction = predict_inputs(program, inputs)
    trace = backend.run(prediction.stimulus)
    wave = Waveform(tmp_path / "w.fst", "firstspike")
    golden, compared = GoldenModel(network).run(inputs, membranes=True), 0
    for index, core in enumerate(program.cores):
        neuron = core.layer.neuron
        offsets = core.layer.spread(neuron.first_theta)
        falls = np.zeros(64, int) if neuron.theta_fall is None else np.asarray(neuron.theta_fall)
        for number in range(core.layer.neurons):
            for one in captured_membranes(wave, core, number, int(trace.taken[-1]) + 1):
                before = golden.spikes[index + 1][one.inference, : one.step, number]
                if not (neuron.single_spike and before.any()):
                    wanted = golden.membranes[index][one.inference, one.step, number] - offsets[number]
                    assert one.value == wanted + falls[one.step]
                    compared += 1
    assert compared > 40
