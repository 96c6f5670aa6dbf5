# SPDX-License-Identifier: MIT
"""Stream buffer."""

from typing import ClassVar

from amaranth.hdl import Module
from amaranth.lib import stream
from firstspike_hw.stream_buffer import StreamBuffer
from proof import Fault, Proof

_UNIT = "firstspike_hw.stream_buffer"


class StreamBufferProof(Proof):
    unit = "stream buffer"
    faults: ClassVar = {
        "all leave in order, as they came": Fault(
            module=_UNIT, find="with m.If(self.source.ready):", replace="with m.If(self.source.valid):"),
        "nothing leaves that did not come": Fault(
            module=_UNIT, find="self.source.valid | second_valid)\n", replace="1)\n"),
        "no more inside than there is room": Fault(
            module=_UNIT, find="source.ready.eq(~second_valid)", replace="source.ready.eq(1)"),
        "what waits stays as it is": Fault(
            module=_UNIT, find="~self.buffered.valid | self.buffered.ready", replace="~second_valid"),
        "what comes is offered in the next cycle": Fault(
            module=_UNIT, find="self.source.valid | second_valid)\n", replace="second_valid)\n"),
    }

    def build(self, m: Module) -> None:
        m.submodules.unit = unit = StreamBuffer(stream.Signature(4))
        source, buffered = unit.source, unit.buffered
        self.offer(source, "source", patient=False)
        self.take(buffered, "buffered")
        comes = source.valid & source.ready
        self.hold_order(enters=comes, given=source.payload, leaves=buffered, room=2)
        self.hold_stays(buffered)
        self.hold("what comes is offered in the next cycle", ~self.past(comes) | buffered.valid)
