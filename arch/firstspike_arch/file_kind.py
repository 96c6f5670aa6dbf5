# SPDX-License-Identifier: MIT
"""Tells what a file is by its first bytes, for messages about files that are something else."""

import zipfile
from pathlib import Path

__all__ = ["HDF5", "file_kind"]

HDF5 = "an HDF5 file"

_STARTS = (
    (b"\x89HDF\r\n\x1a\n", HDF5),
    (b"version https://git-lfs", "a pointer of Git LFS to the file, which 'git lfs pull' fetches"),
    (b"\x93NUMPY", "an array of NumPy (.npy)"),
    (b"\x80", "a Python pickle, such as an old file of torch"),
    (b"<", "a page of HTML or XML, perhaps one that came instead of the file"),
)
"""First bytes, and what a file that has them is."""


def file_kind(path: str | Path) -> str:
    """What a file is, such as "an array of NumPy (.npy)"; "" if it is not known or cannot be read."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(32)
        if head[:4] == b"PK\x03\x04":
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
            if any(name.endswith("data.pkl") for name in names):
                return "a file of torch, whose numbers do not say how the network runs"
            arrays = names and all(name.endswith(".npy") for name in names)
            return "an archive of NumPy's arrays (.npz)" if arrays else "a zip archive"
    except (OSError, zipfile.BadZipFile, ValueError):
        return ""
    if head[4:8] == bytes(4):  # the length of a safetensors header may begin with any byte
        return ""
    return next((kind for start, kind in _STARTS if head.startswith(start)), "")
