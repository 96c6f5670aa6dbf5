# SPDX-License-Identifier: MIT
"""The command line: what a user types, and what a wrong input gets."""

import json
import subprocess
import sys
from pathlib import Path

import firstspike as fs
import numpy as np
import pytest
from firstspike.verb_demo import shipped
from firstspike_train.data import load


def firstspike(*arguments, folder: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", "from firstspike.main import run; run()", *map(str, arguments)],
        cwd=folder, text=True, capture_output=True, check=False, timeout=600,
    )


@pytest.fixture(scope="module")
def checkpoint() -> Path:
    return shipped("zoo", "digits_ettfs.safetensors")


@pytest.fixture(scope="module")
def build(checkpoint, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "build"
    done = firstspike("compile", checkpoint, "--lanes", "16", "--early-exit", "-o", folder, folder=folder.parent)
    assert done.returncode == 0, done.stderr
    return folder


def test_build_folder_has_everything_and_is_reproducible(build, checkpoint, tmp_path):
    names = {path.name for path in build.iterdir()}
    assert names == {
        "firstspike.v", "core0_weights.hex", "core1_weights.hex", "program.fsp", "manifest.json", "report.txt",
        "firstspike_inst.v", "firstspike.core", "vivado.tcl",
    }
    manifest = json.loads((build / "manifest.json").read_text())
    assert {port["name"] for port in manifest["ports"]} >= {"clk", "rst", "source_valid", "result_payload"}
    fs.export(fs.compile(fs.load(checkpoint), lanes=16, early_exit=True), tmp_path / "again")
    for name in names:
        assert (build / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


def test_verify_every_test_digit(build, tmp_path):
    done = firstspike("verify", build, "--data", "digits", "--junit", "v.xml", "--json", "v.json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "v.json").read_text())
    assert report["equal"] and all(check["compared"] >= 359 for check in report["checks"])
    assert 'failures="0"' in (tmp_path / "v.xml").read_text()


def test_estimate_and_simulate(build, tmp_path):
    done = firstspike("estimate", build, "--data", "digits", folder=tmp_path)
    assert done.returncode == 0 and "accuracy of the integer network" in done.stdout
    done = firstspike("simulate", build, "--data", "digits", "--index", "2", "--backend", "pysim", folder=tmp_path)
    assert done.returncode == 0 and "decided in cycle" in done.stdout


def test_accuracy_of_the_shipped_digits_network(build):
    images, labels = load("digits", "test")
    assert np.mean(fs.predict(fs.open_build(build), images).classes == labels) > 0.9


@pytest.mark.parametrize(("arguments", "message"), [
    (("compile", "nothing.safetensors", "-o", "b"), "nothing.safetensors"),
    (("compile", "{checkpoint}", "--lanes", "many", "-o", "b"), "--lanes must be"),
    (("compile", "{checkpoint}", "--lanes", "0", "-o", "b"), "lanes must be"),
    (("compile", "{checkpoint}", "--weight-bits", "9", "-o", "b"), "must be 2…8"),
    (("verify", "nowhere", "--data", "digits"), "must be a build folder"),
    (("verify", "{build}", "--data", "digit"), "dataset must be one of"),
    (("verify", "{build}", "--data", "digits", "--backend", "x"), "backend must be"),
    (("simulate", "{build}", "--data", "digits", "--index", "99999"), "--index must be below"),
    (("train", "none.toml", "-o", "x.safetensors"), "none.toml"),
])
def test_a_wrong_input_gets_one_sentence(arguments, message, checkpoint, build, tmp_path):
    done = firstspike(*(part.format(checkpoint=checkpoint, build=build) for part in arguments), folder=tmp_path)
    assert done.returncode == 1, done.stdout
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["firstspike.v", "core0_weights.hex", "program.fsp", "report.txt"])
def test_an_altered_file_is_refused(name, build, checkpoint, tmp_path):
    fs.export(fs.compile(fs.load(checkpoint)), tmp_path / "b")
    path = tmp_path / "b" / name
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ValueError, match=f"{name}: must be the file that was compiled"):
        fs.open_build(tmp_path / "b")


def test_other_folders_are_not_overwritten(checkpoint, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("no backup")
    with pytest.raises(ValueError, match="it holds something else"):
        fs.export(fs.compile(fs.load(checkpoint)), tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "no backup"
