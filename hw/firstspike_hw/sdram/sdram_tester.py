# SPDX-License-Identifier: MIT
"""Test of a memory: every beat is written, then read back and compared."""

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..beat_streams import beat_width, request_stream, response_stream, write_stream
from ..integer_argument import integer_argument

__all__ = ["SdramTester", "beat_of_test"]

def beat_of_test(number: int, data_bits: int) -> int:
    """What the tester writes into the beat of this number: words of 32 bits with the number, and, in turns, with its
    inverse, whose lowest bit comes first; so all bits change between beats."""
    inverse = int(f"{number ^ 0xFFFF_FFFF:032b}"[::-1], 2)
    return sum((inverse if place % 2 else number) << 32 * place for place in range(data_bits // 32))


class SdramTester(wiring.Component):
    """Writes `beat_of_test` into ``beats`` beats from address 0 on, then reads them in one request after the other.

    Throughput: a beat is offered until it is taken, in each cycle another; requests are of ``request_beats``, one
    offered behind the other; answers are always taken.

    Parameters
    ----------
    data_bits : int
        Bits of a beat.
    beats, request_beats : int
        Beats of the test, and of a request; the first is a multiple of the second.

    Members
    -------
    writes : Out(write_stream(data_bits)), requests : Out(request_stream())
    responses : In(response_stream(data_bits))
    done : Out(1)
        All has been read; ``wrong`` of the last beat follows a cycle later.
    wrong : Out(1)
        A beat differed, had an error, or had its ``last`` in the wrong place.
    """

    writes: stream.Interface
    requests: stream.Interface
    responses: stream.Interface
    done: Signal
    wrong: Signal

    def __init__(self, *, data_bits: int, beats: int, request_beats: int = 256):
        self._data_bits = beat_width(data_bits)
        self._request_beats = integer_argument("request_beats", request_beats, 1, 1 << 15, unit="beats")
        self._beats = integer_argument("beats", beats, request_beats, 1 << 31, unit="beats")
        if beats % request_beats:
            raise ValueError(f"beats must be a multiple of the {request_beats} of a request, not {beats}")
        super().__init__({
            "writes": Out(write_stream(data_bits)), "requests": Out(request_stream()),
            "responses": In(response_stream(data_bits)), "done": Out(1), "wrong": Out(1),
        })

    @property
    def beats(self) -> int:
        """Beats of the test."""
        return self._beats

    def elaborate(self, platform):
        m = Module()
        log = (self._data_bits // 8).bit_length() - 1
        to_write, to_ask, to_read = (Signal(32, name=name) for name in ("to_write", "to_ask", "to_read"))
        in_request = Signal(range(self._request_beats))
        write, answer = self.writes.payload, self.responses.payload

        def beat(number: Signal) -> Value:
            return Cat(Cat(reversed(~number)) if place % 2 else number for place in range(self._data_bits // 32))

        written = to_write == self._beats
        m.d.comb += [
            self.writes.valid.eq(~written), write.address.eq(to_write << log),
            write.data.eq(beat(to_write)),
            self.requests.valid.eq(written & (to_ask != self._beats)),
            self.requests.payload.address.eq(to_ask << log), self.requests.payload.beats.eq(self._request_beats),
            self.responses.ready.eq(1), self.done.eq(to_read == self._beats),
        ]
        with m.If(self.writes.valid & self.writes.ready):
            m.d.sync += to_write.eq(to_write + 1)
        with m.If(self.requests.valid & self.requests.ready):
            m.d.sync += to_ask.eq(to_ask + self._request_beats)
        # The comparison of a whole beat is wide: it has two cycles.
        differs, checks = Signal(self._data_bits // 32), Signal()
        m.d.sync += [differs.eq(Cat(answer.data.word_select(place, 32) != beat(to_read).word_select(place, 32)
                                    for place in range(self._data_bits // 32))),
                     checks.eq(self.responses.valid)]
        with m.If(checks & differs.any()):
            m.d.sync += self.wrong.eq(1)
        with m.If(self.responses.valid):
            ends = in_request == self._request_beats - 1
            m.d.sync += [to_read.eq(to_read + 1), in_request.eq(in_request + 1)]
            with m.If(ends):
                m.d.sync += in_request.eq(0)
            with m.If(answer.error | (answer.last != ends)):
                m.d.sync += self.wrong.eq(1)
        return m
