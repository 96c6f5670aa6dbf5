# SPDX-License-Identifier: MIT
"""Memory loader: the octets of a request are written into an external memory, and read back."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.crc import Algorithm
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out

from ..beat_streams import ADDRESS_BITS, BEATS_BITS, beat_width, request_stream, response_stream, write_stream
from .frame_octet import frame_stream
from .frames import CRC_BYTES, MEMORY_ADDRESS_BYTES, MemoryFault

__all__ = ["MemoryLoader"]


class MemoryLoader(wiring.Component):
    """Writes the beats of a request, then reads them all, and answers the CRC-32 of what it read, and `MemoryFault`.

    =========  ============================================  ==================================================
    state      what happens                                  until
    =========  ============================================  ==================================================
    TAKE       octets become the address, then beats, which  the end of the request is taken, and the last beat
               are written                                   written
    ASK        the beats are asked for                       it is taken; at once if there are none
    READ       a beat is taken                               it is there; behind the last octet of the last one
                                                             comes ANSWER
    SUM        the octets of a beat join the CRC             all have
    ANSWER     CRC and faults are answered                   all octets are taken; then TAKE, behind ``starts``
    =========  ============================================  ==================================================

    Throughput: an octet a cycle, but for writes that the memory does not take at once; two cycles more a beat as it is
    read.

    Parameters
    ----------
    data_bits : int
        Bits of a beat: 32, 64 or 128.

    Members
    -------
    octets : In(frame_stream())
        The request behind its header; taken while ``running``.
    running, starts : In(1)
        A request for the memory is carried out; no request is.
    answer : Out(stream.Signature(8))
    answered : Out(1)
        The last octet of the answer is taken.
    writes : Out(write_stream(data_bits))
    requests : Out(request_stream()), responses : In(response_stream(data_bits))
        A request comes behind all writes. It is the only one, and takes its answer without waiting for anything else.
    """

    octets: stream.Interface
    running: Signal
    starts: Signal
    answer: stream.Interface
    answered: Signal
    writes: stream.Interface
    requests: stream.Interface
    responses: stream.Interface

    def __init__(self, *, data_bits: int):
        self._data_bits = beat_width(data_bits)
        super().__init__({
            "octets": In(frame_stream()), "running": In(1), "starts": In(1), "answer": Out(stream.Signature(8)),
            "answered": Out(1), "writes": Out(write_stream(data_bits)), "requests": Out(request_stream()),
            "responses": In(response_stream(data_bits)),
        })

    @property
    def data_bits(self) -> int:
        """Bits of a beat."""
        return self._data_bits

    def elaborate(self, platform):
        m = Module()
        algorithm: Algorithm = CRC32_ISO_HDLC
        m.submodules.crc = crc = algorithm(data_width=8).create()
        size, given, read = self._data_bits // 8, self.octets.payload, self.responses.payload
        address, beats, beat = Signal(ADDRESS_BITS), Signal(BEATS_BITS), Signal(self._data_bits)
        place, count = Signal(ADDRESS_BITS), Signal(range(max(size, CRC_BYTES + 1)))
        addressed, ended, last, fault = Signal(), Signal(), Signal(), Signal(MemoryFault)
        total = Signal(8 * CRC_BYTES)
        tail = Cat(total, fault, Const(0, 8 - len(fault)))
        m.d.comb += [
            self.writes.payload.address.eq(place), self.writes.payload.data.eq(beat),
            self.requests.payload.address.eq(address), self.requests.payload.beats.eq(beats),
            self.answer.payload.eq(tail.word_select(count, 8)), crc.data.eq(beat[:8]),
            total.eq(crc.crc),  # pyright: ignore[reportArgumentType] - a gap of the stubs
        ]
        with m.If(self.writes.valid & self.writes.ready):
            m.d.sync += [self.writes.valid.eq(0), place.eq(place + size)]
        with m.FSM():
            with m.State("TAKE"):
                m.d.comb += [self.octets.ready.eq(self.running & ~ended & ~self.writes.valid), crc.start.eq(1)]
                with m.If(self.octets.valid & self.octets.ready):
                    m.d.sync += count.eq(count + 1)
                    with m.If(given.end):
                        m.d.sync += [ended.eq(1), count.eq(0)]
                        with m.If(~addressed | (beats == 0) | (count != 0)):
                            m.d.sync += fault.eq(MemoryFault.CUT)
                    with m.Elif(~addressed):
                        m.d.sync += [address.eq(Cat(address[8:], given.octet)), place.eq(Cat(address[8:], given.octet))]
                        with m.If(count == MEMORY_ADDRESS_BYTES - 1):
                            m.d.sync += [addressed.eq(1), count.eq(0)]
                    with m.Else():
                        m.d.sync += beat.eq(Cat(beat[8:], given.octet))
                        with m.If(count == size - 1):
                            m.d.sync += [self.writes.valid.eq(1), beats.eq(beats + 1), count.eq(0)]
                with m.If(ended & ~self.writes.valid):
                    m.next = "ASK"
                with m.If(self.starts):
                    m.d.sync += [addressed.eq(0), beats.eq(0), count.eq(0), fault.eq(0)]
            with m.State("ASK"):
                m.d.comb += self.requests.valid.eq(beats != 0)
                with m.If(beats == 0):
                    m.next = "ANSWER"
                with m.Elif(self.requests.ready):
                    m.next = "READ"
            with m.State("READ"):
                m.d.comb += self.responses.ready.eq(1)
                with m.If(self.responses.valid):
                    m.d.sync += [beat.eq(read.data), last.eq(read.last),
                                 fault.eq(fault | Mux(read.error, MemoryFault.UNREADABLE, 0))]
                    m.next = "SUM"
            with m.State("SUM"):
                m.d.comb += crc.valid.eq(1)  # pyright: ignore[reportOperatorIssue]  # lost in recursive StatementLike
                m.d.sync += [beat.eq(beat >> 8), count.eq(count + 1)]
                with m.If(count == size - 1):
                    m.d.sync += count.eq(0)
                    m.next = "READ"
                    with m.If(last):
                        m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += [self.answer.valid.eq(1), self.answered.eq(self.answer.ready & (count == CRC_BYTES))]
                with m.If(self.answer.ready):
                    m.d.sync += count.eq(count + 1)
                with m.If(self.answered):
                    m.d.sync += [ended.eq(0), count.eq(0)]
                    m.next = "TAKE"
        return m
