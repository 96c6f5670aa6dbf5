# SPDX-License-Identifier: MIT
"""The lowest ones of a word, by shallow trees of gates instead of carry chains."""

from amaranth.hdl import Cat, Const, Mux

__all__ = ["at_most_one", "lowest_one", "without_lowest"]


def without_lowest(bits):
    """The word without its lowest one."""
    return Cat(bits[index] & bits[:index].any() for index in range(len(bits)))


def lowest_one(bits):
    """Number of the lowest one; that of the last bit if there is none."""
    number = Const(len(bits) - 1, range(max(len(bits), 2)))
    for index in reversed(range(len(bits) - 1)):
        number = Mux(bits[index], index, number)
    return number


def at_most_one(bits):
    """Whether at most one bit is set."""
    def count(part):
        if len(part) == 1:
            return part[0], Const(0)
        (any_low, many_low), (any_high, many_high) = count(part[:len(part) // 2]), count(part[len(part) // 2:])
        return any_low | any_high, many_low | many_high | (any_low & any_high)

    return ~count(bits)[1]
