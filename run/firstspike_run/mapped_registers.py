# SPDX-License-Identifier: MIT
"""Registers of a file that maps them, where there is no PYNQ: /dev/uio0, or /dev/mem."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import numpy as np

__all__ = ["MappedRegisters"]


class MappedRegisters:
    """Registers of 32 bits in a mapped file.

    Parameters
    ----------
    path : str or Path
        /dev/uio0, of whose device the mapping begins at 0; or /dev/mem.
    offset : int
        Where they begin in the file: of /dev/mem, the physical address. A multiple of the page size.
    size : int
        Octets to map.

    Raises
    ------
    OSError
        The file cannot be opened or mapped.
    """

    def __init__(self, path: str | Path, *, offset: int = 0, size: int = 4096):
        handle = os.open(str(path), os.O_RDWR | os.O_SYNC)
        try:
            self._mapping = mmap.mmap(handle, size, offset=offset)
        finally:
            os.close(handle)
        self._words = np.frombuffer(self._mapping, dtype=np.uint32)  # NumPy reads and writes an element in one access

    def read(self, offset: int) -> int:
        """Return the register at an octet's offset."""
        return int(self._words[offset // 4])

    def write(self, offset: int, value: int) -> None:
        """Write it."""
        self._words[offset // 4] = value
