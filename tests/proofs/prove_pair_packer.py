# SPDX-License-Identifier: MIT
"""Pair packer: every token goes on, alone or as one of two."""

from typing import ClassVar

from amaranth.hdl import Cat, Module, Mux, Signal
from firstspike_arch.events import TokenLayout
from firstspike_hw.pair_packer import PairPacker
from proof import Fault, Proof

_UNIT = "firstspike_hw.pair_packer"


class PairPackerProof(Proof):
    unit = "pair packer"
    faults: ClassVar = {
        "all tokens leave in order, as they came": Fault(
            module=_UNIT, find="m.d.sync += [first.eq(second), second.eq", replace="m.d.sync += [second.eq"),
        "no more than two tokens inside": Fault(
            module=_UNIT, find="given.ready.eq(~second_valid | sent.ready)", replace="given.ready.eq(1)"),
        "nothing leaves that did not come": Fault(
            module=_UNIT, find="sent.valid.eq(given.valid), first.eq", replace="sent.valid.eq(1), first.eq"),
        "markers are alone": Fault(
            module=_UNIT, find="second_valid & ~first.marker & ~second.marker", replace="second_valid & ~first.marker"),
        "events that wait are joined": Fault(
            module=_UNIT, find="both.eq(second_valid & ~first.marker", replace="both.eq(first.marker"),
        "the first stays while it waits": Fault(
            module=_UNIT, find="m.Elif(~second_valid):\n            m.d.sync += [second",
            replace="m.Elif(~second_valid):\n            m.d.sync += [first"),
    }

    def build(self, m: Module) -> None:
        layout = TokenLayout(shape=(4,), high=3, slots=2)
        m.submodules.unit = unit = PairPacker(layout)
        events, joined, out = unit.events, unit.joined, unit.joined.payload
        self.offer(events, "events", patient=False)
        self.take(joined, "joined")
        takes, passes, pair = events.valid & events.ready, joined.valid & joined.ready, out.second.valid

        # One token is followed: how many are ahead of it, and what it is.
        follows, gone, kept = Signal(), Signal(), Signal.like(events.payload)
        inside, ahead = Signal(3), Signal(3)
        leaving = Mux(passes, 1 + pair, 0)
        m.d.sync += inside.eq(inside + takes - leaving)
        with m.If(takes & self.free(1, "chosen") & ~follows):
            m.d.sync += [follows.eq(1), kept.eq(events.payload), ahead.eq(inside - leaving)]
        with m.Elif(follows & passes):
            m.d.sync += [ahead.eq(ahead - leaving), gone.eq(gone | (ahead < leaving))]
        here = follows & ~gone & joined.valid
        first = Cat(out.final, out.marker, out.address, out.value)
        second = Cat(out.second.address, out.second.value)
        self.hold("all tokens leave in order, as they came",
                  ~(here & (ahead == 0)) | (first == kept.as_value()))
        self.hold("all tokens leave in order, as they came",
                  ~(here & (ahead == 1) & pair) | (~kept.marker & (second == Cat(kept.address, kept.value))))
        self.hold("no more than two tokens inside", inside <= 2)
        self.hold("nothing leaves that did not come", ~joined.valid | (inside > pair))
        self.hold("markers are alone", ~(joined.valid & pair & out.marker))
        self.hold("markers are alone", ~(here & (ahead == 1) & kept.marker & pair))
        waits = self.past(joined.valid & ~joined.ready)
        self.hold("the first stays while it waits", ~waits | (joined.valid & (self.past(first) == first)))
        self.hold("events that wait are joined",
                  ~(here & (ahead == 1) & ~kept.marker & ~out.marker) | pair)
