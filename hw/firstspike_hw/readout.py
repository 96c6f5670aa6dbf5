# SPDX-License-Identifier: MIT
"""Read-out: rows of output spikes and membranes become a class with its evidence."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from firstspike_arch.array import LayerPlan
from firstspike_arch.backend import DecidedBy
from firstspike_arch.network import IntegerNetwork
from firstspike_arch.result import ResultLayout

from .capture import capture_signature
from .sequencer import drop_signature

__all__ = ["Readout", "result_struct"]


def result_struct(layout: ResultLayout) -> data.StructLayout:
    """`firstspike_arch.result` as an Amaranth layout."""
    return data.StructLayout({
        "label": layout.class_bits, "step": layout.step_bits, "decided_by": 2,
        "scores": data.ArrayLayout(signed(layout.score_bits), layout.classes),
    })


class Readout(wiring.Component):
    """Class, decision step, what decided, and a score for each class.

    The scores of a step stay where they were captured while the winner is found: by a tournament over the lanes of a
    row, one level a cycle (``winner`` "tree"), or by one comparator that meets one lane a cycle ("scan"). The last row
    of a step, captured in cycle c, decides in cycle c + 1 + `readout_cycles`; a result is offered from then until it is
    taken.

    One step is decided at a time: its first row ("scan": any row) is granted from the cycle in which the row before
    decides, and not while a result is offered. Rows that can decide nothing do not enter, and hold up none: if the
    earliest spike decides and the layer has one row, those without a spike and those after the decision; if it does
    not, all but those of the final step.

    With ``early_exit`` the result is offered as soon as a step decides, and ``drop`` names the inference until its
    final row has passed; otherwise it is offered after the final row.

    Members
    -------
    capture : In(capture_signature(rows, lanes, value_bits, magnitude_bits))
    result : Out(stream.Signature(result_struct(layout)))
    drop : Out(drop_signature(tag_bits))
    closes : Out(1)
        The final row of an inference has passed.
    """

    def __init__(
        self, *, network: IntegerNetwork, plan: LayerPlan, layout: ResultLayout, value_bits: int, early_exit: bool,
        scan: bool, tag_bits: int,
    ):
        self._network, self._plan, self._layout = network, plan, layout
        self._value_bits, self._early_exit, self._scan, self._tag_bits = value_bits, early_exit, scan, tag_bits
        self._magnitudes = network.layers[-1].out_layout.value_bits
        super().__init__({
            "capture": In(capture_signature(plan.rows, plan.lanes, value_bits,
                                            network.layers[-1].out_layout.value_bits)),
            "result": Out(stream.Signature(result_struct(layout))),
            "drop": Out(drop_signature(tag_bits)), "closes": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        network, rows = self._network, self._plan.rows
        first = network.earliest_decides
        decided = Signal()
        row = self._build_window(m, decided)
        stage, candidate, opens = (self._scan_lanes if self._scan else self._build_tournament)(m, row)
        best = candidate.like("best")
        if self._scan or rows > 1:
            candidate = _select(opens, candidate, _better(best, candidate))
        with m.If(stage.valid & ~decided):
            m.d.sync += best.assign(candidate)

        ends_step = stage.valid & stage.last
        ends = ends_step & stage.final
        settles = ends_step & ((candidate.fired & first) | stage.final) & ~decided
        m.d.comb += self.closes.eq(ends)
        m.d.sync += decided.eq((decided | settles) & ~ends)
        offered = (settles if self._early_exit else ends) | (self.result.valid & ~self.result.ready)
        m.d.sync += self.result.valid.eq(offered)
        silent = ~best.fired if first else (best.rank == 0)
        if network.readout == "potential":
            silent = Const(0)
        m.d.comb += [
            self.result.payload.label.eq(best.index),
            self.result.payload.decided_by.eq(Mux(silent, DecidedBy.SILENT.value, Mux(
                best.tied, DecidedBy.TIE_BY_INDEX.value, Mux(
                    best.several, DecidedBy.TIE_BY_MEMBRANE.value, DecidedBy.PLAIN.value)))),
        ]
        waits = Const(1) if self._scan else self.capture.opening
        m.d.comb += self.capture.grant.eq(~(waits & (offered | self._busy_next | self.capture.coming)))
        tag = Signal(self._tag_bits)
        with m.If(ends):
            m.d.sync += [tag.eq(tag + 1), self.drop.valid.eq(0)]
        with m.Elif(settles & bool(self._early_exit)):
            m.d.sync += [self.drop.valid.eq(1), self.drop.tag.eq(tag)]
        return m

    def _build_window(self, m: Module, decided) -> "_RowStage":
        """Scores of the row captured last, behind those of the rows before."""
        network, plan, capture, bits = self._network, self._plan, self.capture, self._layout.score_bits
        rows, lanes = plan.rows, plan.lanes
        first = network.earliest_decides
        scores = [Signal(signed(bits), name=f"score{index}") for index in range(rows * lanes)]
        step = Signal(range(network.steps_max))
        if self._value_bits:
            new = [capture.values[lane] for lane in range(lanes)]
        elif first:
            new = [spike.as_signed() for spike in capture.spikes]
        else:
            weight = Const(1)
            if network.readout == "weighted_spikes":
                weight = Array(Const(value, bits) for value in network.step_weights[:network.steps_max])[step]
            new = []
            for lane in range(lanes):
                magnitude = capture.magnitudes[lane] if self._magnitudes else capture.spikes[lane]
                # The score is shifted and added, like a weight: no multiplier.
                gains = [Mux(capture.spikes[lane] & bit, weight << place, 0) for place, bit in enumerate(magnitude)]
                new.append(sum(gains, Mux(step == 0, 0, scores[lane])))
        self._window = scores[-lanes:]
        self._fired = [score[0] if first else Const(0) for score in self._window]
        row = _RowStage("window", rows)
        self._entering = Signal()
        m.d.comb += self._entering.eq(capture.valid & self._enters(decided))
        m.d.sync += row.valid.eq(self._entering)
        with m.If(capture.valid):
            m.d.sync += [row.row.eq(capture.row), row.last.eq(capture.last), row.final.eq(capture.final)]
            with m.If(capture.last):
                m.d.sync += step.eq(Mux(capture.final, 0, step + 1))
            with m.If(~decided):
                m.d.sync += self.result.payload.step.eq(step)
                m.d.sync += [older.eq(newer) for older, newer in zip(scores, scores[lanes:] + new, strict=True)]
                if first and self._value_bits:
                    self._fired = [Signal(name=f"fired{lane}") for lane in range(lanes)]
                    m.d.sync += [fired.eq(capture.spikes[lane]) for lane, fired in enumerate(self._fired)]
        m.d.comb += [self.result.payload.scores[index].eq(scores[index]) for index in range(plan.neurons)]
        return row

    def _enters(self, decided):
        """Whether the row being captured can decide anything."""
        if not self._network.earliest_decides:
            return self.capture.final
        if self._plan.rows > 1:
            return Const(1)
        return self.capture.final | (self.capture.spikes.any() & ~decided)

    def _node(self, lane: int, index, row: "_RowStage") -> "_Node":
        """The neuron whose score is at a place of the window; it may be in any lane ``index`` of the row."""
        plan = self._plan
        ranked = self._value_bits or not self._network.earliest_decides
        return _Node(
            rank=self._window[lane] if ranked else Const(0, signed(1)), fired=self._fired[lane],
            index=row.row * plan.lanes + index if plan.rows > 1 else index,
            here=(row.row != plan.rows - 1) | (index < plan.neurons - (plan.rows - 1) * plan.lanes),
            tied=Const(0), several=Const(0),
        )

    def _build_tournament(self, m: Module, row: "_RowStage") -> tuple:
        """The best of a row, one level a cycle; alone in its step, the row needs no stage to join the others."""
        nodes = [self._node(lane, Const(lane, range(self._plan.lanes)), row) for lane in range(self._plan.lanes)]
        stage, level, busy_next = row, 0, self._entering
        while len(nodes) > 1:
            merged = [left if right is None else _better(left, right)
                      for left, right in zip(nodes[::2], [*nodes[1::2], None], strict=False)]
            if len(merged) == 1 and self._plan.rows == 1:
                nodes = merged
                break
            busy_next = busy_next | stage.valid
            stage = stage.delayed(m, f"level{level}")
            nodes = [node.registered(m, f"level{level}_{place}") for place, node in enumerate(merged)]
            level += 1
        self._busy_next = busy_next
        return stage, nodes[0], stage.row == 0

    def _scan_lanes(self, m: Module, row: "_RowStage") -> tuple:
        """The window turns once around below the comparator; after its last lane it stands as it was captured."""
        lanes = self._plan.lanes
        position = Signal(range(lanes))
        at_end = position == lanes - 1
        turning = [ring for ring in (self._window, self._fired) if isinstance(ring[0], Signal)]
        with m.If(row.valid):
            m.d.sync += [position.eq(Mux(at_end, 0, position + 1)), row.valid.eq(~at_end)]
            m.d.sync += [place.eq(behind) for ring in turning
                         for place, behind in zip(ring, ring[1:] + ring[:1], strict=True)]
        self._busy_next = self._entering | (row.valid & ~at_end)
        stage = _RowStage("scan", self._plan.rows)
        m.d.comb += [stage.valid.eq(row.valid), stage.last.eq(row.last & at_end), stage.final.eq(row.final)]
        return stage, self._node(0, position, row), (row.row == 0) & (position == 0)


class _RowStage:
    """What accompanies a row through the pipeline."""

    def __init__(self, name: str, rows: int):
        self.valid, self.last = Signal(name=f"{name}_valid"), Signal(name=f"{name}_last")
        self.final, self.row = Signal(name=f"{name}_final"), Signal(range(rows), name=f"{name}_row")
        self._rows = rows

    def delayed(self, m: Module, name: str) -> "_RowStage":
        later = _RowStage(name, self._rows)
        m.d.sync += [
            later.valid.eq(self.valid), later.last.eq(self.last), later.final.eq(self.final), later.row.eq(self.row),
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
    # Only neurons that are here fire, so these two follow without waiting for the comparison.
    return _Node(rank=node.rank, fired=left.fired | right.fired, index=node.index, here=left.here | right.here,
                 tied=node.tied | equal, several=several)
