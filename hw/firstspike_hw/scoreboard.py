# SPDX-License-Identifier: MIT
"""Scoreboard: tracks the rows in the stages after the sequencer, which must not be read yet."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Scoreboard"]


class Scoreboard(wiring.Component):
    """Tells whether the current row must wait for rows in the next two stages, whose sums are not written yet.

    A row waits while the same row is in either stage. If sums are forwarded, only rows of a marker's passes wait for
    that. If sums are forwarded, or ``drains``, the first row of a marker waits until both stages are empty. ``waits``
    is valid in the same cycle.

    Parameters
    ----------
    rows : int
        Number of rows.
    forwards : bool
        Whether a sum is forwarded to the same row before it is written.
    drains : bool
        Whether markers number other rows than events.

    Members
    -------
    row : In(range(rows))
        Current row.
    enters : In(1)
        The current row enters the next stage at the end of this cycle.
    free : In(1)
        The following stages move.
    marker : In(1)
        The current row belongs to a pass of a marker.
    starting : In(1)
        The current row is the first of its token.
    waits : Out(1)
        The current row must wait.
    """

    row: Signal
    enters: Signal
    free: Signal
    marker: Signal
    starting: Signal
    waits: Signal

    def __init__(self, *, rows: int, forwards: bool, drains: bool = False):
        if rows < 1:
            raise ValueError(f"rows must be at least 1, not {rows!r}")
        self._rows, self._forwards, self._drains = rows, forwards, drains
        super().__init__({
            "row": In(range(rows)), "enters": In(1), "free": In(1), "marker": In(1), "starting": In(1),
            "waits": Out(1),
        })

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self._rows

    @property
    def forwards(self) -> bool:
        """Whether sums are forwarded before they are written."""
        return self._forwards

    @property
    def drains(self) -> bool:
        """Whether markers number other rows than events."""
        return self._drains

    def elaborate(self, platform):
        m = Module()
        valid = [Signal(name=f"{stage}_valid") for stage in ("fetched", "operand")]
        rows = [Signal(range(self._rows), name=f"{stage}_row") for stage in ("fetched", "operand")]
        with m.If(self.free):
            m.d.sync += [valid[0].eq(self.enters), rows[0].eq(self.row), valid[1].eq(valid[0]), rows[1].eq(rows[0])]
        same = Cat(used & (row == self.row) for used, row in zip(valid, rows, strict=True)).any()
        drained = self.starting & Cat(valid).any()
        if self._forwards:
            same = self.marker & (same | drained)
        elif self._drains:
            same = same | (self.marker & drained)
        m.d.comb += self.waits.eq(same)
        return m
