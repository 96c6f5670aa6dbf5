# SPDX-License-Identifier: MIT
"""Word feeder: the octets of a request become words for the accelerator or its memories."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from firstspike_arch.events import FINAL_MARKER, MARKER_BIT
from firstspike_arch.status import PROGRAM_WORD

from ..integer_argument import integer_argument
from .frame_buffer import BUFFER_MAX
from .frame_octet import frame_stream
from .frames import PROGRAM_WORD_BYTES, READ_ADDRESS_BYTES

__all__ = ["WordFeeder"]


class WordFeeder(wiring.Component):
    """Gathers the payload of a request to input words, words of the program port, or places to be read.

    Throughput: an octet a cycle, and one cycle between the last octet of a word and the word offered. Whatever a
    request breaks off, an inference is always completed, with beats of zeros or a final marker: there are as many
    results as ends of inferences, or of windows, were sent.

    Parameters
    ----------
    word_bytes : int
        Octets of an input word.
    image_words : int
        Input words of an image; 0: tokens, and a final marker ends an inference.
    window_steps : int
        Every so many steps of an inference of tokens have a result, and those that are left at its end; 0: an inference
        has one.

    Members
    -------
    octets : In(frame_stream())
        The request behind its header; taken while ``running``.
    running : In(1)
        A request with words is carried out.
    starts : In(1)
        No request is: the next word begins with its first octet.
    infers, reads : In(1)
        The request consists of input words, or of places to be read; else of words of the program port.
    ended : In(1)
        The end of the request was taken.
    chunk_sent : In(1)
        What was read at a place has been answered.
    result_taken : In(1)
        A result leaves the accelerator.
    words : Out(stream.Signature(8 · word_bytes))
    program_port : Out(stream.Signature(PROGRAM_WORD))
        Its payload is also the place to be read.
    full : Out(1)
        A word has all its octets.
    expects : Out(1)
        A result is still to come.
    done : Out(1)
        The request has ended, and nothing of it is left.
    completed : Out(1)
        The request broke off within a word or within an inference.
    """

    octets: stream.Interface
    running: Signal
    starts: Signal
    infers: Signal
    reads: Signal
    ended: Signal
    chunk_sent: Signal
    result_taken: Signal
    words: stream.Interface
    program_port: stream.Interface
    full: Signal
    expects: Signal
    done: Signal
    completed: Signal

    def __init__(self, *, word_bytes: int, image_words: int, window_steps: int = 0):
        self._word_bytes = integer_argument("word_bytes", word_bytes, 1, PROGRAM_WORD_BYTES)
        self._image_words = integer_argument("image_words", image_words, 0)
        self._window_steps = integer_argument("window_steps", window_steps, 0)
        if window_steps and image_words:
            raise ValueError(f"window_steps must be 0 for images of {image_words} words, not {window_steps}")
        super().__init__({
            "octets": In(frame_stream()), "running": In(1), "starts": In(1), "infers": In(1), "reads": In(1),
            "ended": In(1), "chunk_sent": In(1), "result_taken": In(1), "words": Out(stream.Signature(8 * word_bytes)),
            "program_port": Out(stream.Signature(data.StructLayout(PROGRAM_WORD))), "full": Out(1), "expects": Out(1),
            "done": Out(1), "completed": Out(1),
        })

    @property
    def word_bytes(self) -> int:
        """Octets of an input word."""
        return self._word_bytes

    @property
    def image_words(self) -> int:
        """Input words of an image; 0: tokens."""
        return self._image_words

    @property
    def window_steps(self) -> int:
        """Steps that have a result; 0: an inference has one."""
        return self._window_steps

    def elaborate(self, platform):
        m = Module()
        octets, words, port, full = self.octets, self.words, self.program_port, self.full
        size, image_words = self._word_bytes, self._image_words
        word, count = Signal(8 * PROGRAM_WORD_BYTES), Signal(range(PROGRAM_WORD_BYTES))
        last = count == Mux(self.infers, size, Mux(self.reads, READ_ADDRESS_BYTES, PROGRAM_WORD_BYTES)) - 1
        inside = Signal(range(max(2, image_words)))  # words of an image, or whether a token came since a final marker
        expected = Signal(range(BUFFER_MAX))  # results
        passes, closes = Signal(), Signal()
        m.d.comb += [
            words.payload.eq(word[-8 * size:]), words.valid.eq(full & self.infers & self.running),
            port.payload.eq(word), port.valid.eq(full & ~self.infers & ~self.reads & self.running),
            self.expects.eq(expected != 0), self.done.eq(self.ended & ~full & (inside == 0) & ~self.expects),
            passes.eq(words.valid & words.ready),
            closes.eq(inside == image_words - 1 if image_words else words.payload[:2].all()),
        ]
        with m.If(self.starts):
            m.d.sync += [self.completed.eq(0), count.eq(0)]
        with m.If(self.running & ~full):
            m.d.comb += octets.ready.eq(~self.ended)
            with m.If(self.ended):
                m.d.sync += [full.eq(inside != 0), self.completed.eq(self.completed | (inside != 0)),
                             word.eq(0 if image_words else Const(FINAL_MARKER, 8 * size) << len(word) - 8 * size)]
            with m.Elif(octets.valid & octets.payload.end):
                m.d.sync += self.completed.eq(count != 0)
            with m.Elif(octets.valid):
                m.d.sync += [word.eq(Cat(word[8:], octets.payload.octet)), full.eq(last),
                             count.eq(Mux(last, 0, count + 1))]
        with m.If(passes):
            m.d.sync += inside.eq(Mux(closes, 0, inside + 1 if image_words else 1))
        with m.If(passes | (port.valid & port.ready) | self.chunk_sent):
            m.d.sync += full.eq(0)
        decides: Value = closes
        if self._window_steps:
            step, marker = Signal(range(self._window_steps)), words.payload[MARKER_BIT]
            decides = closes | (marker & (step == self._window_steps - 1))
            with m.If(passes & marker):
                m.d.sync += step.eq(Mux(decides, 0, step + 1))
        m.d.sync += expected.eq(expected + (passes & decides) - self.result_taken)
        return m
