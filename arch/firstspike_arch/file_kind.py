# SPDX-License-Identifier: MIT
"""Tells what a file is by its first bytes, for messages about files that are something else."""

import re
import zipfile
from pathlib import Path

__all__ = ["HDF5", "file_kind"]

HDF5 = "an HDF5 file"

_MODEL = "read the model itself in Python, with from_snntorch, from_spikingjelly, from_norse or from_torch"
_INPUTS = "which commands take as inputs (--data)"

_STARTS = (
    (rb"\x89HDF\r\n\x1a\n", HDF5),
    (b"version https://git-lfs", "a pointer of Git LFS to the file, which 'git lfs pull' fetches"),
    (rb"\x93NUMPY", f"an array of NumPy (.npy), {_INPUTS}"),
    # Behind the protocol comes a command, which is never 0; the length of a safetensors header may begin like a pickle.
    (rb"\x80[\x02-\x05][^\x00]", f"a Python pickle, such as an old file of torch: {_MODEL}"),
    (rb"\x89FSMEM", "an image of an external memory, whose program is beside it"),
    (b"<", "a page of HTML or XML, perhaps one that came instead of the file"),
    (rb"\x1f\x8b", "a gzip archive, to be unpacked first"),
)
"""Patterns of first bytes, and what a file that has them is."""

_NAMES = {
    ".onnx": f"an ONNX file, whose operations have no neurons with a state: {_MODEL}",
    ".toml": "a recipe, from which 'firstspike train' makes a network",
    ".py": f"Python code: {_MODEL}",
    ".json": "a JSON file; 'firstspike compile' takes networks that fs.save wrote, and NIR files",
    ".v": "Verilog, which 'firstspike compile' writes and does not read",
    ".keras": "a Keras model; write its weights into a NetworkBuilder, or export it to NIR",
}
"""Ends of names, and what a file that is nothing else is by them."""


def file_kind(path: str | Path) -> str:
    """What a file is, such as "an HDF5 file", and what would work; "" if it is not known or cannot be read."""
    path = Path(path)
    if path.is_dir():
        manifest = (path / "manifest.json").is_file()
        return "a build folder, whose network is compiled already" if manifest else "a folder"
    try:
        with path.open("rb") as file:
            head = file.read(32)
        if head[:4] == b"PK\x03\x04" and zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
            if any(name.endswith("data.pkl") for name in names):
                return f"a file of torch, whose numbers do not say how the network runs: {_MODEL}"
            if names and all(name.endswith(".npy") for name in names):
                return f"an archive of NumPy's arrays (.npz), {_INPUTS}"
            return _NAMES.get(path.suffix.lower(), "a zip archive, to be unpacked first")
    except (OSError, zipfile.BadZipFile, ValueError):
        return ""
    if not head:
        return "an empty file"
    if head[8:9] == b"{" and head[4:8] == bytes(4):  # the length of a safetensors header may begin with any byte
        return ""
    return next((kind for start, kind in _STARTS if re.match(start, head)), _NAMES.get(path.suffix.lower(), ""))
