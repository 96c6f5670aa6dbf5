# SPDX-License-Identifier: MIT
"""Shape of a memory."""

from dataclasses import dataclass

from .fixed import CHUNK_BITS, ceil_div

__all__ = ["MemoryShape"]


@dataclass(frozen=True, kw_only=True)
class MemoryShape:
    """Depth in words, and width in bits: a whole number of program-port chunks.

    ``loadable``: the program port writes it, chunk by chunk. ``single_port``: it has one port, and no initial contents.
    """

    name: str
    depth: int
    used_bits: int
    loadable: bool = False
    single_port: bool = False

    @property
    def chunks(self) -> int:
        return ceil_div(self.used_bits, CHUNK_BITS)

    @property
    def width(self) -> int:
        return self.chunks * CHUNK_BITS
