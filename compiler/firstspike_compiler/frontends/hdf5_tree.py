# SPDX-License-Identifier: MIT
"""Reads HDF5 files from unknown sources in a separate process: their contents, and what cannot be read."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

import numpy as np
from firstspike_arch.file_kind import HDF5, file_kind
from firstspike_arch.shown import said
from safetensors import SafetensorError, deserialize

from ..errors import CompileError

__all__ = ["Tree", "TreeReader"]

_DTYPES = {"I64": np.int64, "F64": np.float64}


@dataclass(frozen=True, kw_only=True, eq=False)
class Tree:
    """Contents of an HDF5 file.

    Parameters
    ----------
    values : dict
        Path of each dataset, such as "/node/nodes/0/weight" → int64 or float64 array, text, or nested lists of text.
    groups : set of str
        Paths of the groups.
    shapes : dict
        Path of each numeric dataset → its shape, also if its numbers are lost.
    errors : dict
        Path → reason why it cannot be read.
    error : str
        Reason why the file is not whole: there are then shapes, but no numbers. "" if it is whole.
    """

    values: dict[str, np.ndarray | str | list]
    groups: set[str]
    shapes: dict[str, tuple[int, ...]]
    errors: dict[str, str]
    error: str


class TreeReader:
    """Reads files one after the other in a child process, which is started again after a file that ended it.

    It is a context manager; `read` may be called any number of times inside.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "TreeReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None,
    ) -> None:
        self._stop()

    def read(self, path: str | Path, *, kind: str = "NIR") -> Tree:
        """Read the contents of one file, which should be of this kind.

        Raises
        ------
        CompileError
            The file is missing or is not HDF5, h5py is not installed, or the HDF5 library crashes or hangs on the file.
        """
        path = Path(path)
        if not path.is_file():
            raise CompileError(f"{path}: must be a {kind} file, but is missing or no file")
        if (found := file_kind(path)) not in ("", HDF5):
            raise CompileError(f"{path}: must be a {kind} file, not {found}")
        if find_spec("h5py") is None:
            raise CompileError(f"h5py must be installed to read {kind} files: pip install 'firstspike[nir]'")
        process = self._process or self._start()
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps(str(path.absolute())).encode() + b"\n")
            process.stdin.flush()
            size = int.from_bytes(head := process.stdout.read(8), "little")
            raw = process.stdout.read(size) if len(head) == 8 else b""
        except OSError:
            head, raw, size = b"", b"", 0
        if len(head) < 8 or len(raw) < size:
            self._stop()
            raise CompileError(f"{path}: must be a {kind} file, but the HDF5 library does not come to an end on it")
        tree = _tree(raw)
        if tree.error and not tree.shapes:
            raise CompileError(f"{path}: must be a {kind} file" + (
                f": {tree.error}" if found else ", which is HDF5, but does not start as one"))
        return tree

    def _start(self) -> subprocess.Popen[bytes]:
        # -P keeps the script's folder off the import path. One thread needs less memory.
        script = Path(__file__).with_name("hdf5_process.py")
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )
        return self._process

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def _tree(raw: bytes) -> Tree:
    try:
        parts = deserialize(raw)
        head = json.loads(json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])["__metadata__"]["tree"])
    except (SafetensorError, KeyError, ValueError) as error:
        raise CompileError(f"what the HDF5 process sends must be whole: {said(error)}") from None
    values: dict[str, np.ndarray | str | list] = {
        name: np.frombuffer(part["data"], dtype=_DTYPES[part["dtype"]]).reshape(part["shape"]) for name, part in parts}
    entries = head["entries"]
    values.update({path: entry["text"] for path, entry in entries.items() if "text" in entry})
    return Tree(
        values=values, groups={path for path, entry in entries.items() if "group" in entry},
        shapes={path: tuple(entry["shape"]) for path, entry in entries.items() if "shape" in entry},
        errors={path: entry["error"] for path, entry in entries.items() if "error" in entry}, error=head["error"],
    )
