# SPDX-License-Identifier: MIT
"""firstspike run: an image file goes in, a class comes out, over the pins of a simulated board."""

import re
from dataclasses import replace
from unittest.mock import patch

import firstspike as fs
import numpy as np
import pytest
from firstspike.options import load_for, load_inputs
from firstspike_arch.backend import DecidedBy
from firstspike_boards.driver import WireBackend
from firstspike_sim.testing.random_network import random_network
from firstspike_train.data import load
from PIL import Image


def test_an_image_file_gets_its_class(readable_build, tmp_path, run):
    images, _ = load("digits", "test")
    wanted = fs.infer(fs.open_build(readable_build), images[3:4])
    Image.fromarray(images[3].reshape(8, 8)).save(tmp_path / "digit.png")
    said = run("run", readable_build, "--port", "simulated", "--data", tmp_path / "digit.png")
    scores = ", ".join(map(str, wanted.scores[0]))
    assert re.search(rf"^class {wanted.classes[0]} at step {wanted.steps[0]}, \d+ cycles after .*; scores {scores}$",
                     said, re.MULTILINE)
    assert "classes, steps and scores equal the golden model's" in said
    several = run("run", readable_build, "--port", "simulated", "--data", "digits", "--limit", 30, "--verify-memories")
    assert "650 words of weights and biases equal the images" in several
    assert "accuracy on the device: " in several and "30 inferences, 0 requests sent again" in several


def test_a_board_may_be_behind_spi(readable_build, run):
    said = run("run", readable_build, "--port", "simulated-spi", "--data", "digits", "--limit", 10)
    assert "10 inferences, 0 requests sent again" in said
    assert "classes, steps and scores equal the golden model's" in said
    with pytest.raises(ValueError, match=r"^port must be spidev:BUS.DEVICE, such as spidev:0.0, not 'spidev0.0'$"):
        run("run", readable_build, "--port", "spidev0.0", "--data", "digits", "--index", 0)


@pytest.fixture(scope="module")
def endless_build(tmp_path_factory):
    """A network with a result for every three steps, and three recordings of eight steps with labels."""
    random, folder = np.random.default_rng(3), tmp_path_factory.mktemp("endless")
    net = fs.NetworkBuilder(6, steps=3, readout="spike_count", endless=True)
    net.layer(random.integers(-6, 9, (4, 6)), theta=20, leak=0.9375)
    fs.export(fs.compile(net.build()), folder / "build")
    np.savez(folder / "x.npz", inputs=random.integers(0, 2, (3, 8, 6)), labels=[1, 0, 2])
    return folder / "build", folder / "x.npz"


def test_a_network_without_end_has_a_result_for_each_window(endless_build, run):
    build, data = endless_build
    program, (inputs, labels) = fs.open_build(build), load_inputs(str(data), "test")
    wanted = fs.infer(program, inputs)
    said = run("run", build, "--port", "simulated", "--data", data, "--index", 2)
    for window, result in enumerate(range(6, 9)):
        scores = ", ".join(map(str, wanted.scores[result]))
        assert re.search(rf"^window {window}: class {wanted.classes[result]} at step {wanted.steps[result]}, \d+ "
                         rf"cycles after the first word, .*; scores {scores}$", said, re.MULTILINE)
    assert "label 2\n" in said and "classes, steps and scores equal the golden model's" in said
    several = run("run", build, "--port", "simulated", "--data", data)
    assert f"accuracy on the device: {np.mean(wanted.classes == np.repeat(labels, 3)):.2%}" in several
    seen = run("monitor", build, "--port", "simulated", "--data", data, "--count", 3, "--interval", 0)
    assert f"input 2, window 2: class {wanted.classes[-1]} (label 2) at step {wanted.steps[-1]}, " in seen
    assert "buffer of 1024 bytes, endless\n" in seen and "the last 9 decisions\n" in seen
    assert f"{np.sum(wanted.classes == np.repeat(labels, 3))} of 9 right" in seen


def test_what_is_wrong_is_said_in_a_sentence(readable_build, tmp_path, run):
    with pytest.raises(ValueError, match=r"^--index must be below 360, the number of inputs, not 360$"):
        run("run", readable_build, "--port", "simulated", "--data", "digits", "--index", 360)
    with pytest.raises(OSError, match="/dev/there_is_none"):
        run("run", readable_build, "--port", "/dev/there_is_none", "--data", "digits", "--index", 0)


def test_image_files_must_have_the_size_of_the_input(readable_build, tmp_path):
    digits = fs.open_build(readable_build).network
    Image.new("L", (9, 8)).save(tmp_path / "wide.png")
    with pytest.raises(ValueError, match=r"wide\.png: must have 64 pixels, not 9 × 8$"):
        load_for(digits, str(tmp_path / "wide.png"), "test")
    (tmp_path / "none.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"none\.png: must be an image: "):
        load_for(digits, str(tmp_path / "none.png"), "test")
    with pytest.raises(ValueError, match=r"gone\.png: must be an image: "):
        load_for(digits, str(tmp_path / "gone.png"), "test")
    maps = next(network for network in (random_network(np.random.default_rng(seed), maps=True) for seed in range(99))
                if len(network.input_shape) == 3 and network.input_shape[0] == 3)
    _, height, width = maps.input_shape
    colours = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(colours).save(tmp_path / "colours.png")
    assert np.array_equal(load_for(maps, str(tmp_path / "colours.png"), "test")[0][0],
                          np.moveaxis(colours, -1, 0).ravel())


def test_labels_must_be_integers(tmp_path):
    np.savez(tmp_path / "x.npz", inputs=np.zeros((2, 64), np.uint8), labels=np.array(["3", "5"]))
    with pytest.raises(ValueError, match=r"x\.npz: labels must be integers, not of the type <U1$"):
        load_inputs(str(tmp_path / "x.npz"), "test")


def test_a_board_that_decides_otherwise_is_named(readable_build, run):
    answer = WireBackend.run

    def tied(backend, stimulus):
        trace = answer(backend, stimulus)
        return replace(trace, decided_by=np.where(np.arange(4) == 2, DecidedBy.SILENT, trace.decided_by))

    with (patch.object(WireBackend, "run", autospec=True, side_effect=tied),
          pytest.raises(ValueError, match=r"^device and golden model must agree, but at input 2 the device says "
                                          r"class \d at step \d by silent with scores \[.*, the model class ")):
        run("run", readable_build, "--port", "simulated", "--data", "digits", "--limit", 4)


def test_a_window_that_the_board_decides_otherwise_is_named(endless_build, run):
    answer, (build, data) = WireBackend.run, endless_build

    def moved(backend, stimulus):
        trace = answer(backend, stimulus)
        return replace(trace, steps=trace.steps + (np.arange(9) == 4))

    with (patch.object(WireBackend, "run", autospec=True, side_effect=moved),
          pytest.raises(ValueError, match=r"^device and golden model must agree, but at input 1, window 1, the device "
                                          r"says class ")):
        run("run", build, "--port", "simulated", "--data", data)
