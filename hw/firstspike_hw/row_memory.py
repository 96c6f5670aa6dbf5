# SPDX-License-Identifier: MIT
"""Membrane rows: a ring of registers for few rows, LUT RAM for many."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from firstspike_arch.array import REGISTER_ROWS_MAX

__all__ = ["RowMemory"]


class RowMemory(wiring.Component):
    """Rows that are visited round-robin: row r is read in the cycle in which it is replaced.

    Up to `REGISTER_ROWS_MAX` rows rotate through registers: no address, no multiplexer. More rows live in a memory
    with asynchronous read, whose word of row ``peek_row`` is registered into ``value`` for the next cycle.

    Parameters
    ----------
    rows, width : int
    init : sequence of int
        Power-up value of each register row. Rows that later restart from the same constant cost no multiplexer: a
        flip-flop's set or reset must go with its power-up value.

    Members
    -------
    peek_row : In(range(rows))
        Row of the pass one stage earlier; its word is on ``peek``.
    peek : Out(width)
        That row before the current write. With one row: the row itself.
    value : Out(width)
        The row to be replaced now.
    row : In(range(rows))
    advance : In(1)
        Replace ``value`` by ``next``.
    next : In(width)
    """

    def __init__(self, *, rows: int, width: int, init: Sequence[int] = ()):
        self._rows, self._width = rows, width
        self._init = init or [0] * rows
        super().__init__({
            "peek_row": In(range(rows)), "peek": Out(width), "value": Out(width),
            "row": In(range(rows)), "advance": In(1), "next": In(width),
        })

    def elaborate(self, platform):
        m = Module()
        if self._rows <= REGISTER_ROWS_MAX:
            ring = [
                Signal(self._width, name=f"row{index}", init=self._init[index], reset_less=True)
                for index in range(self._rows)
            ]
            m.d.comb += [self.value.eq(ring[0]), self.peek.eq(ring[min(1, self._rows - 1)])]
            with m.If(self.advance):
                m.d.sync += [older.eq(newer) for older, newer in zip(ring, [*ring[1:], self.next], strict=True)]
        else:
            m.submodules.rows = rows = Memory(shape=self._width, depth=self._rows, init=[])
            read, write = rows.read_port(domain="comb"), rows.write_port()
            value = Signal(self._width, reset_less=True)
            m.d.sync += value.eq(read.data)
            m.d.comb += [
                read.addr.eq(self.peek_row), self.peek.eq(read.data), self.value.eq(value),
                write.addr.eq(self.row), write.data.eq(self.next), write.en.eq(self.advance),
            ]
        return m


def lanes_of(word, width: int) -> list:
    """Slices of a row word, one a lane."""
    return [word[start:start + width] for start in range(0, len(Cat(word)), width)]
