# SPDX-License-Identifier: MIT
"""Pool merger: the events of a step in a window leave as the same sum, and the markers stay where they are."""

from typing import ClassVar

from amaranth.hdl import Module, Signal
from firstspike_arch.events import TokenLayout
from firstspike_arch.merging import Merging
from firstspike_hw.pool_merger import PoolMerger
from proof import Fault, Proof

_UNIT = "firstspike_hw.pool_merger"


class PoolMergerProof(Proof):
    unit = "pool merger"
    cycles = 16
    faults: ClassVar = {
        "the sum of a window and step is that of its events": Fault(
            module=_UNIT, find="known.follows.eq(known.valid & (known.place == place))", replace="known.follows.eq(0)"),
        "an event leaves for a window that had one": Fault(
            module=_UNIT, find="sums).sum)]", replace="sums).sum + 1)]"),
        "markers leave in their order": Fault(
            module=_UNIT, find="closed.final.eq(token.final)]", replace="closed.final.eq(0)]"),
        "what waits stays as it is": Fault(
            module="firstspike_hw.stream_buffer", find="~self.buffered.valid | self.buffered.ready",
            replace="~second_valid"),
    }

    def build(self, m: Module) -> None:
        # Two windows of one column, each a band of its own.
        merging = Merging(spikes=TokenLayout(shape=(1, 4, 2)), pool=2, lines=1)
        m.submodules.unit = unit = PoolMerger(merging)
        events, merged = unit.events, unit.merged
        self.offer(events, "events")
        self.take(merged, "merged")
        given, sent = events.payload, merged.payload
        taken, passes = events.valid & events.ready, merged.valid & merged.ready

        # One step and one window of it are followed; a pixel comes once in a step.
        window = self.fixed(1, "window")
        begun, done, came = Signal(4), Signal(4), Signal(16)
        with m.If(taken):
            m.d.sync += came.eq(came | (1 << given.address))
            with m.If(given.marker):
                m.d.sync += [begun.eq(begun + 1), came.eq(0)]
        channel_bits, across_bits, _ = merging.spikes.field_bits
        self.assume(~(events.valid & ~given.marker) | (
            ~came.bit_select(given.address, 1) & (given.address[:channel_bits] == 0)))
        with m.If(passes & sent.marker):
            m.d.sync += done.eq(done + 1)
        followed = self.fixed(2, "followed")
        comes, leaves, final = Signal(4), Signal(4), Signal()
        y = given.address[channel_bits + across_bits:]
        with m.If(taken & (begun == followed)):
            with m.If(given.marker):
                m.d.sync += final.eq(given.final)
            with m.Elif(y >> 1 == window):
                m.d.sync += comes.eq(comes + 1)
        line = sent.address[merging.layout.field_bits[0] + merging.layout.field_bits[1]:]
        here = merged.valid & (done == followed)
        with m.If(here & merged.ready & ~sent.marker & (line == window)):
            m.d.sync += leaves.eq(leaves + sent.value)
        self.hold("the sum of a window and step is that of its events", ~(here & sent.marker) | (leaves == comes))
        self.hold("an event leaves for a window that had one",
                  ~(here & ~sent.marker & (line == window)) | ((sent.value != 0) & (leaves + sent.value <= comes)))
        self.hold("markers leave in their order",
                  ~(merged.valid & sent.marker) | ((done != begun) & ((done != followed) | (sent.final == final))))
        self.hold_stays(merged)
