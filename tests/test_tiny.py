# SPDX-License-Identifier: MIT
"""The whole project on one page: trained, compiled, predicted, equal in hardware, written; a wrong input refused."""

import re

import firstspike as fs
import numpy as np
import pytest
import torch
from firstspike_arch.program import Program
from firstspike_sim.backends.pysim import PysimBackend
from firstspike_sim.compare import compare
from firstspike_sim.models.prediction import predict_inputs
from torch import nn

STEPS, PIXELS, HIDDEN, CLASSES = 4, 9, 8, 3


def three_bars(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy images of 3 × 3 pixels in which one column is bright, uint8[B, 9], and which it is, int64[B]."""
    random = np.random.default_rng(0)
    labels = random.integers(0, CLASSES, count)
    bright = np.arange(CLASSES) == labels[:, None, None]
    images = np.where(bright, 200, 20) + random.integers(0, 56, (count, 3, 3))
    return images.reshape(count, PIXELS).astype(np.uint8), labels


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    return three_bars(60)


@pytest.fixture(scope="module")
def model(data) -> nn.Sequential:
    """Two layers of neurons that fire once, trained so that the first output to fire is the class."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(PIXELS, HIDDEN), fs.IF(single_spike=True),
                          nn.Linear(HIDDEN, CLASSES), fs.IF(single_spike=True))
    images, labels = data
    spikes = torch.tensor(fs.encode_latency(images, STEPS, cutoff=1)).transpose(0, 1).float()  # [T, B, N]
    optimizer, earliness = torch.optim.Adam(model.parameters(), lr=0.02), torch.arange(STEPS, 0, -1.0)
    for _ in range(40):
        fired, membranes = model[-1].run(model[:-1](spikes))
        loss = sum(nn.functional.cross_entropy(score, torch.tensor(labels))
                   for score in (torch.tensordot(earliness, fired, dims=1), membranes[-1]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


@pytest.fixture(scope="module")
def program(model) -> Program:
    network = fs.from_torch(model, in_shape=(PIXELS,), steps=STEPS, readout="first_spike", input_kind="latency",
                            name="tiny")
    return fs.compile(network, lanes=[3, 2], early_exit=True).program


def test_the_integers_have_learnt_what_the_real_numbers_have(program, data):
    images, labels = data
    assert (fs.infer(program, images).classes == labels).mean() > 0.9


def test_the_hardware_does_what_was_predicted_in_the_cycle_that_was_predicted(program, data):
    prediction = predict_inputs(program, data[0][:12])
    simulator = PysimBackend()
    simulator.load(program)
    checks = compare(program.network, prediction.stimulus, prediction.trace, simulator.run(prediction.stimulus))
    assert [check.first for check in checks if check.different] == []
    assert {check.name: check.compared for check in checks}["classes"] == 12
    assert all(0.02 < spikes.mean() < 0.7 for spikes in prediction.golden.spikes[1:])


def test_verilog_and_memory_images_are_written(program, tmp_path):
    fs.export(fs.compile(program.network, lanes=[3, 2], early_exit=True), tmp_path / "build")
    text = (tmp_path / "build" / "firstspike.v").read_text()
    named = set(re.findall(r'\$readmemh\("(\w+)\.hex"', text))
    assert "module firstspike(" in text and named == set(program.images()) == {"core0_weights", "core1_weights"}
    for name, words in program.images().items():
        lines = (tmp_path / "build" / f"{name}.hex").read_text().split()
        assert [int(line, 16) for line in lines] == words
    assert fs.open_build(tmp_path / "build").digest() == program.digest()


def test_an_image_of_another_size_is_refused(program):
    with pytest.raises(ValueError, match=r"^inputs must be uint8 images of shape \(batch, 9\), not uint8 of shape "
                                         r"\(1, 8\)$"):
        fs.infer(program, np.zeros((1, 8), np.uint8))
