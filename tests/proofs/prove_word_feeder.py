# SPDX-License-Identifier: MIT
"""Word feeder: octets of requests become words, in order, and every inference that a request opens is completed."""

from typing import ClassVar

from amaranth.hdl import Cat, Module, Mux, Signal
from firstspike_hw.link.word_feeder import WordFeeder
from proof import Fault, Proof

_UNIT = "firstspike_hw.link.word_feeder"
_SIZE = 2


class WordFeederProof(Proof):
    unit = "word feeder of tokens"
    cycles = 20
    faults: ClassVar = {
        "a word has its octets, in order": Fault(
            module=_UNIT, find="Cat(word[8:], octets.payload.octet)", replace="Cat(octets.payload.octet, word[:-8])"),
        "no octet is taken while a word waits": Fault(
            module=_UNIT, find="with m.If(self.running & ~full):", replace="with m.If(self.running):"),
        "a request that is done leaves no inference open, and no result": Fault(
            module=_UNIT, find="self.ended & ~full & (inside == 0) & ~self.expects",
            replace="self.ended & ~full & ~self.expects"),
        "a result is expected for every inference": Fault(
            module=_UNIT, find="(passes & decides) - self.result_taken", replace="passes - self.result_taken"),
        "a request that breaks off is told": Fault(
            module=_UNIT, find="self.completed.eq(count != 0)", replace="self.completed.eq(0)"),
        "what waits stays as it is": Fault(
            module=_UNIT, find="passes | (port.valid & port.ready) | self.chunk_sent", replace="full"),
    }

    def build(self, m: Module) -> None:
        m.submodules.unit = unit = WordFeeder(word_bytes=_SIZE, image_words=0)
        octets, words = unit.octets, unit.words
        self.offer(octets, "octets")
        self.take(words, "words")
        self.assume(~octets.valid | ~octets.payload.end | (octets.payload.octet == 0))

        # A request is carried out from its start until it is done.
        running, ended, awaited = Signal(), Signal(), Signal(3)
        begins = self.free(1, "begins") & ~running
        taken, passes = octets.valid & octets.ready, words.valid & words.ready
        result = self.free(1, "result") & (awaited != 0)
        m.d.comb += [unit.running.eq(running), unit.starts.eq(~running), unit.infers.eq(1), unit.ended.eq(ended),
                     unit.result_taken.eq(result)]
        closes = words.payload[:2].all()
        m.d.sync += awaited.eq(awaited + (passes & closes) - result)
        with m.If(begins):
            m.d.sync += [running.eq(1), ended.eq(0)]
        with m.Elif(running & unit.done):
            m.d.sync += running.eq(0)
        with m.If(taken & octets.payload.end):
            m.d.sync += ended.eq(1)

        # The octets of the word that comes, and the inference that words have opened.
        count, kept, is_open, broken = Signal(range(_SIZE + 1)), Signal(8 * _SIZE), Signal(), Signal()
        with m.If(~running):
            m.d.sync += [count.eq(0), broken.eq(0)]
        with m.Elif(taken & octets.payload.end):
            m.d.sync += broken.eq((count == 1) | is_open)
        with m.Elif(taken):
            m.d.sync += [kept.eq(Cat(kept[8:], octets.payload.octet)), count.eq(count + 1)]
        with m.If(passes):
            m.d.sync += [count.eq(0), is_open.eq(~closes)]
        name = "a word has its octets, in order"
        self.hold(name, ~words.valid | Mux(ended, is_open & (words.payload == 3) | ((count == _SIZE) & (
            words.payload == kept)), (count == _SIZE) & (words.payload == kept)))
        self.hold("no octet is taken while a word waits", ~taken | (~words.valid & ~ended & running))
        self.hold("a request that is done leaves no inference open, and no result",
                  ~(running & unit.done) | (ended & ~is_open & (awaited == 0) & ~words.valid))
        self.hold("a result is expected for every inference", unit.expects == (awaited != 0))
        self.hold("a request that breaks off is told", ~(running & unit.done) | (unit.completed == broken))
        self.hold_stays(words)
