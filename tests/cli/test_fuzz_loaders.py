# SPDX-License-Identifier: MIT
"""Damaged files: whatever bytes they hold, loaders end in our own errors, and soon, and in little memory."""

import hashlib
import pickle
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import firstspike as fs
import h5py
import nir
import numpy as np
import pytest
from firstspike.build_folder import BuildError, list_build, read_build
from firstspike.verb_demo import shipped
from firstspike_arch.checkpoint import CheckpointError, list_tensors, load_network
from firstspike_arch.program import Program, ProgramError
from firstspike_compiler.errors import CompileError
from firstspike_compiler.frontends.hdf5_tree import TreeReader
from firstspike_compiler.frontends.lava_file import network_of_tree
from firstspike_compiler.frontends.nir_file import inspect_nir, load_nir
from firstspike_compiler.frontends.nir_graph import graph_of_tree
from firstspike_sim.testing.lava_arithmetic import dense, write_lava

OURS = (CompileError, CheckpointError, ProgramError, BuildError)
PEAK = 256 << 20
"""Bytes: the whole files take less than one megabyte."""

SPANS = [pytest.param(0, 80, id="80"), pytest.param(80, 2000, id="2000", marks=pytest.mark.slow)]


def damaged(raw: bytes, first: int, count: int) -> Iterator[bytes]:
    """Cut off, bytes changed in the whole file or in its head, numbers in text changed, parts repeated."""
    for seed in range(first, first + count):
        rng = np.random.default_rng(seed)
        data = bytearray(raw)
        kind = seed % 5
        if kind == 0:
            del data[int(rng.integers(len(data))) :]
        elif kind in (1, 2):
            reach = len(data) if kind == 1 else min(len(data), 4096)
            for place in rng.integers(reach, size=int(rng.integers(1, 9))):
                data[place] = int(rng.choice([0, 255, rng.integers(256), data[place] ^ 1 << int(rng.integers(8))]))
        elif kind == 3:
            digits = [place for place in range(min(len(data), 4096)) if 48 <= data[place] < 58]
            for place in rng.choice(digits, size=min(3, len(digits))) if digits else ():
                data[place : place + 1] = [b"-1", b"9" * 15, b"0", b"1e9", b"null"][int(rng.integers(5))]
        else:
            place, length = int(rng.integers(len(data))), int(rng.integers(1, 400))
            data[place : place + int(rng.integers(200))] = data[place : place + length] * int(rng.integers(1, 4))
        yield bytes(data)


def survives(load, *arguments) -> str:
    """What became of it: "read", or the class of our error."""
    try:
        load(*arguments)
    except OURS as error:
        assert len(str(error).splitlines()) == 1, error
        return type(error).__name__
    return "read"


@pytest.fixture
def in_little_memory():
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < PEAK


@pytest.fixture(scope="module")
def program() -> Program:
    return fs.compile(fs.load(shipped("zoo", "digits_ettfs.safetensors")), lanes=8).program


@pytest.fixture(scope="module")
def nir_bytes(tmp_path_factory) -> bytes:
    """Of a small network with a convolution; one node has metadata."""
    rng = np.random.default_rng(0)
    nodes = {
        "in": nir.Input({"input": np.array([1, 4, 4])}),
        "conv": nir.Conv2d(input_shape=(4, 4), weight=rng.normal(size=(6, 1, 4, 4)), stride=1, padding="valid",
                           dilation=1, groups=1, bias=np.zeros(6), metadata={"weight_bits": 8}),
        "if": nir.IF(r=np.ones((6, 1, 1)), v_threshold=np.ones((6, 1, 1)), v_reset=np.zeros((6, 1, 1))),
        "flat": nir.Flatten(start_dim=0, end_dim=-1, input_type={"input": np.array([6, 1, 1])}),
        "fc": nir.Affine(weight=rng.normal(size=(3, 6)), bias=np.zeros(3)),
        "lif": nir.LIF(tau=np.ones(3), r=np.ones(3), v_leak=np.zeros(3), v_reset=np.zeros(3), v_threshold=np.ones(3)),
        "end": nir.Output({"output": np.array([3])}),
    }
    path = tmp_path_factory.mktemp("nir") / "x.nir"
    nir.write(path, nir.NIRGraph(nodes=nodes, edges=list(pairwise(nodes)), type_check=False))
    return path.read_bytes()


@pytest.mark.parametrize(("first", "count"), SPANS)
def test_nir_files(nir_bytes, tmp_path, first, count, in_little_memory):
    found: dict[str, int] = {}
    path = tmp_path / "x.nir"
    with TreeReader() as reader:
        for data in damaged(nir_bytes, first, count):
            path.write_bytes(data)
            try:
                graph = graph_of_tree(path, reader.read(path))
            except CompileError as error:
                assert len(str(error).splitlines()) == 1
                found["unreadable"] = found.get("unreadable", 0) + 1
                continue
            inspect_nir(graph, dt=0.5)
            outcome = survives(lambda graph=graph: fs.compile(load_nir(
                graph, steps=4, reset="zero", strict=True, readout="spike_count", dt=0.5)))
            found[outcome] = found.get(outcome, 0) + 1
    assert found["CompileError"] > count // 8 and found["read"] > count // 8, found


@pytest.mark.parametrize(("first", "count"), SPANS)
def test_lava_files(tmp_path, first, count, in_little_memory):
    path, outcomes = tmp_path / "x.net", set()
    write_lava(path, [dense(2 * np.eye(4, 6)), {"type": "flatten", "shape": [4, 1, 1]}, dense(np.ones((2, 4)))])
    with TreeReader() as reader:
        for data in damaged(path.read_bytes(), first, count):
            path.write_bytes(data)
            outcomes.add(survives(lambda: network_of_tree(
                path, reader.read(path, kind="lava-dl"), steps=4, readout="spike_count")))
    assert outcomes == {"CompileError", "read"}


@pytest.mark.parametrize(("first", "count"), SPANS)
def test_checkpoints(tmp_path, first, count, in_little_memory):
    raw = shipped("zoo", "digits_ettfs.safetensors").read_bytes()
    path, outcomes = tmp_path / "x.safetensors", set()
    for data in damaged(raw, first, count):
        path.write_bytes(data)
        outcomes.add(survives(lambda: fs.compile(load_network(path))))
        survives(list_tensors, path)
    assert {"CheckpointError", "read"} <= outcomes <= {"CheckpointError", "CompileError", "read"}


@pytest.mark.parametrize(("first", "count"), SPANS)
def test_programs_with_a_digest_that_fits(program, tmp_path, first, count, in_little_memory):
    path = tmp_path / "x.fsp"
    program.save(path)
    body, outcomes = path.read_bytes().partition(b"\n")[2], set()
    for data in damaged(body, first, count):
        path.write_bytes(hashlib.sha256(data).hexdigest().encode() + b"\n" + data)
        outcomes.add(survives(lambda: Program.load(path).memories()))
    assert {"ProgramError", "read"} <= outcomes <= {"ProgramError", "read"}


@pytest.mark.parametrize(("first", "count"), SPANS)
def test_manifests_of_build_folders(program, tmp_path, first, count, in_little_memory):
    fs.export(fs.compile(program.network, lanes=8), tmp_path / "b")
    manifest, text = tmp_path / "b" / "manifest.json", (tmp_path / "b" / "firstspike.v").read_text()
    own = {layer.name for layer in program.network.layers}
    found: dict[str, int] = {}
    for data in damaged(manifest.read_bytes(), first, count // 2):
        manifest.write_bytes(data)
        outcome = survives(read_build, tmp_path / "b")
        found[outcome] = found.get(outcome, 0) + 1
        states, layers = list_build(tmp_path / "b")
        if outcome == "read":  # whatever else the manifest says now: what is read is what was compiled
            again, verilog = read_build(tmp_path / "b")
            assert (again.digest(), verilog) == (program.digest(), text)
            assert states["manifest.json"] == "readable" and states["firstspike.v"] == "as compiled"
            assert len(layers) <= len(own)
        assert set(states) >= {"manifest.json", "firstspike.v", "program.fsp", "core0_weights.hex"}
    assert found["BuildError"] > count // 8 and found["read"] > 0, found


def test_what_would_run_on_loading_is_not_opened(tmp_path):
    flag = tmp_path / "ran"

    class Harm:
        def __reduce__(self):
            return Path.touch, (flag,)

    for name, load, sentence in (
        ("x.nir", fs.load_nir, "must be a NIR file"), ("x.safetensors", fs.load, "must be a firstspike network"),
        ("x.fsp", Program.load, "digest must match its contents"),
    ):
        (tmp_path / name).write_bytes(pickle.dumps(Harm()))
        with pytest.raises(OURS, match=rf"{name}: {sentence}"):
            load(tmp_path / name, **({"steps": 1, "reset": "zero", "strict": True, "readout": "spike_count"}
                                     if name == "x.nir" else {}))
    assert not flag.exists()


def test_hdf5_that_points_elsewhere_or_claims_too_much_is_refused(tmp_path):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["weight"] = np.ones((3, 4))

    def refused(make) -> str:
        path = tmp_path / "x.nir"
        with h5py.File(path, "w") as file:
            nodes = file.create_group("node/nodes")
            file["node/type"] = "NIRGraph"
            file["node/edges"] = [["in", "fc"], ["fc", "out"], ["out", "end"]]
            for name, kind, values in (("in", "Input", {"shape": [4]}), ("end", "Output", {"shape": [3]}), (
                    "out", "IF", {"r": np.ones(3), "v_threshold": np.ones(3)}), ("fc", "Linear", {})):
                group = nodes.create_group(name)
                group["type"] = kind
                for part, value in values.items():
                    group[part] = value
            make(nodes["fc"])
        with pytest.raises(CompileError) as error:
            fs.load_nir(path, steps=1, reset="zero", strict=True, readout="spike_count")
        return str(error.value).split("node 'fc': ")[1]

    def virtual(group):
        layout = h5py.VirtualLayout(shape=(3, 4), dtype=float)
        layout[:] = h5py.VirtualSource(secret, "weight", shape=(3, 4))
        group.create_virtual_dataset("weight", layout)

    assert refused(lambda group: group.__setitem__("weight", h5py.ExternalLink(secret, "weight"))) == (
        "weight must be readable: must be in the file, not a link to elsewhere")
    assert refused(virtual) == "weight must be readable: must be in the file, not in another"
    assert refused(lambda group: group.create_dataset(
        "weight", shape=(1 << 30, 1 << 10), chunks=(64, 64), dtype="f4")).startswith(
        "weight must be readable: must not claim 4398046511104 bytes")
    assert refused(lambda group: group.create_dataset("weight", data=np.array(b"cos", dtype=np.void))) == (
        "weight must be readable: must be numbers or text, not |V3")
