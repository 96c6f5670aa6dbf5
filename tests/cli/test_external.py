# SPDX-License-Identifier: MIT
"""Weights in an external memory: what compile writes and says, which layers go there, and who refuses them."""

import json

import firstspike as fs
import numpy as np
import pytest
from firstspike.build_folder import BuildError, read_build
from firstspike.verb_demo import shipped
from firstspike_boards.devices import DEVICES, Device
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
    image, (layer,) = (folder / "firstspike_external.bin").read_bytes(), manifest["external"]["layers"]
    assert manifest["external"]["octets"] == len(image) == layer["slices"] * layer["slice_octets"]
    assert (layer["layer"], layer["slice"], layer["slice_beats"] * 4) == (0, "input address", layer["slice_octets"])
    ports = {port["name"]: (port["direction"], port["width"]) for port in manifest["ports"]}
    assert ports["requests_payload"] == ("output", 48) and ports["responses_payload"] == ("input", 34)
    assert "requests_ready" in (folder / "firstspike_inst.v").read_text()
    assert "octets of weights in an external memory" in (folder / "report.txt").read_text()
    assert program.external_octets == len(image)


def test_an_altered_image_is_noticed(folder, tmp_path):
    copy = tmp_path / "b"
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    image = bytearray((copy / "firstspike_external.bin").read_bytes())
    image[5] ^= 1
    (copy / "firstspike_external.bin").write_bytes(image)
    with pytest.raises(BuildError, match=r"firstspike_external\.bin: must be the file that was compiled"):
        read_build(copy)


def test_hardware_equals_the_models(folder, command):
    status, said, _ = command("verify", folder, "--data", "digits", "--limit", "1", "--backend", "pysim",
                              "--waits", "1")
    assert status == 0, said


def test_auto_moves_the_largest_until_the_rest_fits(monkeypatch):
    network, images = fs.load(DIGITS), load("digits", "validation")[0][:4]
    shapes = DEVICES["artix-35t"].shapes
    found = {}
    for blocks in (1, 9):
        monkeypatch.setitem(DEVICES, "tiny", Device(name="tiny", blocks=blocks, shapes=shapes, luts=20_000))
        found[blocks] = fs.map_to_device(network, images, device="tiny", lane_budget=12, external="auto")
    assert [core.index for core in found[1].compilation.program.external] == [0]
    assert found[1].blocks <= 1 and found[1].octets > 0
    assert not found[9].compilation.program.external and found[9].octets == 0


@pytest.mark.parametrize("arguments, said", [
    (["compile", DIGITS, "--external", "auto", "-o", "b"], "--external auto must be given with --device"),
    (["compile", DIGITS, "--lanes", "4", "--external", "7", "-o", "b"], "external must name layers 0…1, not 7"),
    (["compile", DIGITS, "--lanes", "4", "--external", "0", "--beat-bits", "8", "-o", "b"],
     "beat_bits must be 32, 64 or 128, not 8"),
    (["compile", DIGITS, "--lanes", "4", "--external", "0", "--read-back", "-o", "b"], "read_back must be off"),
    (["compile", DIGITS, "--lanes", "4", "--external", "x", "-o", "b"], "--external must be a number or a list"),
    (["export-axi", "FOLDER", "-o", "ip"], "external must be off in the AXI peripheral"),
    (["run", "FOLDER", "--port", "simulated", "--data", "digits"], "external must be off behind a host link"),
])
def test_what_is_not_possible_is_refused_in_a_sentence(arguments, said, folder, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, _, error = command(*(folder if one == "FOLDER" else one for one in arguments))
    assert status != 0 and said in " ".join(error.split())
    assert not list(tmp_path.iterdir())


def test_values_do_not_depend_on_where_weights_lie(folder):
    program, _ = read_build(folder)
    images = load("digits", "validation")[0][:20]
    inside = fs.compile(fs.load(DIGITS), lanes=10).program
    assert np.array_equal(fs.infer(program, images).scores, fs.infer(inside, images).scores)
