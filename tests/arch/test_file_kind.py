# SPDX-License-Identifier: MIT
"""A file that is no network is called what it is, with what would work."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from firstspike_arch.checkpoint import CheckpointError, load_network
from safetensors.torch import save_file

MODEL = "read the model itself in Python, with from_snntorch, from_spikingjelly, from_norse or from_torch"
FILES = {
    "a.pt": (lambda path: torch.save(torch.nn.Linear(2, 2).state_dict(), path),
             f"a file of torch, whose numbers do not say how the network runs: {MODEL}"),
    "b.pth": (lambda path: torch.save({"a": 1}, path, _use_new_zipfile_serialization=False),
              f"a Python pickle, such as an old file of torch: {MODEL}"),
    "c.pkl": (lambda path: path.write_bytes(pickle.dumps({1: 2})),
              f"a Python pickle, such as an old file of torch: {MODEL}"),
    "d.npy": (lambda path: np.save(path, np.zeros(3)),
              "an array of NumPy (.npy), which commands take as inputs (--data)"),
    "e.npz": (lambda path: np.savez(path, x=np.zeros(3)),
              "an archive of NumPy's arrays (.npz), which commands take as inputs (--data)"),
    "f.toml": (lambda path: path.write_text("[model]\n"), "a recipe, from which 'firstspike train' makes a network"),
    "g.onnx": (lambda path: path.write_bytes(b"\x08\x07\x12\x07pytorch\x1a\x05"),
               f"an ONNX file, whose operations have no neurons with a state: {MODEL}"),
    "h.safetensors": (lambda path: save_file({"w": torch.zeros(3)}, path),
                      "a safetensors file of another tool, whose numbers do not say how the network runs"),
    "i.safetensors": (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:abc\n"),
                      "a pointer of Git LFS to the file, which 'git lfs pull' fetches"),
    "j": (lambda path: path.touch(), "an empty file"),
    "k": (lambda path: path.mkdir(), "a folder"),
    "l.py": (lambda path: path.write_text("import torch\n"), f"Python code: {MODEL}"),
    "m.tar.gz": (lambda path: path.write_bytes(b"\x1f\x8b\x08" + bytes(30)), "a gzip archive, to be unpacked first"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_network_is_called_what_it_is(name, tmp_path):
    path: Path = tmp_path / name
    make, kind = FILES[name]
    make(path)
    with pytest.raises(CheckpointError) as error:
        load_network(path)
    assert str(error.value) == f"{path}: must be a firstspike network, not {kind}"


def test_a_build_folder_is_one(tmp_path):
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"not a build folder, whose network is compiled already$"):
        load_network(tmp_path)
