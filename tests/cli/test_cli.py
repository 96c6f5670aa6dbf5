# SPDX-License-Identifier: MIT
"""The command line: what a user types, and what a wrong input gets."""

import errno
import hashlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import firstspike as fs
import numpy as np
import pytest
from firstspike.verb_demo import shipped
from firstspike_arch.float_network import FloatLayer, FloatNetwork
from firstspike_arch.neuron import FloatNeuron
from firstspike_train.data import load


def process(*arguments, folder: Path, **options) -> subprocess.CompletedProcess:
    """The command in a process of its own, for what cannot be seen from inside."""
    return subprocess.run(
        [sys.executable, "-c", "from firstspike.main import run; run()", *map(str, arguments)],
        cwd=folder, text=True, capture_output=True, check=False, timeout=600, **options,
    )


@pytest.fixture
def firstspike(command, tmp_path, monkeypatch):
    """The command, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return command


@pytest.fixture(scope="module")
def checkpoint() -> Path:
    return shipped("zoo", "digits_ettfs.safetensors")


@pytest.fixture(scope="module")
def build(checkpoint, tmp_path_factory) -> Path:
    """Built as in another place: time zone, order of sets, and a locale without the report's ≤."""
    folder = tmp_path_factory.mktemp("cli") / "build"
    elsewhere = {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONUTF8": "0",
                 "PYTHONCOERCECLOCALE": "0"}
    done = process("compile", os.path.relpath(checkpoint, folder.parent), "--lanes", "16", "--early-exit", "-o",
                   "build", folder=folder.parent, env=os.environ | elsewhere)
    assert done.returncode == 0, done.stderr
    return folder


def test_build_folder_has_everything_and_is_reproducible(build, checkpoint, tmp_path):
    names = {path.name for path in build.iterdir()}
    assert names == {
        "firstspike.v", "core0_weights.hex", "core1_weights.hex", "program.fsp", "manifest.json", "report.txt",
        "firstspike_inst.v", "firstspike.core", "vivado.tcl", "firstspike.vlt", "network.safetensors",
        "firstspike_typed.sv", "firstspike.eda.yml",
    }
    manifest = json.loads((build / "manifest.json").read_text())
    assert {port["name"] for port in manifest["ports"]} >= {"clk", "rst", "source_valid", "result_payload"}
    fs.export(fs.compile(fs.load(checkpoint), lanes=16, early_exit=True), tmp_path / "again")
    for name in names:
        assert (build / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


def test_verify_every_test_digit(build, tmp_path, firstspike):
    done = firstspike("verify", build, "--data", "digits", "--junit", "v.xml", "--json", "v.json")
    assert done.status == 0, done.err
    report = json.loads((tmp_path / "v.json").read_text())
    assert report["equal"] and all(check["compared"] >= 359 for check in report["checks"])
    assert 'failures="0"' in (tmp_path / "v.xml").read_text()


def test_estimate_and_simulate(build, firstspike):
    done = firstspike("estimate", build, "--data", "digits")
    assert done.status == 0 and "accuracy of the integer network" in done.out
    done = firstspike("simulate", build, "--data", "digits", "--index", "2", "--backend", "pysim")
    assert done.status == 0 and "decided in cycle" in done.out


def test_accuracy_of_the_shipped_digits_network(build):
    images, labels = load("digits", "test")
    assert np.mean(fs.infer(fs.open_build(build), images).classes == labels) > 0.9


@pytest.mark.parametrize(("arguments", "message"), [
    (("compile", "nothing.safetensors", "-o", "b"), "nothing.safetensors"),
    (("compile", "{checkpoint}", "--lanes", "many", "-o", "b"), "--lanes must be"),
    (("compile", "{checkpoint}", "--lanes", "0", "-o", "b"), "lanes must be"),
    (("compile", "{checkpoint}", "--weight-bits", "9", "-o", "b"), "must be 2…8"),
    (("compile", "{checkpoint}", "--name", "1st", "-o", "b"), "name must be a letter and up to 63 letters, digits"),
    (("compile", "{checkpoint}", "--name", "module", "-o", "b"), "must be none that Verilog reserves, not 'module'"),
    (("verify", "nowhere", "--data", "digits"), "or a build folder, but there is nothing of that name"),
    (("verify", "{build}", "--data", "digit"), "dataset must be one of"),
    (("verify", "{build}", "--data", "digits", "--backend", "x"), "backend must be"),
    (("simulate", "{build}", "--data", "digits", "--index", "99999"), "--index must be below"),
    (("train", "none.toml", "-o", "x.safetensors"), "none.toml"),
])
def test_a_wrong_input_gets_one_sentence(arguments, message, checkpoint, build, tmp_path, firstspike):
    done = firstspike(*(part.format(checkpoint=checkpoint, build=build) for part in arguments))
    assert done.status == 1, done.out
    assert message in done.err
    assert "Traceback" not in done.err
    assert len(done.err.strip().splitlines()) == 1, done.err
    assert list(tmp_path.iterdir()) == []


def refused(done, message: str) -> None:
    assert done.status == 1, done.out
    assert message in done.err
    assert len(done.err.strip().splitlines()) == 1, done.err


def test_a_full_disk_leaves_nothing(checkpoint, tmp_path):
    def no_file_beyond_4_kib():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = process("compile", checkpoint, "-o", "b", folder=tmp_path, preexec_fn=no_file_beyond_4_kib, env=unmeasured)
    assert done.returncode == 1 and "File too large" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [
    "firstspike.v", "manifest.json",
    *(pytest.param(name, marks=pytest.mark.slow) for name in ("core1_weights.hex", "program.fsp", "vivado.tcl"))])
def test_a_disk_that_fills_up_keeps_the_old_build(name, build, checkpoint, tmp_path, monkeypatch, firstspike):
    shutil.copytree(build, tmp_path / "b")
    write, full_at = Path.write_bytes, []

    def full_write(self, data):
        if self.name == name:
            write(self, data[:10])
            full_at.append(self)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as write() says it: without a name
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", full_write)
    for folder in ("b", "new"):
        done = firstspike("compile", checkpoint, "--lanes", "8", "-o", folder)
        assert (done.status, done.out, done.err) == (1, "", f"firstspike: {folder}: No space left on device\n")
    assert len(full_at) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    assert {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir()} == {
        path.name: path.read_bytes() for path in build.iterdir()}
    fs.open_build(tmp_path / "b")


def test_a_timeout_is_in_the_manifest(build, checkpoint, firstspike, tmp_path):
    def manifest(folder):
        return json.loads((folder / "manifest.json").read_text())["input"]["timeout_cycles"]

    assert manifest(build) == 0
    assert firstspike("compile", checkpoint, "--timeout", "5000", "-o", "b").status == 0
    assert manifest(tmp_path / "b") == fs.open_build(tmp_path / "b").config.timeout == 5000


def test_shift_rounding_and_passes_of_leaks_are_options(firstspike, tmp_path):
    leaky = FloatNeuron(theta=np.ones(2), leak=0.99)
    fs.save(FloatNetwork(name="slow", steps=2, readout="spike_count", input_kind="events",
                         layers=(FloatLayer(weight=np.eye(2), neuron=leaky),)), tmp_path / "slow.safetensors")
    found = [firstspike("compile", "slow.safetensors", *more, "-o", "b").out
             for more in ((), ("--leak-shift-max", "6"), ("--leak-rounding", "floor"), ("--multiplies-leaks",))]
    assert "leak 4055/4096 off by" in found[0] and "warning" not in found[0]
    assert "warning: dense0: leak 0.99, a time constant of 100 steps, became 63/64: 64 steps; leak_shift" in found[1]
    assert "dense0 to the nearest, membranes count from −50" in found[0] and "dense0 down" in found[2]
    assert "dense0: 14 passes at the end of a step; with leaks multiplied (multiplies_leaks) 4" in found[0]
    assert ", leaks multiplied" in found[3] and "passes at the end" not in found[3]
    assert [one.multiplies_leaks for one in fs.open_build(tmp_path / "b").config.layers] == [True]
    refused(firstspike("compile", "slow.safetensors", "--leak-rounding", "up", "-o", "b"),
            "leak_rounding must be 'nearest' or 'floor', or None, not 'up'")


def test_a_missing_simulator_is_named(build, firstspike, monkeypatch):
    monkeypatch.setenv("VERILATOR", "/no/verilator")
    refused(firstspike("verify", build, "--data", "digits"), "$VERILATOR must name a program, not '/no/verilator'")


@pytest.mark.parametrize(("make", "message"), [
    (lambda path: path.write_bytes(b""), "must be a .npy file of numbers"),
    (lambda path: np.save(path, np.array([{}], dtype=object), allow_pickle=True), "must be a .npy file of numbers"),
    (lambda path: np.save(path, np.zeros((0, 64), np.uint8)), "at least one input, not (0, 64)"),
    (lambda path: np.save(path, np.uint8(1)), "at least one input, not ()"),
    (lambda path: np.save(path, np.full((2, 64), np.nan)), "must be uint8 images of shape (batch, 64), not float64"),
    (lambda path: np.save(path, np.zeros((2, 63), np.uint8)), "samples of 63 numbers, but digits_ettfs takes 64"),
    (lambda path: np.save(path, np.full((2, 64), "a")), "x.npy: inputs must be numbers, not of the type <U1"),
    (lambda path: path.parent.mkdir(exist_ok=True), "x.npy: No such file or directory"),
])
def test_unfit_arrays_get_one_sentence(make, message, build, tmp_path, firstspike):
    make(tmp_path / "x.npy")
    refused(firstspike("estimate", build, "--data", "x.npy"), message)


def test_verify_takes_arrays(build, tmp_path, firstspike):
    np.save(tmp_path / "x.npy", load("digits", "test")[0][:9])
    done = firstspike("verify", build, "--data", "x.npy", "--backend", "pysim", "--waits", "3")
    assert done.status == 0, done.err
    assert "accuracy" not in done.out


def test_a_difference_between_hardware_and_model_is_status_1(build, tmp_path, firstspike):
    """A build whose Verilog is another machine than its program, digests and all."""
    shutil.copytree(build, tmp_path / "b")
    source, manifest = tmp_path / "b" / "firstspike.v", json.loads((build / "manifest.json").read_text())
    text, count = re.subn(  # the first core sees the neighbour of every neuron that spikes
        r"( core0 \([^;]*\.events0__payload\()edge0_payload\)", r"\1edge0_payload ^ 4)", source.read_text())
    assert count == 1
    source.write_text(text)
    manifest["files"]["firstspike.v"] = hashlib.sha256(source.read_bytes()).hexdigest()
    (tmp_path / "b" / "manifest.json").write_text(json.dumps(manifest))
    done = firstspike("verify", "b", "--data", "digits", "--limit", "5", "--json", "v.json")
    refused(done, "differ first at: run 0 (from input 0): spikes of layer 0 into layer 1, inference 0, step")
    assert json.loads((tmp_path / "v.json").read_text())["equal"] is False


@pytest.mark.parametrize("name", ["firstspike.v", "core0_weights.hex", "program.fsp", "report.txt"])
def test_an_altered_file_is_refused(name, build, checkpoint, tmp_path):
    fs.export(fs.compile(fs.load(checkpoint)), tmp_path / "b")
    path = tmp_path / "b" / name
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ValueError, match=f"{name}: must be the file that was compiled"):
        fs.open_build(tmp_path / "b")


@pytest.mark.parametrize("change", [
    lambda text: text.replace(b"0", b"1", 1),
    lambda text: text[:text.rindex(b"\n", 0, -1) + 1],
    lambda text: b"\xff" + text[1:],
])
def test_an_image_of_another_network_is_refused(change, build, tmp_path, firstspike):
    """Other weights than the program's, digests and all."""
    shutil.copytree(build, tmp_path / "b")
    path, manifest = tmp_path / "b" / "core1_weights.hex", json.loads((build / "manifest.json").read_text())
    path.write_bytes(change(path.read_bytes()))
    manifest["files"][path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    assert manifest["files"] != json.loads((build / "manifest.json").read_text())["files"]
    (tmp_path / "b" / "manifest.json").write_text(json.dumps(manifest))
    refused(firstspike("estimate", "b", "--data", "digits"),
            "b/core1_weights.hex: must be the image of the program in this folder; compile again")


@pytest.mark.parametrize("change", [
    lambda manifest: [],
    lambda manifest: {**manifest, "files": []},
    lambda manifest: {**manifest, "files": {}},
    lambda manifest: {**manifest, "digest": "0" * 64},
    lambda manifest: {name: value for name, value in manifest.items() if name != "files"},
])
def test_an_altered_manifest_is_refused(change, build, tmp_path):
    shutil.copytree(build, tmp_path / "b")
    path = tmp_path / "b" / "manifest.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    sentence = r"manifest.json: is truncated or altered(, or of another version of firstspike)?; compile "
    with pytest.raises(ValueError, match=sentence):
        fs.open_build(tmp_path / "b")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_older_build_is_replaced_and_what_others_put_there_stays(checkpoint, build, tmp_path, firstspike):
    """Such as what the shipped vivado.tcl leaves, and the commands whose folders are inside."""
    shutil.copytree(build, tmp_path / "b")
    others = {"utilization.rpt": b"LUTs", "firstspike.dcp": b"\0", ".Xil/1": b"", "digits/notes.txt": b"mine"}
    for name, data in others.items():
        (tmp_path / "b" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "b" / name).write_bytes(data)
    wide = firstspike("compile", checkpoint, "--lanes", "8", "--name", "wide", "-o", "b")
    assert (wide.status, wide.err) == (0, "")
    assert [plan.lanes for plan in fs.open_build(tmp_path / "b").config.layers] == [8, 8]
    found = contents(tmp_path / "b")
    assert found.items() >= others.items()
    assert "wide.v" in found and not {"firstspike.v", "core0_weights.hex"} & set(found)
    fs.export(fs.compile(fs.load(checkpoint), lanes=16, early_exit=True), tmp_path / "b")
    assert contents(tmp_path / "b") == contents(build) | others
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_file_of_the_build_that_was_changed_is_kept(checkpoint, build, tmp_path, firstspike):
    shutil.copytree(build, tmp_path / "b")
    for turn, name in enumerate(("vivado.tcl.old", "vivado.tcl.old2")):
        (tmp_path / "b" / "vivado.tcl").write_text(f"mine, {turn}")
        done = firstspike("compile", checkpoint, "--lanes", "16", "--early-exit", "-o", "b")
        assert done.status == 0
        assert done.err == f"firstspike: note: b/vivado.tcl was changed after it was written, and is kept as {name}\n"
        assert (tmp_path / "b" / name).read_text() == f"mine, {turn}"
    assert (tmp_path / "b" / "vivado.tcl").read_bytes() == (build / "vivado.tcl").read_bytes()
    (tmp_path / "b" / "core1_weights.hex").unlink()
    done = firstspike("compile", checkpoint, "--lanes", "16", "--early-exit", "-o", "b")
    assert (done.status, done.err) == (0, "")


@pytest.mark.parametrize("failing", ["new", "old"])
def test_an_older_build_comes_back_if_it_cannot_be_replaced(failing, checkpoint, build, tmp_path, monkeypatch):
    shutil.copytree(build, tmp_path / "b")
    (tmp_path / "b" / "notes.txt").write_text("mine")
    (tmp_path / "b" / "vivado.tcl").write_text("changed")
    before, rename = contents(tmp_path / "b"), Path.rename
    left = 5

    def fail(self, target):
        nonlocal left
        left -= failing in (self.parent.name, Path(target).parent.name)
        if not left:
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="Input/output error"):
        fs.export(fs.compile(fs.load(checkpoint), lanes=8), tmp_path / "b")
    assert left < 0  # renamed on, to undo
    assert contents(tmp_path / "b") == before and [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_build_goes_into_the_current_folder_and_through_a_link(checkpoint, build, tmp_path, firstspike):
    (tmp_path / "store").mkdir()
    (tmp_path / "b").symlink_to("store")
    for _ in range(2):
        assert firstspike("compile", checkpoint, "--lanes", "16", "--early-exit", "-o", "b").status == 0
    assert (tmp_path / "b").is_symlink() and contents(tmp_path / "store") == contents(build)
    for _ in range(2):
        assert firstspike("compile", checkpoint, "--lanes", "16", "--early-exit", "-o", ".").status == 0
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in build.iterdir()} | {"b", "store"}
    (tmp_path / "c").symlink_to("nowhere")
    refused(firstspike("compile", checkpoint, "-o", "c"), "c: must be a folder to write, not a link to nothing")
    (tmp_path / "d").write_text("mine")
    refused(firstspike("compile", checkpoint, "-o", "d"), "d: must be a folder to write, not a file")


@pytest.mark.thinned(2)
@pytest.mark.parametrize("verb", ["compile", "export-axi"])
@pytest.mark.parametrize("files", [
    {"manifest.json": '{"name": "a web app"}', "thesis.txt": "no backup"},
    {"manifest.json": "[]"},
    {"manifest.json": '{"made_by": "firstspike compile"'},
    {"firstspike.v": "module firstspike; endmodule"},
    {"firstspike.v/mine.v": "module mine; endmodule"},
])
def test_files_of_others_are_not_overwritten(files, verb, checkpoint, build, tmp_path, firstspike):
    for name, text in files.items():
        (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mine" / name).write_text(text)
    taken = next(iter(files)).partition("/")[0]
    done = firstspike(verb, checkpoint if verb == "compile" else build, "-o", "mine")
    refused(done, f"mine: must have room for {taken}, but has something of that name which 'firstspike {verb}' did "
                  "not write; choose another folder")
    assert contents(tmp_path / "mine") == {name: text.encode() for name, text in files.items()}


def test_an_export_for_axi_does_not_take_the_place_of_a_build(build, tmp_path, firstspike):
    shutil.copytree(build, tmp_path / "b")
    refused(firstspike("export-axi", "b", "-o", "b"), "b: must have room for core0_weights.hex, ")
    assert contents(tmp_path / "b") == contents(build)


def test_verbose_tells_which_tools_are_called(build, firstspike):
    quiet = firstspike("verify", build, "--data", "digits", "--limit", "3")
    done = firstspike("--verbose", "verify", build, "--data", "digits", "--limit", "3")
    assert (quiet.status, quiet.err, done.status, done.out) == (0, "", 0, quiet.out)
    assert re.search(r"^firstspike: \S*simulator [\d ]+: status 0 after \d+\.\d s$", done.err, re.MULTILINE)


def test_its_version(firstspike):
    assert firstspike("--version") == (0, f"firstspike {fs.__version__}\n", "")


def test_a_shell_completes_commands(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv = ['firstspike']; from firstspike.main import run; run()"],
        env={**os.environ, "_FIRSTSPIKE_COMPLETE": "complete_bash", "COMP_WORDS": "firstspike ins", "COMP_CWORD": "1"},
        cwd=tmp_path, text=True, capture_output=True, check=False, timeout=100)
    assert done.stdout.split() == ["inspect"], done.stderr
