# SPDX-License-Identifier: MIT
"""Spike queue: every row with a spike, and the last of each step, in order; none that was granted is refused."""

from typing import ClassVar

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from firstspike_arch.events import TokenLayout
from firstspike_arch.layer_options import LayerOptions
from firstspike_arch.layer_plan import LayerPlan
from firstspike_hw.spike_queue import SpikeQueue
from proof import Fault, Proof

_UNIT = "firstspike_hw.spike_queue"


class SpikeQueueProof(Proof):
    unit = "spike queue in a memory"
    lanes: ClassVar = 1
    high: ClassVar = 1
    room: ClassVar = 4
    faults: ClassVar = {
        "all leave in order, as they came": Fault(
            module=_UNIT, find="write.addr.eq(Mux(kept, behind, place))", replace="write.addr.eq(place)"),
        "nothing leaves that did not come": Fault(
            module=_UNIT, find="found.eq((waiting != went) | kept)", replace="found.eq((waiting != went) | comes)"),
        "no more inside than there is room": Fault(
            module=_UNIT, find="most.eq(kept & comes & goes_on)", replace="most.eq(0)"),
        "what waits stays as it is": Fault(
            module=_UNIT, find="loads.eq(~self.words.valid | taken)", replace="loads.eq(~self.words.valid | kept)"),
        "what came is offered without delay": Fault(
            module=_UNIT, find="found.eq((waiting != went) | kept)", replace="found.eq(waiting != went)"),
        "an empty queue grants": Fault(
            module=_UNIT, find="Mux(least, room[1], room[0])", replace="Mux(least, room[1], 0)"),
    }

    def build(self, m: Module) -> None:
        neurons = 2
        plan = LayerPlan(options=LayerOptions(lanes=self.lanes, membrane_bits=8), neurons=neurons)
        layout = TokenLayout(shape=(neurons,), high=self.high)
        m.submodules.unit = unit = SpikeQueue(layout=layout, plan=plan)
        capture, words = unit.capture, unit.words
        self.take(words, "words")

        # Rows come in order, each two cycles after it was granted, and is announced one cycle before.
        asks, row = self.free(1, "asks"), Signal(range(plan.rows))
        coming = self.past(capture.grant) & asks
        last = row == plan.rows - 1
        m.d.comb += [
            capture.coming.eq(coming), capture.valid.eq(self.past(coming)), capture.row.eq(row),
            capture.last.eq(last), capture.final.eq(self.free(1, "final")),
            capture.spikes.eq(Mux(capture.valid, self.free(plan.elements, "spikes"), 0)),
        ]
        magnitudes = Const(0, 0)
        if layout.value_bits:
            magnitudes = capture.magnitudes.as_value()
            m.d.comb += magnitudes.eq(self.free(len(magnitudes), "magnitudes"))
        with m.If(capture.valid):
            m.d.sync += row.eq(Mux(last, 0, row + 1))
        kept, word, base = capture.valid & (last | capture.spikes.any()), words.payload, Signal.like(words.payload.base)
        m.d.comb += base.eq(row * self.lanes)
        inside = self.hold_order(
            enters=kept, leaves=words, room=self.room,
            given=Cat(capture.final, last, base, capture.spikes.any(), capture.spikes, magnitudes),
            shown=Cat(word.final, word.last, word.base, word.occupied, word.spikes, word.values.as_value()))
        self.hold_stays(words)
        self.hold("what came is offered without delay",
                  ~(self.past(self.past(kept)) if self.room > 1 else self.past(kept)) | words.valid)
        quiet = (inside == 0) & ~coming & ~capture.valid & ~self.past(kept)
        self.hold("an empty queue grants", ~quiet | capture.grant)


class OneWordProof(SpikeQueueProof):
    unit = "spike queue in a register"
    lanes: ClassVar = 2
    high: ClassVar = 3
    room: ClassVar = 1
    faults: ClassVar = {
        "all leave in order, as they came": Fault(
            module=_UNIT, find="m.d.sync += held.eq(word)", replace="m.d.sync += held.eq(0)"),
        "nothing leaves that did not come": Fault(
            module=_UNIT, find="count.eq(count + comes - taken)", replace="count.eq(count + comes)"),
        "no more inside than there is room": Fault(
            module=_UNIT, find="~(comes | goes_on | (count & ~taken))", replace="~(comes | (count & ~taken))"),
        "what waits stays as it is": Fault(
            module=_UNIT, find="with m.If(comes):", replace="with m.If(capture.last):"),
        "what came is offered without delay": Fault(
            module=_UNIT, find="count.eq(count + comes - taken)", replace="count.eq(comes - taken)"),
        "an empty queue grants": Fault(
            module=_UNIT, find="~(comes | goes_on | (count & ~taken))",
            replace="~(comes | goes_on | count | ~taken)"),
    }
