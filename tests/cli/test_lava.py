# SPDX-License-Identifier: MIT
"""Networks of lava-dl by the commands, from the file to the simulated hardware."""

from pathlib import Path

import firstspike as fs
import numpy as np
import pytest
from firstspike_sim.testing.lava_arithmetic import cuba, dense, lava_run, write_lava


@pytest.fixture
def path(tmp_path) -> Path:
    random = np.random.default_rng(0)
    write_lava(tmp_path / "small.net", [
        dense(2 * random.integers(-20, 30, (12, 20)), **cuba(current=4096, voltage=300, threshold=90)),
        dense(2 * random.integers(-20, 30, (4, 12)), **cuba(current=4096, voltage=1024, threshold=60))])
    return tmp_path / "small.net"


def test_a_file_becomes_hardware(command, path, tmp_path):
    inputs = (np.random.default_rng(1).random((6, 8, 20)) < 0.3).astype(np.uint8)
    np.save(tmp_path / "inputs.npy", inputs)
    _, out, _ = command("inspect", path)
    assert "leak 0.9268, rounds toward 0" in out and "× 2^7" in out and "everything can be mapped" in out
    _, out, said = command("compile", path, "--steps", 8, "--readout", "spike_count", "-o", tmp_path / "build")
    assert "dense0 toward 0, dense1 toward 0" in out and not said
    _, out, _ = command("verify", tmp_path / "build", "--data", tmp_path / "inputs.npy", "--backend", "pysim")
    assert "simulated" in out
    fired = fs.infer(fs.open_build(tmp_path / "build"), inputs).spikes
    for sample, spikes in enumerate(inputs):
        for index, (found, _) in enumerate(lava_run(path, spikes)):
            assert np.array_equal(fired[index + 1][sample][: 8 - index], found[index:])
    network = fs.load(path, steps=8, readout="spike_count")
    assert np.array_equal(fs.infer(fs.compile(network, lanes=1).program, inputs).spikes[2], fired[2])


@pytest.mark.parametrize(("arguments", "sentence"), [
    ([], "--steps, --readout must be given: a file of lava-dl does not define it"),
    (["--steps", 8, "--readout", "spike_count", "--strict"],
     "--strict must not be given: the neurons of lava-dl are what they are"),
    (["--steps", 8, "--readout", "spike_count", "--input-shape", "2x2"],
     "--input-shape must be whole numbers such as 2,34,34, not '2x2'"),
    (["--steps", 8, "--readout", "spike_count", "--input-shape", "4,5,2"],
     "layer 0 (dense): weight must have the 40 inputs that come in, not 20"),
])
def test_options_that_a_file_does_not_take_are_refused(command, path, tmp_path, arguments, sentence):
    status, _, said = command("compile", path, *arguments, "-o", tmp_path / "build")
    assert status == 1 and sentence in said


def test_other_files_take_no_shape_of_their_input(command, tmp_path):
    (tmp_path / "x.nir").write_bytes(b"")
    status, _, said = command("compile", tmp_path / "x.nir", "--input-shape", "3", "-o", tmp_path / "build")
    assert status == 1 and "--input-shape must be given only for a file of lava-dl" in said
