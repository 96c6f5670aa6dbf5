# SPDX-License-Identifier: MIT
"""Scoreboard: tracks the rows in the stages after the sequencer, which must not be read yet."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Scoreboard"]


class Scoreboard(wiring.Component):
    """Tells whether the current row must wait for rows in the next stages, whose sums are not written yet.

    A row waits while the same row of the same bank is in one of the stages. If sums are forwarded, only rows of a
    marker's passes wait for that. If sums are forwarded, or ``drains``, the first row of a marker waits until all
    stages are empty. ``waits`` is valid in the same cycle.

    Parameters
    ----------
    rows : int
        Number of rows.
    forwards : bool
        Whether a sum is forwarded to the same row before it is written.
    drains : bool
        Whether markers number other rows than events.
    banks : int
        Number of banks whose rows are compared.
    stages : int
        Number of stages, all of which move together.
    choices : int
        Number of rows of which one is the current row of the only bank; 0: the current rows themselves are compared.

    Members
    -------
    rows : In(ArrayLayout(range(rows), banks))
        Current row of each bank.
    choices : In(ArrayLayout(range(rows), choices)), chosen : In(choices)
        With choices: rows, and which of them is the current one; none, if it need not be compared.
    reached : In(banks)
        Whether each bank is visited.
    enters : In(1)
        The current rows enter the next stage at the end of this cycle.
    free : In(1)
        The following stages move.
    marker : In(1)
        The current rows belong to a pass of a marker.
    starting : In(1)
        The current rows are the first of their token.
    waits : Out(1)
        The current rows must wait.
    """

    rows: data.View
    choices: data.View
    chosen: Signal
    reached: Signal
    enters: Signal
    free: Signal
    marker: Signal
    starting: Signal
    waits: Signal

    def __init__(self, *, rows: int, forwards: bool, drains: bool = False, banks: int = 1, stages: int = 2,
                 choices: int = 0):
        if min(rows, banks, stages) < 1:
            raise ValueError(f"rows, banks and stages must be at least 1, not {rows!r}, {banks!r} and {stages!r}")
        if choices and banks > 1:
            raise ValueError(f"choices must be 0 with several banks, not {choices!r}")
        self._forwards, self._drains, self._stages = forwards, drains, stages
        super().__init__({
            **({"choices": In(data.ArrayLayout(range(rows), choices)), "chosen": In(choices)} if choices else {}),
            "rows": In(data.ArrayLayout(range(rows), banks)), "reached": In(banks), "enters": In(1), "free": In(1),
            "marker": In(1), "starting": In(1), "waits": Out(1),
        })

    @property
    def forwards(self) -> bool:
        """Whether sums are forwarded before they are written."""
        return self._forwards

    @property
    def drains(self) -> bool:
        """Whether markers number other rows than events."""
        return self._drains

    @property
    def stages(self) -> int:
        """Number of stages."""
        return self._stages

    def elaborate(self, platform):
        m = Module()
        same, busy = Const(0), Const(0)
        rows, reached = self.rows, Mux(self.enters, self.reached, 0)
        chooses = hasattr(self, "choices")
        for stage in range(self._stages):
            held = Signal.like(self.rows, name=f"rows{stage}")
            valid = Signal.like(self.reached, name=f"valid{stage}")
            with m.If(self.free):
                m.d.sync += [held.eq(rows), valid.eq(reached)]
            rows, reached, busy = held, valid, busy | valid.any()
            if chooses:
                same = same | (valid & Cat(self.chosen[place] & (held[0] == self.choices[place])
                                           for place in range(len(self.chosen))).any())
            else:
                same = same | Cat(self.reached[bank] & valid[bank] & (held[bank] == self.rows[bank])
                                  for bank in range(len(valid))).any()
        drained = self.starting & busy
        if self._forwards:
            same = self.marker & (same | drained)
        elif self._drains:
            same = same | (self.marker & drained)
        m.d.comb += self.waits.eq(same)
        return m
