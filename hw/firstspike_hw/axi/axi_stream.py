# SPDX-License-Identifier: MIT
"""AXI4-Stream on both sides of the accelerator: packets of input words in, packets of results out.

# Ref: Arm IHI 0051 (AMBA AXI-Stream), 2.2: tvalid does not wait for tready, and what is offered stays.
"""

from typing import Protocol

from amaranth.hdl import Const, Module, Mux, ResetInserter, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from firstspike_arch.events import FINAL_MARKER
from firstspike_arch.fixed import ceil_div

from ..integer_argument import integer_argument
from ..stream_buffer import StreamBuffer
from .registers import RESULT_BEAT_BITS

__all__ = ["AxiStreamInterface", "InputPackets", "ResultPackets", "axi_stream"]


class AxiStreamInterface(Protocol):
    """Members of `axi_stream`."""

    tdata: Signal
    tlast: Signal
    tvalid: Signal
    tready: Signal
    signature: wiring.Signature


def axi_stream(bits: int) -> wiring.Signature:
    """An AXI4-Stream with tlast, as its transmitter has it."""
    return wiring.Signature({"tdata": Out(bits), "tlast": Out(1), "tvalid": Out(1), "tready": In(1)})


class InputPackets(wiring.Component):
    """Takes packets apart: each beat is an input word.

    Latency: a beat taken in cycle c is offered in c + 1. Throughput: one a cycle. No inference goes on beyond the
    end of a packet: at tlast one that has not ended is completed, with a final marker or with beats of zeros. If it is
    ``endless``, it goes on, and tlast is only counted.

    Parameters
    ----------
    word_bits : int
        Bits of tdata, which is a word.
    image_words : int
        Words of an image; 0: tokens, and a final marker ends an inference.
    endless : bool
        An inference of tokens goes on from packet to packet.

    Members
    -------
    packets : In(axi_stream(word_bits)), words : Out(stream.Signature(word_bits))
    restart : In(1)
        Forget what was taken but not passed, and how much of an image has passed. No word passes in this cycle.
    packet, completed : Out(1)
        High for one cycle each: the last beat of a packet passes; the same, and the inference must be completed.
    """

    packets: AxiStreamInterface
    words: stream.Interface
    restart: Signal
    packet: Signal
    completed: Signal

    def __init__(self, *, word_bits: int, image_words: int, endless: bool = False):
        if endless and image_words:
            raise ValueError(f"endless must be False for images of {image_words} words, not True")
        self._endless = endless
        self._word_bits = integer_argument("word_bits", word_bits, 1)
        self._image_words = integer_argument("image_words", image_words, 0)
        super().__init__({
            "packets": In(axi_stream(word_bits)), "words": Out(stream.Signature(word_bits)), "restart": In(1),
            "packet": Out(1), "completed": Out(1),
        })

    @property
    def word_bits(self) -> int:
        """Bits of tdata, which is a word."""
        return self._word_bits

    @property
    def image_words(self) -> int:
        """Words of an image; 0: tokens."""
        return self._image_words

    @property
    def endless(self) -> bool:
        """Whether an inference goes on from packet to packet."""
        return self._endless

    def elaborate(self, platform):
        m = Module()
        image_words, out = self._image_words, self.words
        beats = StreamBuffer(stream.Signature(data.StructLayout({"data": self._word_bits, "last": 1})))
        m.submodules.beats = ResetInserter(self.restart)(beats)
        given = beats.buffered
        place, completing = Signal(range(max(2, image_words))), Signal()
        ends: Value = place == image_words - 1 if image_words else out.payload[:2].all()
        if self._endless:
            ends = Const(1)
        passes = out.valid & out.ready
        m.d.comb += [
            beats.source.payload.data.eq(self.packets.tdata), beats.source.payload.last.eq(self.packets.tlast),
            beats.source.valid.eq(self.packets.tvalid), self.packets.tready.eq(beats.source.ready),
            out.payload.eq(Mux(completing, 0 if image_words else FINAL_MARKER, given.payload.data)),
            out.valid.eq((given.valid | completing) & ~self.restart),
            given.ready.eq(out.ready & ~completing & ~self.restart),
            self.packet.eq(passes & ~completing & given.payload.last), self.completed.eq(self.packet & ~ends),
        ]
        with m.If(passes):
            m.d.sync += completing.eq((completing | given.payload.last) & ~ends)
            if image_words:
                m.d.sync += place.eq(Mux(ends, 0, place + 1))
        with m.If(self.restart):
            m.d.sync += [completing.eq(0), place.eq(0)]
        return m


class ResultPackets(wiring.Component):
    """Cuts results into beats, from the lowest bit; tlast ends every ``size`` results.

    Latency: a result taken in cycle c, its first beat is offered in c + 1. Throughput: one beat a cycle, and the next
    result is taken when the last beat has gone. All outputs come from registers.

    Parameters
    ----------
    result_bits : int
        Bits of a result.

    Members
    -------
    result : In(stream.Signature(result_bits)), packets : Out(axi_stream(RESULT_BEAT_BITS))
    size : In(32)
        Results in a packet; 0 is taken for 1.
    restart : In(1)
        The next result is the first of a packet.
    """

    result: stream.Interface
    packets: AxiStreamInterface
    size: Signal
    restart: Signal

    def __init__(self, *, result_bits: int):
        self._result_bits = integer_argument("result_bits", result_bits, 1)
        super().__init__({
            "result": In(stream.Signature(result_bits)), "packets": Out(axi_stream(RESULT_BEAT_BITS)),
            "size": In(32), "restart": In(1),
        })

    @property
    def result_bits(self) -> int:
        """Bits of a result."""
        return self._result_bits

    def elaborate(self, platform):
        m = Module()
        beats = ceil_div(self._result_bits, RESULT_BEAT_BITS)
        rest, left = Signal(beats * RESULT_BEAT_BITS), Signal(range(beats))
        out, number, closes = self.packets, Signal(32), Signal()
        is_last = number + 1 >= self.size
        m.d.comb += [
            self.result.ready.eq(~out.tvalid), out.tdata.eq(rest[:RESULT_BEAT_BITS]),
            out.tlast.eq(closes & (left == 0)),
        ]
        with m.If(self.result.valid & ~out.tvalid):
            m.d.sync += [out.tvalid.eq(1), rest.eq(self.result.payload), left.eq(beats - 1), closes.eq(is_last),
                         number.eq(Mux(is_last, 0, number + 1))]
        with m.Elif(out.tvalid & out.tready):
            m.d.sync += [rest.eq(rest >> RESULT_BEAT_BITS), left.eq(left - 1), out.tvalid.eq(left != 0)]
        with m.If(self.restart):
            m.d.sync += number.eq(0)
        return m
