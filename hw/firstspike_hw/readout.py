# SPDX-License-Identifier: MIT
"""Read-out: rows of output spikes and membranes become a class with its evidence."""

from amaranth.hdl import Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from firstspike_arch.backend import DecidedBy
from firstspike_arch.layer_plan import LayerPlan
from firstspike_arch.network import IntegerNetwork
from firstspike_arch.result import ResultLayout

from .capture import CaptureInterface, capture_signature
from .integer_argument import integer_argument
from .score_window import ScoreWindow
from .sequencer import DropInterface, drop_signature
from .winner import Contender, LaneScan, Tournament, better, register

__all__ = ["Readout", "result_struct"]


def result_struct(layout: ResultLayout) -> data.StructLayout:
    """The result word of `firstspike_arch.result` as an Amaranth layout."""
    return data.StructLayout({
        "label": layout.class_bits, "step": layout.step_bits, "decided_by": 2,
        "scores": data.ArrayLayout(signed(layout.score_bits), layout.classes),
    })


class Readout(wiring.Component):
    """Finds class, decision step, what decided, and a score for each class.

    The scores of a step stay in a `ScoreWindow` while the winner is found: by a `Tournament` over the lanes of a row,
    or by one comparator that meets one lane a cycle (`LaneScan`); the best of each row meets that of the rows before.

    Latency: the last row of a step, captured in cycle c, decides in cycle c + 1 + `readout_cycles`; a result is offered
    from the next cycle until it is taken. Throughput: one step is decided at a time: its first row (with a scan: any
    row) is granted from the cycle in which the row before decides, and not while a result is offered. Rows that can
    decide nothing do not enter, and hold up none.

    Of an endless network, the last step of a window is decided as the final step of an inference is.

    With ``early_exit`` the result is offered as soon as a step decides, and ``drop`` names the inference until its
    final row has passed; otherwise it is offered after the final row.

    Parameters
    ----------
    network : IntegerNetwork
        Its output layer and its rule to decide.
    plan : LayerPlan
        Rows of the output layer, and the neurons in their lanes; the positions of a convolution come one after the
        other, and several of them in a row if it has banks. Classes are numbered in torch's order all the same.
    layout : ResultLayout
        Widths of a result.
    value_bits : int
        Width of the captured membranes: that of a score, or 0 if none are captured.
    early_exit : bool
        Do not wait for the final step.
    scan : bool
        Compare lane by lane.
    tag_bits : int
        Bits of an inference's running number.

    Members
    -------
    capture : In(capture_signature(rows, elements, value_bits, magnitude_bits))
    result : Out(stream.Signature(result_struct(layout)))
    drop : Out(drop_signature(tag_bits))
    closes : Out(1)
        The final row of an inference has passed.
    """

    capture: CaptureInterface
    result: stream.Interface
    drop: DropInterface
    closes: Signal

    def __init__(
        self, *, network: IntegerNetwork, plan: LayerPlan, layout: ResultLayout, value_bits: int, early_exit: bool,
        scan: bool, tag_bits: int,
    ):
        if value_bits not in (0, layout.score_bits):
            raise ValueError(f"value_bits must be 0 or {layout.score_bits}, the width of a score, not {value_bits!r}")
        if early_exit and not network.earliest_decides:
            raise ValueError(f"early_exit must be False where the last step decides, not True with {network.readout}")
        self._network, self._plan, self._layout = network, plan, layout
        self._value_bits, self._early_exit, self._scan = value_bits, early_exit, scan
        self._tag_bits = integer_argument("tag_bits", tag_bits, 1)
        self._magnitude_bits = network.layers[-1].out_layout.value_bits
        super().__init__({
            "capture": In(capture_signature(plan.rows, plan.elements, value_bits, self._magnitude_bits)),
            "result": Out(stream.Signature(result_struct(layout))),
            "drop": Out(drop_signature(tag_bits)), "closes": Out(1),
        })

    @property
    def network(self) -> IntegerNetwork:
        """The network whose output layer is read."""
        return self._network

    @property
    def plan(self) -> LayerPlan:
        """Rows and lanes of the output layer."""
        return self._plan

    @property
    def layout(self) -> ResultLayout:
        """Widths of a result."""
        return self._layout

    @property
    def value_bits(self) -> int:
        """Width of the captured membranes."""
        return self._value_bits

    @property
    def early_exit(self) -> bool:
        """Whether a result is offered before the final step."""
        return self._early_exit

    @property
    def scan(self) -> bool:
        """Whether lanes are compared one by one."""
        return self._scan

    @property
    def tag_bits(self) -> int:
        """Bits of an inference's running number."""
        return self._tag_bits

    def _score_window(self) -> ScoreWindow:
        network, plan = self._network, self._plan
        weights: tuple[int, ...] = ()
        if not (self._value_bits or network.earliest_decides):
            weighted = network.readout == "weighted_spikes"
            weights = tuple(network.step_weights[:network.steps_max]) if weighted else (1,) * network.steps_max
        return ScoreWindow(
            rows=plan.rows, lanes=plan.elements, score_bits=self._layout.score_bits, value_bits=self._value_bits,
            magnitude_bits=self._magnitude_bits, steps_max=network.steps_max, step_weights=weights,
            earliest=network.earliest_decides, turning=self._scan, endless=network.endless)

    def elaborate(self, platform):
        m = Module()
        network, plan = self._network, self._plan
        earliest = network.earliest_decides
        # Where the score is only the spike itself, neurons that fired are equal.
        ranked = bool(self._value_bits) or not earliest
        m.submodules.window = window = self._score_window()
        order = plan.neurons_of_rows()
        m.submodules.winner = winner = (LaneScan if self._scan else Tournament)(
            order=order, rank_bits=self._layout.score_bits if ranked else 1)
        connect(m, flipped(self.capture), window.capture)
        connect(m, window.row, winner.row)
        m.d.comb += winner.fired.eq(window.fired)
        if ranked:
            top = (plan.rows - 1) * plan.elements
            m.d.comb += [winner.ranks[lane].eq(window.scores[top + lane]) for lane in range(plan.elements)]
        if isinstance(winner, LaneScan):
            m.d.comb += window.finished.eq(winner.finished)

        # The best of the rows of this step so far.
        decided, met, candidate = Signal(), winner.met, Signal(winner.best.shape())
        best = register(m, candidate, "best", enable=met.valid & ~decided)
        m.d.comb += candidate.eq(winner.best)
        if self._scan or plan.rows > 1:
            with m.If(~winner.opens):
                m.d.comb += candidate.eq(better(m, best, winner.best, "joined", by_index=not winner.ascends))

        ends_step, ends, settles, offered = met.valid & met.payload.last, Signal(), Signal(), Signal()
        m.d.comb += [
            ends.eq(ends_step & met.payload.final),
            # The end of a window is not that of an inference.
            self.closes.eq(window.capture.valid & window.capture.last & window.capture.final
                           if network.endless else ends),
            settles.eq(ends_step & ((candidate.fired & earliest) | met.payload.final) & ~decided),
            offered.eq((settles if self._early_exit else ends) | (self.result.valid & ~self.result.ready)),
            window.decided.eq(decided), window.occupied.eq(offered | winner.busy),
        ]
        m.d.sync += [decided.eq((decided | settles) & ~ends), self.result.valid.eq(offered)]
        m.d.comb += [
            self.result.payload.label.eq(best.index), self.result.payload.step.eq(window.step),
            self.result.payload.decided_by.eq(self._decided_by(best)),
            *(self.result.payload.scores[index].eq(window.scores[place])
              for place, index in enumerate(order.ravel().tolist()) if index >= 0),
        ]
        self._build_drop(m, ends, settles)
        return m

    def _decided_by(self, best: Contender) -> Value:
        """The `DecidedBy` of an inference, by the best of all its rows."""
        silent: Value = best.rank == 0
        if self._network.readout == "potential":
            silent = Const(0)
        elif self._network.earliest_decides:
            silent = ~best.fired
        return Mux(silent, DecidedBy.SILENT.value, Mux(best.tied, DecidedBy.TIE_BY_INDEX.value, Mux(
            best.several, DecidedBy.TIE_BY_MEMBRANE.value, DecidedBy.PLAIN.value)))

    def _build_drop(self, m: Module, ends: Value, settles: Value) -> None:
        """Name the inference that is settled until it ends; inferences are numbered by their ends."""
        tag = Signal(self._tag_bits)
        with m.If(ends):
            m.d.sync += [tag.eq(tag + 1), self.drop.valid.eq(0)]
        with m.Elif(settles & self._early_exit):
            m.d.sync += [self.drop.valid.eq(1), self.drop.tag.eq(tag)]
