# SPDX-License-Identifier: MIT
"""Shape of a memory."""

from dataclasses import dataclass

from .fixed import CHUNK_BITS, ceil_div

__all__ = ["MemoryShape"]


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
    """

    name: str
    depth: int
    used_bits: int
    loadable: bool = False
    single_port: bool = False
    read_ports: int = 1

    @property
    def chunks(self) -> int:
        return ceil_div(self.used_bits, CHUNK_BITS)

    @property
    def width(self) -> int:
        return self.chunks * CHUNK_BITS
