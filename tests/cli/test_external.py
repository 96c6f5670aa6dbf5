# SPDX-License-Identifier: MIT
"""Weights in an external memory: what compile writes and says, which layers go there, and who refuses them."""

import json
import shutil
from dataclasses import replace

import firstspike as fs
import numpy as np
import pytest
from firstspike.axi_export import write_axi
from firstspike.build_folder import read_build
from firstspike.verb_demo import shipped
from firstspike.verb_simulate import distribution
from firstspike_arch.backend import MemoryTiming
from firstspike_arch.memory_image import MemoryImage
from firstspike_arch.output_folder import digest_of
from firstspike_boards.devices import DEVICES, Device
from firstspike_run import Export, ExportError
from firstspike_train.data import load

DIGITS = shipped("zoo", "digits_ettfs.safetensors")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A build folder: digits, with the weights of layer 0 outside."""
    path = tmp_path_factory.mktemp("external") / "b"
    fs.export(fs.compile(fs.load(DIGITS), lanes=10, external=[0], beat_bits=32), path)
    return path


def test_compile_writes_the_image_and_says_where_each_layer_lies(folder):
    manifest, (program, _) = json.loads((folder / "manifest.json").read_text()), read_build(folder)
    external, (layer,) = manifest["external"], manifest["external"]["layers"]
    image = MemoryImage.load(folder / external["file"], digest=manifest["digest"])
    assert external["file"] == "firstspike_external.fsmem" and layer["segment"] == image.segments[0].name
    assert (folder / external["file"]).read_bytes()[external["contents_at"]:] == image.contents
    assert external["octets"] == len(image.contents) == layer["slices"] * layer["slice_octets"]
    assert (layer["layer"], layer["slice"], layer["slice_beats"] * 4) == (0, "input address", layer["slice_octets"])
    ports = {port["name"]: (port["direction"], port["width"]) for port in manifest["ports"]}
    assert ports["requests_payload"] == ("output", 48) and ports["responses_payload"] == ("input", 34)
    assert "requests_ready" in (folder / "firstspike_inst.v").read_text()
    assert "octets of weights in an external memory" in (folder / "report.txt").read_text()
    assert image == program.external_image()


@pytest.mark.parametrize("change, said", [
    (lambda image: image.to_bytes()[:-1], "it is truncated"),
    (lambda image: replace(image, digest="a" * 64).to_bytes(), "not of aaaaaaaaaaaaaaaa…: it belongs to another build"),
    (lambda image: replace(image, contents=bytes(len(image.contents))).to_bytes(),
     "must be the external weights of the program in this folder; compile again"),
])
def test_an_image_that_is_not_of_this_build_is_refused(change, said, folder, tmp_path, command):
    copy = tmp_path / "b"
    shutil.copytree(folder, copy)
    path, manifest = copy / "firstspike_external.fsmem", copy / "manifest.json"
    before, image = digest_of(path.read_bytes()), read_build(folder)[0].external_image()
    path.write_bytes(change(image))
    status, _, error = command("verify", copy, "--data", "digits", "--limit", "1")
    assert status == 1 and f"{path}: must be the file that was compiled" in error
    manifest.write_text(manifest.read_text().replace(before, digest_of(path.read_bytes())))
    status, _, error = command("verify", copy, "--data", "digits", "--limit", "1")
    assert status == 1 and f"{path}: " in error and said in error


@pytest.fixture(scope="module")
def peripheral(folder, tmp_path_factory):
    """The same on AXI."""
    path = tmp_path_factory.mktemp("external") / "axi"
    write_axi(read_build(folder)[0], path)
    return path


def test_an_export_has_what_the_memory_must_hold(folder, peripheral):
    program, export = read_build(folder)[0], Export.read(peripheral)
    assert export.memory == program.external_image().contents
    assert export.facts["memory"]["octets"] == len(export.memory)
    assert (peripheral / "firstspike_external.fsmem").read_bytes() == program.external_image().to_bytes()


@pytest.mark.parametrize("change, said", [
    (None, "cannot be read: No such file"),
    (lambda image: b"\x93NUMPY", "must be an image of an external memory, but does not begin as one"),
    (lambda image: image.to_bytes()[:-1], "it is truncated, or of another build"),
    (lambda image: image.to_bytes()[:-1] + b"\xff", "as it says, not [0-9a-f]{8}: it was altered"),
    (lambda image: replace(image, digest="a" * 64).to_bytes(), "not of aaaaaaaaaaaaaaaa…: it belongs to another build"),
])
def test_the_driver_refuses_a_wrong_image(change, said, folder, peripheral, tmp_path):
    path = shutil.copytree(peripheral, tmp_path / "axi") / "firstspike_external.fsmem"
    path.unlink()
    if change:
        path.write_bytes(change(read_build(folder)[0].external_image()))
    with pytest.raises(ExportError, match=f"^{path}: .*{said}"):
        Export.read(path.parent)


@pytest.mark.slow  # test_external_weights.py has smaller networks
def test_hardware_equals_the_models(folder, command):
    status, said, _ = command("verify", folder, "--data", "digits", "--limit", "1", "--backend", "pysim",
                              "--waits", "1")
    assert status == 0, said


def test_an_estimate_counts_with_the_waits_of_the_memory(folder, command, tmp_path):
    program, images = read_build(folder)[0], load("digits", "test")[0][:5]
    ideal, slow = (fs.estimate(program, images, memory=MemoryTiming(
        latency=np.array([latency]), gaps=np.array([gap]), stalls=np.array([0]))) for latency, gap in ((32, 0), (7, 3)))
    assert ideal.taken.tolist() == fs.estimate(program, images).taken.tolist()
    assert slow.intervals.mean() > 1.5 * ideal.intervals.mean() and slow.classes.tolist() == ideal.classes.tolist()

    def said_of(trace) -> str:
        return f"interval, cycles: {distribution(trace.intervals)}"

    estimate = ("estimate", folder, "--data", "digits", "--limit", "5")
    assert said_of(ideal) in command(*estimate)[1]
    assert said_of(slow) in command(
        *estimate, "--memory-latency", "7", "--memory-gap", "3")[1]
    inside = tmp_path / "inside"
    fs.export(fs.compile(fs.load(DIGITS), lanes=10), inside)
    status, _, error = command("estimate", inside, "--data", "digits", "--limit", "1", "--memory-gap", "3")
    assert status == 1 and "must be given for a build with external weights, and this one has none" in error


def test_auto_moves_the_largest_until_the_rest_fits(monkeypatch):
    network, images = fs.load(DIGITS), load("digits", "validation")[0][:4]
    shapes = DEVICES["artix-35t"].shapes
    found = {}
    for blocks in (1, 2, 9):
        monkeypatch.setitem(DEVICES, "tiny", Device(name="tiny", blocks=blocks, shapes=shapes, luts=20_000))
        found[blocks] = fs.map_to_device(network, images, device="tiny", lane_budget=12, external="auto")
    moved = {blocks: [core.index for core in one.compilation.program.external] for blocks, one in found.items()}
    assert moved == {1: [0, 1], 2: [0], 9: []}
    assert all(one.blocks <= blocks for blocks, one in found.items())
    assert found[1].octets > found[2].octets > found[9].octets == 0


@pytest.mark.parametrize("arguments, said", [
    (["compile", DIGITS, "--external", "auto", "-o", "b"], "--external auto must be given with --device"),
    (["compile", DIGITS, "--lanes", "4", "--external", "7", "-o", "b"], "external must name layers 0…1, not 7"),
    (["compile", DIGITS, "--lanes", "4", "--external", "0", "--beat-bits", "8", "-o", "b"],
     "beat_bits must be 32, 64 or 128, not 8"),
    (["compile", DIGITS, "--lanes", "4", "--external", "0", "--read-back", "-o", "b"], "read_back must be off"),
    (["compile", DIGITS, "--lanes", "4", "--external", "x", "-o", "b"], "--external must be a number or a list"),
    (["compile", DIGITS, "--lanes", "10", "--memory-bytes", "9000", "-o", "b"],
     "--memory-bytes must be given with --external"),
    (["compile", DIGITS, "--lanes", "10", "--external", "0", "--memory-bytes", "1000", "-o", "b"],
     "weights in the external memory must end within its 1,000 octets (--memory-bytes), but need"),
    (["build", "FOLDER", "--board", "icebreaker", "-o", "b"],
     "icebreaker must have a memory for the weights of dense0, which were compiled for one, but has none that is "
     "supported; ulx3s has"),
    (["build", "FOLDER", "--board", "ulx3s", "--clock-mhz", "85", "-o", "b"],
     "clock must be ≤ 50 MHz with weights in the SDRAM of ulx3s, whose data comes back half a period later, not 85"),
])
def test_what_is_not_possible_is_refused_in_a_sentence(arguments, said, folder, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, _, error = command(*(folder if one == "FOLDER" else one for one in arguments))
    assert status != 0 and said in " ".join(error.split())
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_run_loads_the_weights_into_the_memory_of_a_simulated_board(folder, command):
    for port in ("simulated", "simulated-spi"):
        status, said, error = command("run", folder, "--port", port, "--data", "digits", "--limit", "10")
        assert status == 0 and "equal the golden model's" in said, (said, error)


def test_values_do_not_depend_on_where_weights_lie(folder):
    program, _ = read_build(folder)
    images = load("digits", "validation")[0][:20]
    inside = fs.compile(fs.load(DIGITS), lanes=10).program
    assert np.array_equal(fs.infer(program, images).scores, fs.infer(inside, images).scores)
