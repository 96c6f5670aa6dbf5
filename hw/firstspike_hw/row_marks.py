# SPDX-License-Identifier: MIT
"""Row marks: the rows that events have reached since the last marker, found one after the other."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from firstspike_arch.layer_plan import GROUP_BITS

from .first_one import at_most_one, lowest_one, without_lowest
from .integer_argument import integer_argument

__all__ = ["RowMarks"]


class RowMarks(wiring.Component):
    """Marks rows, and finds those that are marked, in ascending order, again and again, until they are cleared.

    Row 0 is always marked, so that there is always one. Rows are those of several lines, one line after the other, and
    lines are cut into words of `GROUP_BITS` rows. Two registers stand before the row that is found, so that no path
    sees more than the rows of a word or one bit a word: the number of the next word with a mark, then its marks. The
    throughput is one row a cycle, with no idle cycles between words, nor between the last row and the first. The first
    row is found again in cycle c + 5 after one has been marked in cycle c, and at once after they are cleared.

    Parameters
    ----------
    lines : int
        Number of lines.
    line_rows : int
        Rows of a line.
    ports : int
        Rows that can be marked at once.

    Members
    -------
    rows : In(ArrayLayout(range(lines * line_rows), ports)), marks : In(ports)
        Rows, and which of them are marked in this cycle.
    clear : In(1)
        From the next cycle on, row 0 alone is marked; not within five cycles after a mark.
    valid : Out(1)
        A row is found.
    row, line, place : Out(range(lines * line_rows)), Out(range(lines)), Out(range(line_rows))
        The row that is found, its line, and its place there.
    ends : Out(1)
        It is the last one.
    step : In(1)
        Go on to the next row at the end of this cycle; only while ``valid``.
    """

    rows: data.View
    marks: Signal
    clear: Signal
    valid: Signal
    row: Signal
    line: Signal
    place: Signal
    ends: Signal
    step: Signal

    def __init__(self, *, lines: int, line_rows: int, ports: int = 1):
        self._lines, self._line_rows = integer_argument("lines", lines, 1), integer_argument("line_rows", line_rows, 1)
        ports = integer_argument("ports", ports, 1)
        super().__init__({
            "rows": In(data.ArrayLayout(range(lines * line_rows), ports)), "marks": In(ports), "clear": In(1),
            "valid": Out(1), "row": Out(range(lines * line_rows)), "line": Out(range(lines)),
            "place": Out(range(line_rows)), "ends": Out(1), "step": In(1),
        })

    @property
    def lines(self) -> int:
        """Number of lines."""
        return self._lines

    @property
    def line_rows(self) -> int:
        """Rows of a line."""
        return self._line_rows

    def elaborate(self, platform):
        m = Module()
        lines, line_rows = self._lines, self._line_rows
        words = [(line, first) for line in range(lines) for first in range(0, line_rows, GROUP_BITS)]

        # Marks, and which words have some: decoders of long wires have a cycle of their own.
        rows, given = Signal.like(self.rows, name="given_rows"), Signal.like(self.marks, name="given")
        m.d.sync += [rows.eq(self.rows), given.eq(self.marks)]
        hits, marks = Signal(lines * line_rows), Signal(lines * line_rows, init=1)
        m.d.comb += hits.eq(Cat(
            Cat(given[port] & (rows[port] == row) for port in range(len(given))).any() for row in range(len(hits))))

        def cut(bits: Signal) -> list:
            """The words of the rows' bits."""
            return [bits[line * line_rows + first:line * line_rows + min(first + GROUP_BITS, line_rows)]
                    for line, first in words]

        occupied = Signal(len(words), init=1)
        m.d.sync += [marks.eq(Mux(self.clear, 1, marks | hits)),
                     occupied.eq(Mux(self.clear, 1, occupied | Cat(part.any() for part in cut(hits))))]

        # Number of the next word, and the words behind it. A new mark begins the search again.
        again, word, later, ends_words = Signal(), Signal(range(len(words))), Signal(len(words)), Signal(init=1)
        stale, word_taken, source = given.any(), Signal(), Signal(len(words))
        m.d.comb += source.eq(Mux(again | ends_words, occupied, later))
        m.d.sync += again.eq(stale)
        with m.If(self.clear):
            m.d.sync += [word.eq(0), later.eq(0), ends_words.eq(1)]
        with m.Elif(again | word_taken):
            m.d.sync += [word.eq(lowest_one(source)), later.eq(without_lowest(source)),
                         ends_words.eq(at_most_one(source))]

        # Marks of a word that are still to be found, and the row that is found.
        bits, bits_valid, ends_word = Signal(GROUP_BITS, init=1), Signal(init=1), Signal(init=1)
        line, first, first_row = Signal(range(lines)), Signal(range(line_rows)), Signal(range(lines * line_rows))
        found, bit, row_taken, last_bit = Signal(init=1), lowest_one(bits), Signal(), at_most_one(bits)
        m.d.comb += [
            row_taken.eq(~found | self.step), word_taken.eq(~bits_valid | (row_taken & last_bit)),
            self.valid.eq(found & ~stale),
        ]
        with m.If(word_taken):
            m.d.sync += [
                bits.eq(Array(Cat(part, Const(0, GROUP_BITS - len(part))) for part in cut(marks))[word]),
                line.eq(Array(line for line, _ in words)[word]), first.eq(Array(first for _, first in words)[word]),
                first_row.eq(Array(line * line_rows + first for line, first in words)[word]),
                bits_valid.eq(1), ends_word.eq(ends_words),
            ]
        with m.Elif(row_taken):
            m.d.sync += bits.eq(without_lowest(bits))
        ends = Signal(init=1)
        m.d.comb += self.ends.eq(ends)
        with m.If(row_taken):
            m.d.sync += [found.eq(bits_valid), self.row.eq(first_row + bit), self.line.eq(line),
                         self.place.eq(first + bit), ends.eq(ends_word & last_bit)]
        with m.If(stale | again):
            m.d.sync += [bits_valid.eq(0), found.eq(0)]
        with m.If(self.clear):
            m.d.sync += [bits.eq(1), line.eq(0), first.eq(0), first_row.eq(0), bits_valid.eq(1), ends_word.eq(1),
                         found.eq(1), self.row.eq(0), self.line.eq(0), self.place.eq(0), ends.eq(1)]
        return m
