# SPDX-License-Identifier: MIT
"""The lowest 1 of a word, by shallow trees of gates instead of carry chains; all in the same cycle."""

from amaranth.hdl import Cat, Const, Mux, Value

__all__ = ["at_most_one", "lowest_one", "without_lowest"]


def without_lowest(bits: Value) -> Value:
    """The word with its lowest 1 replaced by 0."""
    return Cat(bits[index] & bits[:index].any() for index in range(len(bits)))


def lowest_one(bits: Value) -> Value:
    """The number of the lowest bit that is 1; that of the last bit if there is none."""
    number: Value = Const(len(bits) - 1, range(max(len(bits), 2)))
    for index in reversed(range(len(bits) - 1)):
        number = Mux(bits[index], index, number)
    return number


def at_most_one(bits: Value) -> Value:
    """High if at most one bit is 1."""
    def count(part: Value) -> tuple[Value, Value]:
        """Whether any bit is 1, and whether several are."""
        if len(part) == 1:
            return part[0], Const(0)
        (any_low, many_low), (any_high, many_high) = count(part[:len(part) // 2]), count(part[len(part) // 2:])
        return any_low | any_high, many_low | many_high | (any_low & any_high)

    return ~count(bits)[1]
