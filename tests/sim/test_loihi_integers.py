# SPDX-License-Identifier: MIT
"""CUBA networks of lava-dl in hardware: every spike is that of Loihi's integers, restated."""

from pathlib import Path

import firstspike as fs
import numpy as np
import pytest
from firstspike_sim.testing.lava_arithmetic import lava_run, write_chain


@pytest.mark.parametrize(("sizes", "threshold", "images", "lanes", "backend"), [
    ([12, 9, 7, 4], 300, 3, [9, 2, 4], "pysim"),
    pytest.param([784, 128, 64, 10], 2000, 100, [64, 32, 10], "verilator", marks=pytest.mark.slow),
])
def test_every_spike_is_that_of_loihi(sizes, threshold, images, lanes, backend, tmp_path):
    steps = 16
    write_chain(tmp_path / "cuba.net", sizes, threshold=threshold)
    random = np.random.default_rng(1)
    rates = random.random((images, 1, sizes[0])) ** 4
    inputs = (random.random((images, steps, sizes[0])) < rates).astype(np.uint8)
    program = fs.compile(fs.load_lava(tmp_path / "cuba.net", steps=steps, readout="spike_count"), lanes=lanes).program
    golden = fs.infer(program, inputs)
    for sample, spikes in enumerate(inputs):
        for index, (wanted, _) in enumerate(lava_run(tmp_path / "cuba.net", spikes)):
            assert np.array_equal(golden.spikes[index + 1][sample][: steps - index], wanted[index:]), (sample, index)
    for layer in golden.spikes[1:]:
        assert 0.03 < layer.mean() < 0.6
    outcome = fs.verify(program, inputs, backend=backend)
    assert outcome.equal, outcome.first


FILES = Path(__file__).parents[1] / "compiler" / "lava_files"


@pytest.mark.parametrize("name", [
    "channels", "delays", "recurrent",
    *(pytest.param(name, marks=pytest.mark.slow) for name in ("affine", "biases", "maps"))])
def test_what_lava_dl_exports_runs_in_hardware(name):
    inputs = np.load(FILES / f"{name}.npz")["inputs"][:1, :14]
    network = fs.load_lava(FILES / f"{name}.net", steps=inputs.shape[1],
                           readout="potential" if name == "affine" else "spike_count")
    lanes = [max(1, layer.channels // (3 * layer.groups)) for layer in network.layers]
    outcome = fs.verify(fs.compile(network, lanes=lanes).program, inputs, backend="pysim")
    assert outcome.equal, outcome.first
