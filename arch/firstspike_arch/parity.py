# SPDX-License-Identifier: MIT
"""Parity of memory words: how many bits there are, what each covers, and their values."""

from functools import lru_cache

from .fixed import ceil_div

__all__ = ["PARITY_GROUP_BITS", "parity_bits", "parity_of"]

PARITY_GROUP_BITS = 8
"""Most data bits that one bit of parity covers. Block RAM of 18 kbit has 2 spare bits beside 16, so that a chunk of a
memory word, 32 bits with a write enable of their own, has four for nothing."""


def parity_bits(width: int) -> int:
    """Return the number of parity bits of so many data bits."""
    return ceil_div(width, PARITY_GROUP_BITS)


def parity_of(word: int, width: int) -> int:
    """Return the parity bits of a word of ``width`` data bits.

    Bit g of P is the sum, modulo 2, of data bits g, g + P, g + 2 P, …: neighbouring bits are in different groups, so
    that an upset of up to P neighbours is noticed, too. The parity of 0 is 0.
    """
    return sum(((word & mask).bit_count() & 1) << group for group, mask in enumerate(_masks(width)))


@lru_cache(maxsize=256)
def _masks(width: int) -> tuple[int, ...]:
    count = parity_bits(width)
    return tuple(sum(1 << bit for bit in range(group, width, count)) for group in range(count))
