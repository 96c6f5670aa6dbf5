# SPDX-License-Identifier: MIT
"""Read-out: rows of output spikes and membranes become a class with its evidence."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out
from firstspike_arch.array import LayerPlan
from firstspike_arch.backend import DecidedBy
from firstspike_arch.network import IntegerNetwork
from firstspike_arch.result import ResultLayout

from .core import capture_signature, drop_signature

__all__ = ["Readout", "result_struct"]

OPEN_MAX = 2
"""Inferences whose result is not yet taken, beyond which the first row of another is not granted."""


def result_struct(layout: ResultLayout) -> data.StructLayout:
    """`firstspike_arch.result` as an Amaranth layout."""
    return data.StructLayout({
        "label": layout.class_bits, "step": layout.step_bits, "decided_by": 2,
        "scores": data.ArrayLayout(signed(layout.score_bits), layout.classes),
    })


class Readout(wiring.Component):
    """Class, decision step, what decided, and a score for each class.

    A tournament over the lanes of a row, one level a cycle; the winner then meets the best of the rows before. A row
    captured in cycle c with the last of its step decides ``latency`` cycles later; the result is offered in the cycle
    after. Rows may follow each other every cycle.

    With ``early_exit`` the result is offered as soon as a step decides, and ``drop`` names the inference until its
    final row has passed; otherwise it is offered after the final row.

    Members
    -------
    capture : In(capture_signature(rows, lanes, value_bits))
    result : Out(stream.Signature(result_struct(layout)))
    drop : Out(drop_signature(tag_bits))
    closes : Out(1)
        The final row of an inference has passed.
    """

    def __init__(
        self, *, network: IntegerNetwork, plan: LayerPlan, layout: ResultLayout, value_bits: int, early_exit: bool,
        tag_bits: int,
    ):
        self._network, self._plan, self._layout = network, plan, layout
        self._value_bits, self._early_exit, self._tag_bits = value_bits, early_exit, tag_bits
        super().__init__({
            "capture": In(capture_signature(plan.rows, plan.lanes, value_bits)),
            "result": Out(stream.Signature(result_struct(layout))),
            "drop": Out(drop_signature(tag_bits)), "closes": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        network, plan, layout = self._network, self._plan, self._layout
        rows, lanes = plan.rows, plan.lanes
        readout, single = network.readout, network.layers[-1].neuron.single_spike
        first = readout == "first_spike" or (readout == "weighted_spikes" and single)

        # The row, its step, and what it scores.
        stage = _RowStage(m, "captured", rows)
        step = Signal(range(network.steps_max))
        spikes = Signal(lanes)
        m.d.sync += [
            stage.valid.eq(self.capture.valid), stage.row.eq(self.capture.row), stage.last.eq(self.capture.last),
            stage.final.eq(self.capture.final), spikes.eq(self.capture.spikes),
        ]
        with m.If(stage.valid & stage.last):
            m.d.sync += step.eq(Mux(stage.final, 0, step + 1))
        m.d.comb += stage.step.eq(step)
        if self._value_bits:
            scores = [Signal(signed(layout.score_bits), name=f"score{lane}") for lane in range(lanes)]
            m.d.sync += [score.eq(self.capture.values[lane]) for lane, score in enumerate(scores)]
        elif first:
            scores = [spike.as_signed() for spike in spikes]
        else:
            scores = self._accumulate(m, stage, spikes)
        ranks = [score if self._value_bits or not first else Const(0, 1) for score in scores]
        fired = spikes if first else Const(0, lanes)
        absent = rows * lanes - plan.neurons
        nodes = []
        for lane in range(lanes):
            here = Const(1) if lane < lanes - absent else stage.row != rows - 1
            nodes.append(_Node(rank=ranks[lane], fired=fired[lane], index=Const(lane, range(lanes)), here=here,
                               tied=Const(0), several=Const(0)))

        # The tournament.
        level = 0
        while len(nodes) > 1:
            stage, scores = stage.delayed(m, f"level{level}"), _registered(m, scores, f"level{level}_score")
            merged = [left if right is None else _better(left, right)
                      for left, right in zip(nodes[::2], [*nodes[1::2], None], strict=False)]
            nodes = [node.registered(m, f"level{level}_{place}") for place, node in enumerate(merged)]
            level += 1
        winner = nodes[0]
        winner = winner.with_index(stage.row * lanes + winner.index if rows > 1 else winner.index)
        if rows > 1:
            best = winner.like("best")
            joined = _better(best, winner)
            candidate = winner.like("candidate")
            m.d.comb += candidate.assign(_select(stage.row == 0, winner, joined))
            with m.If(stage.valid):
                m.d.sync += best.assign(candidate)
            winner = candidate

        # The decision.
        decided = Signal()
        ends_step = stage.valid & stage.last
        ends = ends_step & stage.final
        settles = ends_step & ((winner.fired & first) | stage.final) & ~decided
        held = Signal(result_struct(layout))
        silent = ~winner.fired if first else (winner.rank == 0)
        if readout == "potential":
            silent = Const(0)
        by = Mux(silent, DecidedBy.SILENT.value, Mux(winner.tied, DecidedBy.TIE_BY_INDEX.value, Mux(
            winner.several, DecidedBy.TIE_BY_MEMBRANE.value, DecidedBy.PLAIN.value)))
        with m.If(stage.valid & ~decided):
            for index in range(plan.neurons):
                with m.If(stage.row == index // lanes):
                    m.d.sync += held.scores[index].eq(scores[index % lanes])
        with m.If(settles):
            m.d.sync += [held.label.eq(winner.index), held.step.eq(stage.step), held.decided_by.eq(by)]
        m.d.comb += self.closes.eq(ends)
        m.d.sync += decided.eq((decided | settles) & ~ends)
        push = Signal()
        m.d.sync += push.eq(settles if self._early_exit else ends)
        tag = Signal(self._tag_bits)
        with m.If(ends):
            m.d.sync += [tag.eq(tag + 1), self.drop.valid.eq(0)]
        with m.Elif(settles & bool(self._early_exit)):
            m.d.sync += [self.drop.valid.eq(1), self.drop.tag.eq(tag)]

        # Results wait in a queue that never fills: rows are granted only while it has room for what they decide.
        m.submodules.results = results = SyncFIFO(width=layout.bits, depth=OPEN_MAX)
        is_open = Signal(range(OPEN_MAX + 1))
        opened = self.capture.request & self.capture.opening & self.capture.grant
        popped = self.result.valid & self.result.ready
        m.d.sync += is_open.eq(is_open + opened - popped)
        m.d.comb += [
            self.capture.grant.eq(~self.capture.opening | (is_open != OPEN_MAX)),
            results.w_data.eq(held.as_value()), results.w_en.eq(push),
            self.result.payload.eq(results.r_data), self.result.valid.eq(results.r_rdy),
            results.r_en.eq(self.result.ready),
        ]
        return m

    def _accumulate(self, m: Module, stage: "_RowStage", spikes) -> list:
        """Σ w[t]·s[t] of each output neuron, in a ring of rows; the value includes the current row's spikes."""
        network, plan, bits = self._network, self._plan, self._layout.score_bits
        weight = Const(1)
        if network.readout == "weighted_spikes":
            weight = Array(Const(value, bits) for value in network.step_weights[:network.steps_max])[stage.step]
        totals = []
        for lane in range(plan.lanes):
            ring = [Signal(signed(bits), name=f"sum{row}_{lane}") for row in range(plan.rows)]
            total = Signal(signed(bits), name=f"total{lane}")
            m.d.comb += total.eq(ring[0] + Mux(spikes[lane], weight, 0))
            with m.If(stage.valid):
                m.d.sync += [older.eq(newer) for older, newer in
                             zip(ring, [*ring[1:], Mux(stage.final, 0, total)], strict=True)]
            totals.append(total)
        return totals


class _RowStage:
    """What accompanies a row through the pipeline."""

    def __init__(self, m: Module, name: str, rows: int):
        self.valid, self.last = Signal(name=f"{name}_valid"), Signal(name=f"{name}_last")
        self.final, self.row = Signal(name=f"{name}_final"), Signal(range(rows), name=f"{name}_row")
        self.step = Signal(16, name=f"{name}_step")
        self._rows = rows

    def delayed(self, m: Module, name: str) -> "_RowStage":
        later = _RowStage(m, name, self._rows)
        m.d.sync += [
            later.valid.eq(self.valid), later.last.eq(self.last), later.final.eq(self.final), later.row.eq(self.row),
            later.step.eq(self.step),
        ]
        return later


class _Node:
    """The best of some neurons: rank and index, whether it fired, shares its rank, is not the only one to fire."""

    FIELDS = ("rank", "fired", "index", "here", "tied", "several")

    def __init__(self, **values):
        for field in self.FIELDS:
            setattr(self, field, values[field])

    def like(self, name: str) -> "_Node":
        """Signals of the same shapes."""
        return _Node(**{
            field: Signal(Cat(getattr(self, field)).shape() if field != "rank" else self.rank.shape(),
                          name=f"{name}_{field}", reset_less=True)
            for field in self.FIELDS
        })

    def assign(self, other: "_Node") -> list:
        return [getattr(self, field).eq(getattr(other, field)) for field in self.FIELDS]

    def registered(self, m: Module, name: str) -> "_Node":
        later = self.like(name)
        m.d.sync += later.assign(self)
        return later

    def with_index(self, index) -> "_Node":
        return _Node(**{field: index if field == "index" else getattr(self, field) for field in self.FIELDS})


def _select(condition, left: _Node, right: _Node) -> _Node:
    return _Node(**{field: Mux(condition, getattr(left, field), getattr(right, field)) for field in _Node.FIELDS})


def _better(left: _Node, right: _Node) -> _Node:
    """The larger of (here, fired, rank); the left one, whose index is lower, if they are equal."""
    def key(node: _Node):
        width = len(node.rank)
        return Cat(node.rank[:width - 1], ~node.rank[width - 1], node.fired, node.here)

    wins, equal = key(left) >= key(right), key(left) == key(right)
    several = (left.fired & right.fired) | left.several | right.several
    node = _select(wins, left, right)
    return _Node(rank=node.rank, fired=node.fired, index=node.index, here=node.here, tied=node.tied | equal,
                 several=several)


def _registered(m: Module, values: list, name: str) -> list:
    later = [Signal.like(value, name=f"{name}{index}") for index, value in enumerate(values)]
    m.d.sync += [register.eq(value) for register, value in zip(later, values, strict=True)]
    return later
