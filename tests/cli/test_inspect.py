# SPDX-License-Identifier: MIT
"""`firstspike inspect`, `compile` and `export-nir` of foreign and of broken files, as a user types them."""

import json
from itertools import pairwise
from pathlib import Path

import firstspike as fs
import h5py
import nir
import numpy as np
import pytest
import torch
from firstspike.verb_demo import shipped


@pytest.fixture
def firstspike(command):
    """``firstspike(*arguments)``: what it says on stdout, and on stderr."""
    def call(*arguments) -> tuple[str, str]:
        status, out, err = command(*arguments)
        refused = [line for line in err.splitlines() if not line.startswith("firstspike: note: ")]
        assert status == (1 if refused or "refused: " in out or "must be given for" in out else 0)
        return out, err

    return call


@pytest.fixture
def path(tmp_path):
    rng = np.random.default_rng(0)
    nodes = {
        "in": nir.Input({"input": np.array([1, 6, 6])}),
        "conv": nir.Conv2d(input_shape=(6, 6), weight=rng.normal(0.2, 1, (3, 1, 3, 3)), stride=(1, 1), padding=(1, 1),
                           dilation=(1, 1), groups=1, bias=np.zeros(3)),
        "fire": nir.IF(r=np.ones((3, 6, 6)), v_threshold=np.ones((3, 6, 6)), v_reset=np.zeros((3, 6, 6))),
        "flat": nir.Flatten(start_dim=0, end_dim=-1, input_type={"input": np.array([3, 6, 6])}),
        "fc": nir.Affine(weight=rng.normal(size=(4, 108)), bias=np.zeros(4)),
        "out": nir.LIF(tau=np.full(4, 0.002), r=np.ones(4), v_leak=np.zeros(4), v_reset=np.zeros(4),
                       v_threshold=np.ones(4)),
        "end": nir.Output({"output": np.array([4])}),
    }
    nir.write(tmp_path / "x.nir", nir.NIRGraph(nodes=nodes, edges=list(pairwise(nodes)),
                                               type_check=False))
    return tmp_path / "x.nir"


def test_a_nir_file_from_inspection_to_verilog_and_back(firstspike, path, tmp_path):
    out, _ = firstspike("inspect", path, "--dt", "0.001")
    assert "layer 0: synapses" in out and "conv 3×3, padding 1×1" in out and "1×6×6 → 3×6×6" in out
    assert "leak 0.5, fires at > 2, reset zero" in out and "everything can be mapped" in out
    _, said = firstspike("compile", path, "-o", tmp_path / "b")
    assert "--steps, --reset, --strict or --at-least, --readout must be given: a NIR file does not define it" in said
    options = ["--steps", 4, "--reset", "zero", "--at-least", "--readout", "spike_count"]
    _, said = firstspike("compile", path, "-o", tmp_path / "b", *options)
    assert "node 'out': dt must be given for LIF" in said
    out, said = firstspike("compile", path, "-o", tmp_path / "b", *options, "--dt", 0.001, "--in-max", 2, "--lanes", 1)
    assert "written to" in out, said
    assert "note: " in said and "x.nir: layer 0: no neuron can fire: 4 steps bring at most" in said
    assert fs.open_build(tmp_path / "b").network.in_max == 2
    out, _ = firstspike("inspect", tmp_path / "b")
    assert "membrane bits" in out and "conv2d0" in out and "step 0.0" in out
    out, _ = firstspike("export-nir", tmp_path / "b", "-o", tmp_path / "again.nir")
    assert "steps=4, reset='zero'" in out and "dt=1.0" in out
    out, _ = firstspike("inspect", tmp_path / "again.nir", "--dt", 1, "--leak-rule", "euler")
    assert "everything can be mapped" in out


def test_what_is_refused_is_named_and_the_rest_goes_on(firstspike, path):
    out, _ = firstspike("inspect", path)
    assert "dt must be given for LIF" in out and "layer 0: neurons" in out and "layer 1: synapses" in out
    raw = path.read_bytes()
    for size in (len(raw) // 2, len(raw) - 100):
        path.write_bytes(raw[:size])
        out, _ = firstspike("inspect", path, "--dt", "0.001")
        assert "refused: the file must be whole" in out and "conv" in out
    path.write_bytes(b"nothing")
    out, said = firstspike("inspect", path)
    assert not out and "must be a NIR file" in said and said.count("\n") == 1


def test_a_file_of_sinabs_by_command_fires_as_recorded(firstspike, tmp_path):
    path = Path(__file__).parents[1] / "compiler" / "nir_files" / "sinabs_11.nir"
    recorded = np.load(path.with_suffix(".npz"))
    assert json.loads(str(recorded["options"])) == {"reset": "subtract", "strict": False, "levels": 15, "v_min": -1.0}
    out, said = firstspike("compile", path, "-o", tmp_path / "b", "--steps", 6, "--readout", "spike_count", "--in-max",
                           2, "--reset", "subtract", "--at-least", "--levels", 15, "--v-min", -1, "--lanes", 1)
    assert "written to" in out, said
    program, inputs = fs.open_build(tmp_path / "b"), recorded["inputs"].astype(np.int64)
    golden = fs.infer(program, inputs)
    assert np.array_equal(golden.spikes[1], recorded["spikes0"]) and np.array_equal(
        golden.spikes[2], recorded["spikes1"])
    assert fs.verify(program, inputs[:2], backend="pysim").equal
    out, _ = firstspike("inspect", path, "--reset", "subtract", "--at-least", "--levels", 15, "--v-min", -1)
    assert "IF, fires at ≥ 1…15, 15 levels, reset subtract, v min -1" in out


def test_hdf5_is_nir_whatever_the_name(firstspike, path, tmp_path):
    for name in ("x.NIR", "x.hdf5", "x.h5", "x"):
        (tmp_path / name).write_bytes(path.read_bytes())
        out, said = firstspike("inspect", tmp_path / name, "--dt", "0.001", "--steps", 4)
        assert "everything can be mapped" in out and not said
        assert "note: layer 0: no neuron can fire: 4 steps bring at most" in out
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file["layer/0/weight"] = np.zeros(3)
    out, _ = firstspike("inspect", tmp_path / "net.h5")
    assert ("refused: the group 'node' of NIR must be there: the file holds 'layer'; load_lava reads networks of "
            "lava-dl, which commands take as .net") in out


def test_a_file_that_is_something_else_says_what_it_is(firstspike, tmp_path):
    torch.save({"weight": torch.zeros(3)}, tmp_path / "x.pt")
    torch.save({"weight": torch.zeros(3)}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    np.save(tmp_path / "x.npy", np.zeros(3))
    np.savez(tmp_path / "x.npz", weight=np.zeros(3))
    (tmp_path / "page").write_text("<html>no such file</html>")
    (tmp_path / "pointer").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    for name, kind in (("x.pt", "a file of torch"), ("old.pt", "a Python pickle"), ("x.npy", "an array of NumPy"),
                       ("x.npz", "an archive of NumPy's arrays"), ("page", "a page of HTML"),
                       ("pointer", "a pointer of Git LFS to the file, which 'git lfs pull' fetches")):
        for suffix in ("", ".nir", ".safetensors"):
            file = tmp_path / f"{name}{suffix}"
            file.write_bytes((tmp_path / name).read_bytes())
            options = ["--steps", 4, "--reset", "zero", "--at-least", "--readout", "spike_count"]
            _, said = firstspike("compile", file, "-o", tmp_path / "b", *(options if suffix == ".nir" else []))
            rule = "a NIR file" if suffix == ".nir" else "a firstspike network"
            assert f"{file}: must be {rule}, not {kind}" in said and said.count("\n") == 1
            out, said = firstspike("inspect", file)
            assert f", not {kind}" in out + said


def test_checkpoints_whole_cut_off_and_foreign(firstspike, tmp_path):
    raw = shipped("zoo", "digits_ettfs.safetensors").read_bytes()
    path = tmp_path / "x.safetensors"
    path.write_bytes(raw)
    out, _ = firstspike("inspect", path)
    assert "fires once" in out and "64 → 10" in out and "everything can be compiled" in out
    path.write_bytes(raw[:-1000])
    out, _ = firstspike("inspect", path)
    assert "cut off" in out and "complete" in out and "refused: " in out
    from safetensors.numpy import save_file
    save_file({"[/red]": np.zeros((3, 4), dtype=np.float32)}, path)
    assert "[/red]" in firstspike("inspect", path)[0]
    save_file({"fc1.weight": np.zeros((3, 4), dtype=np.float32)}, path)
    out, _ = firstspike("inspect", path)
    assert "fc1.weight" in out and "3×4" in out and "must be a firstspike network" in out


def test_delays_and_their_memory_are_shown(firstspike, tmp_path):
    net = fs.NetworkBuilder(40, steps=8, readout="spike_count")
    net.layer(np.eye(10, 40, dtype=int), theta=1, delays=np.arange(40) % 7)
    net.branch(np.eye(10, dtype=int), source=0, delays=3)
    compilation = fs.compile(net.build(), lanes=2)
    program = compilation.program
    fs.save(program.network, tmp_path / "x.safetensors")
    out, _ = firstspike("inspect", tmp_path / "x.safetensors")
    assert "input 0…6 steps late, itself 3 steps late" in " ".join(out.replace("│", " ").split())
    fs.export(compilation, tmp_path / "b")
    manifest = json.loads((tmp_path / "b" / "manifest.json").read_text())
    assert manifest["layers"][0]["delay_max"] == [6, 3]
    out, _ = firstspike("inspect", tmp_path / "b")
    words = sum(memory.depth * memory.used_bits for memory in program.cores[0].memories if "delays" in memory.name)
    assert f"delays {words / 1000:.1f}" in " ".join(out.replace("│", " ").split())


def test_a_build_folder_that_is_broken(firstspike, tmp_path):
    fs.export(fs.compile(fs.load(shipped("zoo", "digits_ettfs.safetensors")), lanes=8), tmp_path / "b")
    with (tmp_path / "b" / "core0_weights.hex").open("a") as file:
        file.write("0\n")
    (tmp_path / "b" / "firstspike.v").unlink()
    out, _ = firstspike("inspect", tmp_path / "b")
    assert "truncated or altered" in out and "missing" in out and "refused: " in out and "64 → 64" in out
    (tmp_path / "b" / "program.fsp").write_bytes(b"")
    out, _ = firstspike("inspect", tmp_path / "b")
    assert "as in the manifest" in out and "dense1" in out
    (tmp_path / "b" / "manifest.json").write_text("{")
    out, _ = firstspike("inspect", tmp_path / "b")
    assert "truncated or altered" in out and "refused: " in out


def test_a_file_that_is_no_nir_is_named_before_options_are_asked_for(firstspike, tmp_path):
    file = tmp_path / "net.nir"
    file.write_text("version https://git-lfs.github.com/spec/v1\n")
    _, said = firstspike("compile", file, "-o", tmp_path / "build")
    assert "net.nir: must be a NIR file, not a pointer of Git LFS" in said and "must be given" not in said
