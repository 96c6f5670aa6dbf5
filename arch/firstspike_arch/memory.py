# SPDX-License-Identifier: MIT
"""Shape of a memory."""

from dataclasses import dataclass

from .fixed import CHUNK_BITS, ceil_div

__all__ = ["LUT_RAM_DEPTH", "MemoryShape"]

LUT_RAM_DEPTH = 64
"""Depth up to which synthesis makes LUT RAM of a memory by itself, on a device that has it."""


@dataclass(frozen=True, kw_only=True)
class MemoryShape:
    """Shape of a memory: ``depth`` words of ``used_bits``, padded to a ``width`` of whole program-port chunks.

    Parameters
    ----------
    name : str
    depth, used_bits : int
        Number of words, and bits used of each.
    loadable : bool
        Whether the program port writes the memory, chunk by chunk.
    single_port : bool
        Whether the memory has a single port and no initial contents.
    read_ports : int
        Words that are read in one cycle, 1 or 2.
    lut_ram : bool
        Whether synthesis must make LUT RAM of it, however deep it is.
    """

    name: str
    depth: int
    used_bits: int
    loadable: bool = False
    single_port: bool = False
    read_ports: int = 1
    lut_ram: bool = False

    @property
    def chunks(self) -> int:
        return ceil_div(self.used_bits, CHUNK_BITS)

    @property
    def width(self) -> int:
        return self.chunks * CHUNK_BITS
