# SPDX-License-Identifier: MIT
"""The lowest 1 of a word, by shallow trees of gates instead of carry chains; all in the same cycle."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Mux, Value

__all__ = ["at_most", "at_most_one", "lowest_one", "without_lowest"]


def without_lowest(bits: Value) -> Value:
    """The word with its lowest 1 replaced by 0."""
    return Cat(bits[index] & bits[:index].any() for index in range(len(bits)))


def lowest_one(bits: Value) -> Value:
    """The number of the lowest bit that is 1; that of the last bit if there is none."""
    if len(bits) == 1:
        return Const(0)
    digits = (len(bits) - 1).bit_length() - 1
    low, high = bits[:1 << digits], bits[1 << digits:]
    number = Mux(low.any(), lowest_one(low), lowest_one(high))
    return Cat(number[:digits], *(Const(0) for _ in range(digits - len(number))), ~low.any())


def at_most_one(bits: Value) -> Value:
    """High if at most one bit is 1."""
    return at_most(1, bits)


def at_most(most: int, bits: Value) -> Value:
    """High if at most so many bits are 1."""
    return ~_reaches(bits, most + 1)[most]


def _reaches(bits: Value, most: int) -> list[Value]:
    """Whether at least 1, 2, … ``most`` bits are 1."""
    if len(bits) == 1:
        return [bits[0], *(Const(0) for _ in range(most - 1))]
    low, high = _reaches(bits[:len(bits) // 2], most), _reaches(bits[len(bits) // 2:], most)
    return [reduce(or_, (low[count], high[count], *(low[one] & high[count - one - 1] for one in range(count))))
            for count in range(most)]
