# SPDX-License-Identifier: MIT
"""Builds made again from what they record: the same bytes, or a sentence that names the first that differs."""

import json
import os
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import firstspike as fs
import numpy as np
import pytest
from firstspike import reproducing
from firstspike.reproducing import first_difference, reproduce
from firstspike.verb_demo import shipped
from firstspike_arch.float_network import FloatLayer, FloatNetwork
from firstspike_arch.layer_options import LayerOptions
from firstspike_arch.neuron import FloatNeuron
from firstspike_arch.output_folder import digest_of
from firstspike_compiler.compile import remap_as
from firstspike_compiler.options import Options
from firstspike_compiler.plain_options import from_plain, to_plain


def small() -> FloatNetwork:
    """Weights that are no whole steps, so that scales are chosen."""
    rng = np.random.default_rng(0)
    layers = tuple(FloatLayer(weight=rng.normal(size=shape), neuron=FloatNeuron(theta=np.full(shape[0], 1.5), leak=0.9))
                   for shape in ((6, 9), (4, 6)))
    return FloatNetwork(name="small", steps=4, layers=layers, readout="spike_count", input_kind="events")


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """Mapped as a search would, with powers as samples give them."""
    powers = [[np.linspace(0.1, 0.7, 9)[None]], [np.full((1, 6), 1 / 3)]]
    plain = fs.compile(small(), lanes=1, powers=powers, in_max=3, weight_bits=[4, 5])
    chosen = [replace(plain.program.config.layers[0], lanes=3), replace(plain.program.config.layers[1], lanes=2)]
    folder = tmp_path_factory.mktemp("reproducing") / "build"
    fs.export(remap_as(plain, chosen), folder, name="part")
    return folder


def altered(built: Path, folder: Path, **changes) -> Path:
    """A copy of the build whose manifest says something else."""
    folder.mkdir()
    for path in built.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    manifest = json.loads((built / "manifest.json").read_text("utf-8")) | changes
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return folder


def test_a_build_comes_out_again(built, command):
    done = command("doctor", "--reproduce", built)
    assert done.status == 0 and "all 13 files come out as they were built, byte for byte" in done.out, done.err
    assert "made with" not in done.out


def test_other_versions_are_told_and_are_no_difference(built, command, tmp_path):
    with_others = json.loads((built / "manifest.json").read_text("utf-8"))["made_with"] | {"numpy": "1.0", "old": "2"}
    done = command("doctor", "--reproduce", altered(built, tmp_path / "b", made_with=with_others))
    assert done.status == 0 and "made with numpy 1.0 (now " in done.out and "old 2 (now none)" in done.out


def test_the_first_line_that_differs_is_named(built, command, tmp_path):
    folder = altered(built, tmp_path / "b", clock="clock")
    image = folder / "part_core1_weights.hex"
    lines = image.read_text().splitlines(keepends=True)
    image.write_text("".join([*lines[:2], "3" + lines[2], *lines[3:]]))
    done = command("doctor", "--reproduce", folder)
    assert done.status == 1 and len(done.err.splitlines()) == 1
    assert f"must come out as it was built, but {image.name} differs in line 3: '3{lines[2].strip()}' was" in done.err
    assert "2 of 13 files differ; made with the versions that are installed" in done.err


@pytest.mark.parametrize(("was", "now", "sentence"), [
    (b"a\nb\n", b"a\nb\n", ""),
    (b"a\nb\n", b"a\nc\n", "differs in line 2: 'b' was built, 'c' came out"),
    (b"a\n", b"a\nb\n", "differs in line 2: '' was built, 'b' came out"),
    (b"a", b"a\nb", "differs in line 2: its end was built, 'b' came out"),
    (b"ab\0c", b"ab\0d", "differs in octet 3: 63 was built, 64 came out"),
    (b"ab\xff", b"ab", "differs in octet 2: ff was built, its end came out"),
    (None, b"", "is missing"),
    (b"", None, "was built, and does not come out now"),
])
def test_first_difference(was, now, sentence):
    assert first_difference(was, now) == sentence


def test_what_cannot_be_made_again_is_one_sentence(built, command, tmp_path):
    made_from = json.loads((built / "manifest.json").read_text("utf-8"))["made_from"]
    wrong = {
        "older": ({"made_from": None}, "say what the build was made from (made_from); it is"),
        "path": ({"made_from": made_from | {"network": "../x"}}, "say what the build was made from"),
        "option": ({"made_from": made_from | {"options": {"lames": 3}}}, "made_from: options must be a table of lanes"),
        "value": ({"made_from": made_from | {"options": {"lanes": "3"}}}, "made_from: lanes"),
        "powers": ({"made_from": made_from | {"options": {"powers": [[["x"]]]}}}, "powers must be arrays of numbers"),
        "layers": ({"made_from": made_from | {"options": {"layers": []}}}, "layers must be options of each of the 2"),
    }
    for name, (changes, sentence) in wrong.items():
        done = command("doctor", "--reproduce", altered(built, tmp_path / name, **changes))
        assert done.status == 1 and sentence in done.err and len(done.err.splitlines()) == 1, done.err
    folder = altered(built, tmp_path / "b")
    (folder / "network.safetensors").write_bytes(b"x")
    assert "network.safetensors: must be the file that was compiled" in command("doctor", "--reproduce", folder).err
    assert "must be a build folder" in command("doctor", "--reproduce", tmp_path / "nothing").err


def test_integers_are_in_the_program(tmp_path):
    net = fs.NetworkBuilder(5, steps=3, readout="spike_count")
    net.layer(np.arange(15).reshape(3, 5) - 7, theta=6)
    manifest = fs.export(fs.compile(net.build(), lanes=2), tmp_path / "b")
    assert manifest["made_from"]["network"] == "program.fsp" and "network.safetensors" not in manifest["files"]
    assert not reproduce(tmp_path / "b").different


@pytest.mark.parametrize("external", [(), (1,)])
def test_an_export_comes_out_again(external, command, tmp_path):
    network = fs.NetworkBuilder(9, steps=3, readout="spike_count")
    network.layer(np.arange(36).reshape(4, 9) % 7 - 3, theta=6, leak=0.5)
    network.layer(np.arange(12).reshape(3, 4) % 5 - 2, theta=3)
    fs.export(fs.compile(network.build(), lanes=2, external=external), tmp_path / "b", name="part")
    folder = tmp_path / "axi"
    assert command("export-axi", tmp_path / "b", "--name", "other", "-o", folder).status == 0
    made_with = json.loads((folder / "manifest.json").read_text("utf-8"))["made_with"]
    assert made_with["yosys"] and made_with["firstspike"] and (folder / "other.v").exists()
    done = command("doctor", "--reproduce", folder)
    assert done.status == 0 and "files come out as they were built, byte for byte" in done.out, done.err
    words = (folder / "port_words.bin").read_bytes()
    (folder / "port_words.bin").write_bytes(words[:-1] + bytes([words[-1] ^ 1]))
    done = command("doctor", "--reproduce", folder)
    assert done.status == 1 and f"but port_words.bin differs in octet {len(words) - 1}: " in done.err
    older = altered(folder, tmp_path / "older", files={})
    assert "must be the manifest of 'firstspike export-axi', with the program" in command(
        "doctor", "--reproduce", older).err
    (folder / "program.fsp").write_bytes(b"x")
    assert "program.fsp: must be the program that was exported" in command("doctor", "--reproduce", folder).err


def test_every_option_is_recorded_as_given():
    some = {"lanes": [1, 2], "events": [None, 3.5], "weight_bits": np.int64(3), "weight_scale": (0.5, None),
            "per_channel": True, "percentile": 99.0, "powers": [[np.full((2, 1, 1), 0.1)]], "port": "image",
            "kernel_parallel": [True, False], "banks": ((1, 2), (1, 1)), "rotates": [True, (False, True)],
            "merges": True, "single_port": range(1), "lut_ram": False, "in_max": np.uint8(7), "leak_rounding": "floor",
            "external": [1], "beat_bits": 32, "multiplies_leaks": [True, False],
            "layers": (LayerOptions(lanes=2, membrane_bits=9, banks=(1, 2)),)}
    again = Options(**from_plain(json.loads(json.dumps(to_plain(Options(**some))))))
    before, after = ({one.name: getattr(options, one.name) for one in fields(Options)} for options in (
        Options(**some), again))
    assert np.array_equal(before.pop("powers")[0][0], after.pop("powers")[0][0])
    before["single_port"] = [*before["single_port"]]
    as_lists = json.loads(json.dumps({name: value.item() if isinstance(value, np.generic) else value
                                      for name, value in before.items() if name != "layers"}))
    assert json.loads(json.dumps({name: value for name, value in after.items() if name != "layers"})) == as_lists
    assert tuple(after["layers"]) == before["layers"]
    assert to_plain(Options()) == {}


OTHER_MACHINE = {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONUTF8": "0",
                 "PYTHONCOERCECLOCALE": "0", "OPENBLAS_CORETYPE": "Prescott", "OMP_NUM_THREADS": "2",
                 "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4", "ATEN_CPU_CAPABILITY": "default"}
"""Another hash seed, time zone, locale without UTF-8, and a processor without wide vectors."""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), [
    ("digits_diet", ["--lanes", "8", "--scales", "channel", "--weight-bits", "4"]),
    ("digits_latency", ["--device", "artix-35t", "--lane-budget", "64", "--data", "digits"]),
    ("digits_multi_threshold", ["--weight-bits", "auto", "--accuracy-budget", "2", "--percentile", "99"]),
    ("mnist_vgg", ["--lane-budget", "64"]),
    ("glides_multi_threshold", ["--name", "ears"]),
])
def test_the_same_on_another_machine(name, options, command, tmp_path):
    """Also what a search on samples has chosen, which the build records, so that no sample is needed again."""
    checkpoint = shipped("zoo", f"{name}.safetensors")
    assert command("compile", checkpoint, *options, "-o", tmp_path / "here").status == 0
    folder = tmp_path / "an other" / "folder"
    folder.mkdir(parents=True)
    relative = Path(os.path.relpath(checkpoint, folder))
    call = [sys.executable, "-c", "from firstspike.main import run; run()"]
    environment = {key: value for key, value in os.environ.items() if key != "FIRSTSPIKE_DATA"} | OTHER_MACHINE
    subprocess.run([*call, "compile", relative, *options, "-o", "there"], cwd=folder, env=environment, check=True,
                   timeout=900)
    here, there = tmp_path / "here", folder / "there"
    assert {path.name for path in here.iterdir()} == {path.name for path in there.iterdir()}
    for path in here.iterdir():
        assert digest_of(path.read_bytes()) == digest_of((there / path.name).read_bytes()), path.name
    done = subprocess.run([*call, "doctor", "--reproduce", here], cwd=folder, env=environment, text=True,
                          encoding="utf-8", capture_output=True, timeout=900)
    assert done.returncode == 0 and "files come out as they were built" in done.stdout, done.stderr


def test_a_record_that_differs_alone_is_seen(built, monkeypatch):
    write = reproducing.write_build

    def otherwise(compilation, folder, **options):
        manifest = write(compilation, folder, **options)
        text = (Path(folder) / "manifest.json").read_text("utf-8")
        (Path(folder) / "manifest.json").write_text(text.replace('"depth"', '"Depth"', 1), "utf-8")
        return manifest

    monkeypatch.setattr(reproducing, "write_build", otherwise)
    assert "manifest.json differs in line" in reproduce(built).first
