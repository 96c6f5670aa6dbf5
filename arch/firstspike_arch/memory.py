# SPDX-License-Identifier: MIT
"""Shape of a memory."""

from dataclasses import dataclass

from .fixed import CHUNK_BITS, ceil_div
from .parity import parity_bits, parity_of

__all__ = ["LUT_RAM_DEPTH", "MemoryShape"]

LUT_RAM_DEPTH = 64
"""Depth up to which synthesis may make LUT RAM of a memory by itself, on a device that has it; on some the width
counts, too (`Device.makes_lut_ram`)."""


@dataclass(frozen=True, kw_only=True)
class MemoryShape:
    """Shape of a memory: ``depth`` words of ``used_bits``, padded to a ``width`` of whole program-port chunks.

    With ``parity``, each chunk has parity bits (`firstspike_arch.parity`) behind its used bits. Whoever gives or takes
    contents has words without them (`stored`).

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
    parity : bool
        Whether the chunks of a loadable memory carry parity.
    """

    name: str
    depth: int
    used_bits: int
    loadable: bool = False
    single_port: bool = False
    read_ports: int = 1
    lut_ram: bool = False
    parity: bool = False

    @property
    def chunks(self) -> int:
        return ceil_div(self.used_bits, CHUNK_BITS)

    @property
    def chunk_bits(self) -> int:
        """Width of a chunk as it is stored."""
        return CHUNK_BITS + self.parity * parity_bits(CHUNK_BITS)

    @property
    def width(self) -> int:
        return self.chunks * self.chunk_bits

    @property
    def data_bits(self) -> tuple[int, ...]:
        """Used bits of each chunk, without parity."""
        return tuple(min(CHUNK_BITS, self.used_bits - first) for first in range(0, self.used_bits, CHUNK_BITS))

    @property
    def stored_bits(self) -> int:
        """Used bits of a word as it is stored, which are the lowest ones: those of `places`, and those of parity."""
        return self.used_bits + self.parity * sum(map(parity_bits, self.data_bits))

    @property
    def places(self) -> tuple[int, ...]:
        """Bit of the stored word that holds each used bit."""
        return tuple(chunk * self.chunk_bits + bit for chunk, bits in enumerate(self.data_bits) for bit in range(bits))

    def stored(self, word: int) -> int:
        """Return a word as the memory holds it."""
        if not self.parity:
            return word
        found = 0
        for chunk, bits in enumerate(self.data_bits):
            data = word >> chunk * CHUNK_BITS & (1 << bits) - 1
            found |= (data | parity_of(data, bits) << bits) << chunk * self.chunk_bits
        return found

    def data_of(self, stored: int) -> int:
        """Return the word without parity that a memory holds, whether the parity fits it or not."""
        if not self.parity:
            return stored
        return sum((stored >> chunk * self.chunk_bits & (1 << bits) - 1) << chunk * CHUNK_BITS
                   for chunk, bits in enumerate(self.data_bits))
