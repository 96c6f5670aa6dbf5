# SPDX-License-Identifier: MIT
"""AXI4-Stream on both sides: the rule of the bus, every beat in its order, and whole inferences.

# Ref: Arm IHI 0051 (AMBA AXI-Stream), 2.2: what is offered stays until it is taken.
"""

from typing import ClassVar

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream
from firstspike_arch.events import FINAL_MARKER
from firstspike_hw.axi.axi_stream import InputPackets, ResultPackets
from firstspike_hw.axi.registers import RESULT_BEAT_BITS
from proof import Fault, Proof

_UNIT = "firstspike_hw.axi.axi_stream"


class InputPacketsProof(Proof):
    unit = "input packets of tokens"
    image_words: ClassVar = 0
    faults: ClassVar = {
        "all leave in order, as they came": Fault(
            module=_UNIT, find="given.ready.eq(out.ready & ~completing & ~self.restart)",
            replace="given.ready.eq(out.ready & ~self.restart)"),
        "nothing leaves that did not come": Fault(
            module=_UNIT, find="(given.valid | completing) & ~self.restart", replace="~self.restart"),
        "no more inside than there is room": Fault(
            module=_UNIT, find="self.packets.tready.eq(beats.source.ready)", replace="self.packets.tready.eq(1)"),
        "what waits stays as it is": Fault(
            module=_UNIT, find="(given.valid | completing) & ~", replace="(given.valid ^ self.packets.tvalid) & ~"),
        "an inference that a packet leaves open is completed before the next": Fault(
            module=_UNIT, find="completing.eq((completing | given.payload.last) & ~ends)",
            replace="completing.eq(completing & ~ends)"),
        "packets, and those completed, are told": Fault(
            module=_UNIT, find="self.completed.eq(self.packet & ~ends)", replace="self.completed.eq(self.packet)"),
    }

    def build(self, m: Module) -> None:
        m.submodules.unit = unit = InputPackets(word_bits=4, image_words=self.image_words)
        packets, words = unit.packets, unit.words
        for name in ("tvalid", "tdata", "tlast"):
            m.d.comb += getattr(packets, name).eq(self.free(len(getattr(packets, name)), name))
        self.take(words, "words")
        passes, taken = words.valid & words.ready, packets.tvalid & packets.tready

        # A word is added, not a beat, while the inference of a packet that has ended is open.
        adds, place = Signal(), Signal(range(max(2, self.image_words)))
        last_word = place == self.image_words - 1 if self.image_words else words.payload[:2].all()
        with m.If(passes):
            m.d.sync += [adds.eq((adds | unit.packet) & ~last_word), place.eq(Mux(last_word, 0, place + 1))]
        beats = stream.Signature(4).create()
        m.d.comb += [beats.valid.eq(words.valid & ~adds), beats.ready.eq(words.ready), beats.payload.eq(words.payload)]
        self.hold_order(enters=taken, given=packets.tdata, leaves=beats, room=2)
        name = "an inference that a packet leaves open is completed before the next"
        self.hold(name, ~adds | (words.valid & (words.payload == (0 if self.image_words else FINAL_MARKER))))
        # Ends of packets are counted: those taken, and those told.
        inside = Signal(2)
        m.d.sync += inside.eq(inside + (taken & packets.tlast) - unit.packet)
        self.hold("packets, and those completed, are told", ~unit.packet | (passes & ~adds & (inside != 0)))
        self.hold("packets, and those completed, are told", inside <= 2)
        self.hold("packets, and those completed, are told", unit.completed == (unit.packet & ~last_word))
        self.hold_stays(words)


class ImagePacketsProof(InputPacketsProof):
    unit = "input packets of images"
    image_words: ClassVar = 3


class ResultPacketsProof(Proof):
    unit = "result packets"
    faults: ClassVar = {
        "what waits stays as it is": Fault(
            module=_UNIT, find="with m.Elif(out.tvalid & out.tready):", replace="with m.Elif(out.tvalid):"),
        "every result leaves in its beats, from the lowest": Fault(
            module=_UNIT, find="rest.eq(rest >> RESULT_BEAT_BITS)", replace="rest.eq(rest >> 1)"),
        "tlast is at the end of so many results, and nowhere else": Fault(
            module=_UNIT, find="out.tlast.eq(closes & (left == 0))", replace="out.tlast.eq(closes)"),
    }

    def build(self, m: Module) -> None:
        bits, most = 2 * RESULT_BEAT_BITS + 3, 5
        m.submodules.unit = unit = ResultPackets(result_bits=bits)
        result, packets, size = unit.result, unit.packets, self.free(3, "size")
        self.offer(result, "result")
        m.d.comb += [packets.tready.eq(self.free(1, "tready")), unit.size.eq(size)]
        self.assume(size <= most)

        # The result whose beats leave; how many of the packet were taken.
        taken, passes = result.valid & result.ready, packets.tvalid & packets.tready
        kept, beat, number, closes = Signal(bits), Signal(2), Signal(3), Signal()
        with m.If(taken):
            ends = number + 1 >= size
            m.d.sync += [kept.eq(result.payload), beat.eq(0), closes.eq(ends), number.eq(Mux(ends, 0, number + 1))]
        with m.Elif(passes):
            m.d.sync += beat.eq(beat + 1)
        name = "every result leaves in its beats, from the lowest"
        self.hold(name, ~packets.tvalid | (packets.tdata == kept.word_select(beat, RESULT_BEAT_BITS)))
        self.hold(name, result.ready == ~packets.tvalid)
        self.hold(name, ~self.past(passes) | (packets.tvalid == (beat != 3)))
        self.hold(name, ~self.past(taken) | packets.tvalid)
        self.hold("tlast is at the end of so many results, and nowhere else",
                  ~packets.tvalid | (packets.tlast == (closes & (beat == 2))))
        shown = Cat(packets.tdata, packets.tlast)
        self.hold("what waits stays as it is", ~self.past(packets.tvalid & ~packets.tready) | (
            packets.tvalid & (self.past(shown) == shown)))
