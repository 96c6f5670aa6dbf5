# SPDX-License-Identifier: MIT
"""Winner of a row: the output neuron with the best score, found by many comparators or by one."""

from functools import reduce
from operator import or_
from typing import TypeAlias

import numpy as np
from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, ValueLike, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .integer_argument import integer_argument
from .score_window import row_stream

__all__ = ["Contender", "LaneScan", "Tournament", "better", "contender_struct", "register"]

Contender: TypeAlias = "data.View[data.StructLayout]"
"""A signal of a `contender_struct`."""


def contender_struct(*, rank_bits: int, neurons: int) -> data.StructLayout:
    """The best of some neurons.

    ``rank``: its score; ``index``: its number; ``fired``: it, or one that it beat, fired; ``here``: it exists, as not
    all lanes of a layer's last row do; ``tied``: another had the same rank; ``several``: more than one fired.
    """
    return data.StructLayout({
        "rank": signed(rank_bits), "fired": 1, "index": range(neurons), "here": 1, "tied": 1, "several": 1,
    })


def better(m: Module, left: Contender, right: Contender, name: str, *, by_index: bool = False) -> Contender:
    """The larger of (here, fired, rank); if they are equal, the one of lower index: that is the left one, unless they
    are to be compared ``by_index``. In the same cycle."""
    def key(node: Contender, other: Contender) -> Value:
        # Signs count the other way round, as the lower index does.
        return Cat(node.rank[:-1], other.rank[-1], node.fired, node.here)

    best = Signal(left.shape(), name=name)
    keys = key(left, right), key(right, left)
    wins, equal = keys[0] >= keys[1], keys[0] == keys[1]
    if by_index:
        wins = Cat(right.index, keys[0]) >= Cat(left.index, keys[1])
    m.d.comb += [
        best.rank.eq(Mux(wins, left.rank, right.rank)), best.index.eq(Mux(wins, left.index, right.index)),
        best.tied.eq(Mux(wins, left.tied, right.tied) | equal),
        # Only neurons that are here fire, so these follow without waiting for the comparison.
        best.fired.eq(left.fired | right.fired), best.here.eq(left.here | right.here),
        best.several.eq((left.fired & right.fired) | left.several | right.several),
    ]
    return best


def register(m: Module, contender: Contender, name: str, *, enable: ValueLike = 1) -> Contender:
    """The contender, one cycle later, as it was when ``enable`` was last high.

    Each field has a register of its own: synthesis then leaves out those that nobody needs or that are constant.
    """
    later = Signal(contender.shape(), name=name)
    for field, _ in contender.shape():
        held = Signal.like(contender[field], name=f"{name}_{field}", reset_less=True)
        m.d.comb += later[field].eq(held)
        with m.If(enable):
            m.d.sync += held.eq(contender[field])
    return later


class _Winner(wiring.Component):
    """Arguments and ports that both ways to find the winner of a row share."""

    row: stream.Interface
    ranks: data.View
    fired: Signal
    met: stream.Interface
    best: Contender
    opens: Signal
    busy: Signal

    def __init__(self, *, order: np.ndarray, rank_bits: int, **ports):
        order = np.asarray(order)
        if order.ndim != 2 or 0 in order.shape or order.min() < -1 or sorted(order[order >= 0]) != list(
            range(int((order >= 0).sum()))
        ):
            raise ValueError("order must be the neurons 0, 1, … and −1, one for each lane of each row, not of shape "
                             f"{order.shape} up to {int(order.max(initial=-1))}")
        self._order, (rows, lanes) = order, order.shape
        self._rank_bits = integer_argument("rank_bits", rank_bits, 1)
        self._contender = contender_struct(rank_bits=rank_bits, neurons=order.size)
        super().__init__({
            "row": In(row_stream(rows)), "ranks": In(data.ArrayLayout(signed(rank_bits), lanes)),
            "fired": In(lanes), "met": Out(row_stream(rows)), "best": Out(self._contender), "opens": Out(1),
            "busy": Out(1), **ports,
        })

    @property
    def order(self) -> np.ndarray:
        """Number of the neuron in each lane of each row; −1: none."""
        return self._order

    @property
    def rank_bits(self) -> int:
        """Width of a score."""
        return self._rank_bits

    @property
    def ascends(self) -> bool:
        """Whether neurons come in the order of their numbers."""
        return bool((np.diff(self._order[self._order >= 0]) > 0).all())

    @property
    def _lanes(self) -> int:
        return self._order.shape[1]

    @property
    def _rows(self) -> int:
        return self._order.shape[0]

    def _contender_at(self, m: Module, place: int, lane: int | Value, name: str) -> Contender:
        """The neuron whose rank is at a place of the window; it may be in any ``lane`` of the row."""
        one, row, count = Signal(self._contender, name=name), self.row.payload.number, int(self._order.max()) + 1
        at = row * self._lanes + lane if self._rows > 1 else lane
        index, here = at, (row != self._rows - 1) | (lane < count - (self._rows - 1) * self._lanes)
        in_place = np.where(np.arange(self._order.size) < count, np.arange(self._order.size), -1)
        if (self._order.ravel() != in_place).any():
            # A table over the rows, or over all places if it may be any lane.
            column = self._order[:, lane] if isinstance(lane, int) else self._order.ravel()
            where = row if isinstance(lane, int) else at
            index = Array(max(0, number) for number in column.tolist())[where]
            here = Array(int(number >= 0) for number in column.tolist())[where]
        m.d.comb += [
            one.rank.eq(self.ranks[place]), one.fired.eq(self.fired[place]), one.index.eq(index), one.here.eq(here),
        ]
        return one


class Tournament(_Winner):
    """Finds the best of a row by comparators between lanes, in a tree with a register behind each of its levels.

    Throughput: one row a cycle. Latency: one cycle a level, ⌈log2(lanes)⌉; alone in its step, a row needs no register
    behind the last.

    Parameters
    ----------
    order : int[rows, lanes]
        Number of the neuron in each lane of each row; −1: none.
    rank_bits : int
        Width of a score.

    Members
    -------
    row : In(row_stream(rows))
    ranks : In(data.ArrayLayout(signed(rank_bits), lanes)), fired : In(lanes)
        Scores of the row's neurons, and which of them fired.
    met : Out(row_stream(rows))
        The row to which ``best`` belongs.
    best : Out(contender_struct(...))
    opens : Out(1)
        ``best`` is the first of a step: no other is to be compared with it.
    busy : Out(1)
        A row is in the tree that is not met in this cycle.
    """

    def __init__(self, *, order: np.ndarray, rank_bits: int):
        super().__init__(order=order, rank_bits=rank_bits)

    def elaborate(self, platform):
        m = Module()
        nodes = [self._contender_at(m, lane, lane, f"lane{lane}") for lane in range(self._lanes)]
        valid, row, level, waiting = self.row.valid, self.row.payload, 0, []
        # With banks, a row holds neurons of several positions.
        mixed = any((np.diff(one[one >= 0]) < 0).any() for one in self._order)
        while len(nodes) > 1:
            merged = [nodes[place] if place + 1 == len(nodes) else
                      better(m, nodes[place], nodes[place + 1], f"level{level}_better{place // 2}", by_index=mixed)
                      for place in range(0, len(nodes), 2)]
            if len(merged) == 1 and self._rows == 1:
                nodes = merged
                break
            waiting.append(valid)
            valid_later, later = Signal(name=f"level{level}_valid"), Signal.like(row, name=f"level{level}_row")
            m.d.sync += [valid_later.eq(valid), later.eq(row)]
            nodes = [register(m, node, f"level{level}_{place}") for place, node in enumerate(merged)]
            valid, row, level = valid_later, later, level + 1
        m.d.comb += [
            self.met.valid.eq(valid), self.met.payload.eq(row),
            self.best.eq(nodes[0]), self.opens.eq(row.number == 0), self.busy.eq(reduce(or_, waiting, Const(0))),
        ]
        return m


class LaneScan(_Winner):
    """Leads one lane after another to one comparator, beside a turning `ScoreWindow`.

    Throughput: one lane a cycle. Latency: the last lane of a row that is valid from cycle c on is met in
    c + lanes − 1, and the row with it.

    Parameters
    ----------
    order : int[rows, lanes]
        Number of the neuron in each lane of each row; −1: none.
    rank_bits : int
        Width of a score.

    Members
    -------
    row : In(row_stream(rows))
    ranks : In(data.ArrayLayout(signed(rank_bits), lanes)), fired : In(lanes)
        Scores of the row's neurons, and which of them fired; only the lowest are looked at, and they turn.
    met : Out(row_stream(rows))
        The row to which ``best`` belongs; ``last``: and it is the last neuron of a step.
    best : Out(contender_struct(...))
    opens : Out(1)
        ``best`` is the first of a step: no other is to be compared with it.
    busy : Out(1)
        A row stands that is not met to its end in this cycle.
    finished : Out(1)
        The row's last lane is at the comparator.
    """

    finished: Signal

    def __init__(self, *, order: np.ndarray, rank_bits: int):
        super().__init__(order=order, rank_bits=rank_bits, finished=Out(1))

    def elaborate(self, platform):
        m = Module()
        row, met = self.row, self.met
        position = Signal(range(self._lanes))
        with m.If(row.valid):
            m.d.sync += position.eq(Mux(self.finished, 0, position + 1))
        m.d.comb += [
            self.finished.eq(position == self._lanes - 1), met.valid.eq(row.valid), met.payload.eq(row.payload),
            met.payload.last.eq(row.payload.last & self.finished),
            self.best.eq(self._contender_at(m, 0, position, "lane")),
            self.opens.eq((row.payload.number == 0) & (position == 0)), self.busy.eq(row.valid & ~self.finished),
        ]
        return m
