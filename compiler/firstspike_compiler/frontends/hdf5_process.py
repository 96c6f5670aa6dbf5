# SPDX-License-Identifier: MIT
"""The child process that reads HDF5 files. `hdf5_tree` runs it as a script; it is never imported.

The HDF5 library loops for ever or crashes on some damaged files. This process therefore limits its processor time and
memory for each file, and its parent reports in one sentence if it has ended. It reads one path a line from standard
input and answers each with a length (8 bytes, little endian) and that many bytes of safetensors: arrays by their path,
and all else as JSON in the header.
"""

import contextlib
import json
import math
import resource
import struct
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np
from safetensors.numpy import save

DEPTH, ENTRIES = 16, 100_000
"""Limits on a file: depth of nested groups, number of entries."""

SHRINKS = 1100
"""Largest ratio of data to file size. No filter of HDF5 compresses more than deflate, 1 : 1032, so a file that claims
more is damaged or hostile."""

LARGEST = 4 << 30
"""Limit on the bytes of all numbers together."""

FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32, h5py.h5z.FILTER_SZIP, 32000}
"""Filters that are part of the library (32000 is LZF); any other would be loaded as a plug-in."""


class Reader:
    """Collects the contents of one file: ``entries`` by path, and their numbers in ``tensors`` by path."""

    def __init__(self, size: int, values: bool):
        self.entries: dict[str, dict] = {}
        self.tensors: dict[str, np.ndarray] = {}
        self._allowed, self._total, self._values = SHRINKS * size + (1 << 20), 0, values

    def walk(self, group: h5py.Group, path: str = "", depth: int = 0) -> None:
        for name in group:
            where = f"{path}/{name}"
            if len(self.entries) >= ENTRIES or depth > DEPTH:
                raise ValueError(f"must have at most {ENTRIES} entries, {DEPTH} deep")
            try:
                if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    raise ValueError("must be in the file, not a link to elsewhere")
                item = group[name]
                if isinstance(item, h5py.Group):
                    self.entries[where] = {"group": True}
                    self.walk(item, where, depth + 1)
                else:
                    self.entries[where] = self._value(where, item)
            except Exception as error:
                self.entries[where] = {"error": " ".join(str(error).split())[:200] or type(error).__name__}

    def _value(self, where: str, item) -> dict:
        if not isinstance(item, h5py.Dataset):
            raise ValueError("must be numbers or text")
        shape: tuple[int, ...] | None = item.shape
        chunks: tuple[int, ...] = item.chunks or ()
        kind = item.dtype
        text = h5py.check_string_dtype(kind) is not None
        if shape is None or not (text or kind.kind in "fiub"):
            raise ValueError(f"must be numbers or text, not {kind}")
        layout = item.id.get_create_plist()
        if item.is_virtual or item.external:
            raise ValueError("must be in the file, not in another")
        if not {layout.get_filter(index)[0] for index in range(layout.get_nfilters())} <= FILTERS:
            raise ValueError("must be compressed by gzip, LZF or szip")
        for part in (shape, chunks):
            count = int(math.prod(part)) * kind.itemsize
            if count > self._allowed or self._total + count > LARGEST:
                raise ValueError(f"must not claim {count} bytes: the file is too small for them")
        if not self._values and not text:
            return {"shape": list(shape)}
        self._total += math.prod(shape) * kind.itemsize
        if text:
            return {"text": np.asarray(item.asstr()[()], dtype=object).tolist()}
        value = np.asarray(item[()])
        self.tensors[where] = np.array(value, dtype=np.int64 if kind.kind in "ib" else np.float64, order="C")
        return {"shape": list(shape)}


def read(path: str) -> bytes:
    size = Path(path).stat().st_size
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime) + 3 + size // (10 << 20)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))
    with contextlib.suppress(ValueError):  # macOS has no such limit
        limit = (2 << 30) + 4 * min(SHRINKS * size, LARGEST)
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
    error, reader = "", Reader(size, values=True)
    try:
        try:
            with h5py.File(path, "r") as file:
                reader.walk(file)
        except OSError as cause:
            error, reader = " ".join(str(cause).split()), Reader(size, values=False)
            with lengthened(path, size) as longer, h5py.File(longer, "r") as file:
                reader.walk(file)
    except Exception as cause:
        error = error or " ".join(str(cause).split())
    head = json.dumps({"error": error, "entries": reader.entries})
    return save(reader.tensors, {"tree": head})


@contextlib.contextmanager
def lengthened(path: str, size: int):
    """Yield the path of a copy of a truncated file, filled up with zeros, so that what stands before the cut can be
    listed."""
    raw = Path(path).read_bytes()
    # Ref: HDF5 file format 3.0, superblock version 0: "end of file address" of 8 bytes at 40
    wanted = int.from_bytes(raw[40:48], "little") if raw[:9] == b"\x89HDF\r\n\x1a\n\0" else 0
    if not size < wanted <= LARGEST:
        raise ValueError("must be a whole HDF5 file")
    with tempfile.NamedTemporaryFile() as copy:
        copy.write(raw)
        copy.truncate(wanted)
        copy.flush()
        yield copy.name


def main() -> None:
    for line in sys.stdin:
        answer = read(json.loads(line))
        sys.stdout.buffer.write(struct.pack("<Q", len(answer)) + answer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
