# SPDX-License-Identifier: MIT
"""Score window: what the output neurons have to show in the step at hand, row by row."""

from collections.abc import Sequence

from amaranth.hdl import Array, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .capture import CaptureInterface, capture_signature
from .integer_argument import integer_argument

__all__ = ["ScoreWindow", "row_stream"]


def row_stream(rows: int) -> stream.Signature:
    """A stream of rows of neurons on their way to a decision, which nothing holds up.

    ``number``: which row of the layer it is; ``last``: the last of its step; ``final``: of its inference's last step.
    """
    return stream.Signature(
        data.StructLayout({"number": range(rows), "last": 1, "final": 1}), always_ready=True)


class ScoreWindow(wiring.Component):
    """Scores of all output neurons, those of the row that was captured last on top.

    A neuron's score is its captured membrane, if captures have ``values``; or −1 if it fired in the step at hand and
    else 0, if the earliest spike decides; or otherwise the sum of its spikes so far, s ← s + weight[t] · magnitude.

    Latency: a row captured in cycle c is there from c + 1 on. Throughput: the row on top is replaced by the next that
    is granted, as early as in the cycle after; rows that can decide nothing do not enter, and hold up none: if the
    earliest spike decides and the layer has one row, those without a spike and those after the decision; if it does
    not, all but those of the final step. If the window is ``turning``, the row stays until ``finished``, and every
    cycle moves its lanes on by one place, the lowest to the top; after as many cycles as lanes it is as it was.

    Parameters
    ----------
    rows, lanes : int
        Rows of the layer, and neurons in each.
    score_bits, value_bits, magnitude_bits : int
        Widths of a score, of a captured membrane (0: none) and of a captured magnitude (0: always 1).
    steps_max : int
        Most steps of an inference.
    step_weights : sequence of int
        What a spike in each step counts; empty if the earliest spike decides or membranes are compared.
    earliest : bool
        The earliest spike decides.
    turning : bool
        One lane after another is met at place 0.
    endless : bool
        Every ``steps_max`` steps are decided on, and the next ones start anew, as if an inference had ended; what
        holds for a final step holds for the last of these.

    Members
    -------
    capture : In(capture_signature(rows, lanes, value_bits, magnitude_bits))
    decided : In(1)
        The class is known: scores and step stay as they are.
    occupied : In(1)
        No row may be granted that can open a step.
    finished : In(1)
        The row on top has been met. Of a turning window.
    row : Out(row_stream(rows))
        The row on top.
    scores : Out(data.ArrayLayout(signed(score_bits), rows * lanes))
    fired : Out(lanes)
        Which neurons of the row on top fired; 0 if the earliest spike does not decide.
    step : Out(range(steps_max))
        Step of the scores.
    """

    capture: CaptureInterface
    decided: Signal
    occupied: Signal
    finished: Signal
    row: stream.Interface
    scores: data.View
    fired: Signal
    step: Signal

    def __init__(
        self, *, rows: int, lanes: int, score_bits: int, value_bits: int, magnitude_bits: int, steps_max: int,
        step_weights: Sequence[int], earliest: bool, turning: bool, endless: bool = False,
    ):
        self._rows, self._lanes = integer_argument("rows", rows, 1), integer_argument("lanes", lanes, 1)
        self._score_bits = integer_argument("score_bits", score_bits, 1)
        self._value_bits = integer_argument("value_bits", value_bits, 0)
        self._magnitude_bits = integer_argument("magnitude_bits", magnitude_bits, 0)
        self._steps_max = integer_argument("steps_max", steps_max, 1)
        self._step_weights = tuple(step_weights)
        if not (value_bits or earliest) and len(self._step_weights) != steps_max:
            raise ValueError(f"step_weights must be {steps_max} numbers, one a step, not {len(self._step_weights)}")
        if (value_bits or earliest) and self._step_weights:
            raise ValueError(f"step_weights must be empty where no spikes are summed, not {self._step_weights!r}")
        self._earliest, self._turning, self._endless = earliest, turning, endless
        super().__init__({
            "capture": In(capture_signature(rows, lanes, value_bits, magnitude_bits)), "decided": In(1),
            "occupied": In(1), **({"finished": In(1)} if turning else {}), "row": Out(row_stream(rows)),
            "scores": Out(data.ArrayLayout(signed(score_bits), rows * lanes)), "fired": Out(lanes),
            "step": Out(range(steps_max)),
        })

    @property
    def rows(self) -> int:
        """Rows of the layer."""
        return self._rows

    @property
    def lanes(self) -> int:
        """Neurons in a row."""
        return self._lanes

    @property
    def score_bits(self) -> int:
        """Width of a score."""
        return self._score_bits

    @property
    def value_bits(self) -> int:
        """Width of a captured membrane; 0: none."""
        return self._value_bits

    @property
    def magnitude_bits(self) -> int:
        """Width of a captured magnitude; 0: always 1."""
        return self._magnitude_bits

    @property
    def steps_max(self) -> int:
        """Most steps of an inference."""
        return self._steps_max

    @property
    def step_weights(self) -> tuple[int, ...]:
        """What a spike in each step counts."""
        return self._step_weights

    @property
    def earliest(self) -> bool:
        """Whether the earliest spike decides."""
        return self._earliest

    @property
    def turning(self) -> bool:
        """Whether one lane after another is met at place 0."""
        return self._turning

    @property
    def endless(self) -> bool:
        """Whether every ``steps_max`` steps are decided on."""
        return self._endless

    def elaborate(self, platform):
        m = Module()
        capture, row, lanes = self.capture, self.row, self._lanes
        scores = [Signal(signed(self._score_bits), name=f"score{index}") for index in range(self._rows * lanes)]
        top, fired = scores[-lanes:], [Signal(name=f"fired{lane}") for lane in range(lanes)]
        remembers = self._earliest and bool(self._value_bits)
        step, entering, final = Signal(range(self._steps_max)), Signal(), capture.final
        if self._endless:
            final = capture.final | (step == self._steps_max - 1)
        m.d.comb += [
            entering.eq(capture.valid & self._enters(final)),
            *(self.scores[index].eq(score) for index, score in enumerate(scores)),
        ]
        m.d.sync += row.valid.eq(entering)
        with m.If(capture.valid):
            m.d.sync += [row.payload.number.eq(capture.row), row.payload.last.eq(capture.last),
                         row.payload.final.eq(final)]
            with m.If(capture.last):
                m.d.sync += step.eq(Mux(final, 0, step + 1))
            with m.If(~self.decided):
                new = self._captured(step, scores[:lanes])
                m.d.sync += [
                    self.step.eq(step),
                    *(older.eq(newer) for older, newer in zip(scores, scores[lanes:] + new, strict=True)),
                ]
                if remembers:
                    m.d.sync += [one.eq(capture.spikes[lane]) for lane, one in enumerate(fired)]
        if self._earliest and not remembers:  # a neuron's spike is its whole score
            m.d.comb += [one.eq(score[0]) for one, score in zip(fired, top, strict=True)]
        m.d.comb += [self.fired[lane].eq(one) for lane, one in enumerate(fired)]

        if self._turning:
            # No row enters meanwhile: none is granted.
            with m.If(row.valid):
                m.d.sync += [row.valid.eq(~self.finished), *(
                    place.eq(behind) for ring in ((top, fired) if remembers else (top,))
                    for place, behind in zip(ring, ring[1:] + ring[:1], strict=True))]
        opening = Const(1) if self._turning else capture.opening
        m.d.comb += capture.grant.eq(~(opening & (self.occupied | entering | capture.coming)))
        return m

    def _enters(self, final: Value) -> Value:
        """High if the row that is being captured can decide anything."""
        if not self._earliest:
            return final
        if self._rows > 1:
            return Const(1)
        return final | (self.capture.spikes.any() & ~self.decided)

    def _captured(self, step: Value, sums: Sequence[Value]) -> list[Value]:
        """Scores of the row that is being captured; ``sums`` are those that it had before."""
        capture, lanes = self.capture, range(self._lanes)
        if self._value_bits:
            return [capture.values[lane] for lane in lanes]
        if self._earliest:
            return [capture.spikes[lane].as_signed() for lane in lanes]
        weight: Value = Const(self._step_weights[0])
        if len(set(self._step_weights)) > 1:
            weight = Array(Const(value, self._score_bits) for value in self._step_weights)[step]
        new = []
        for lane, before in enumerate(sums):
            magnitude = capture.magnitudes[lane] if self._magnitude_bits else capture.spikes[lane]
            # The score is shifted and added, like a weight: no multiplier.
            gains = [Mux(capture.spikes[lane] & bit, weight << place, 0) for place, bit in enumerate(magnitude)]
            new.append(sum(gains, Mux(step == 0, 0, before)))
        return new
