# SPDX-License-Identifier: MIT
"""Frame buffer: nobody sees a frame before its CRC is known to be right."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.crc import Algorithm, Processor
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .frame_octet import FRAME_OCTET, frame_stream
from .frames import BUFFER_BYTES_MIN, CRC_BYTES, FRAME_BYTES_MIN, Reason

__all__ = ["BUFFER_MAX", "CrcAppender", "FrameBuffer"]

BUFFER_MAX = 1 << 16
"""Octets of the largest buffer."""


def _crc32() -> Processor:
    algorithm: Algorithm = CRC32_ISO_HDLC
    return algorithm(data_width=8).create()


class FrameBuffer(wiring.Component):
    """Stores frames, and lets out, without their CRC, those that are whole.

    For any other frame only an end comes out, in its place in the order, with the `Reason`; if there is no room for
    even that, nothing. Throughput: an octet or end is taken in every cycle, and one is offered in every cycle. Latency:
    an end taken in cycle c, the frame's first octet is offered in c + 2 if nothing is before it.

    Parameters
    ----------
    depth : int
        A power of two. Frames have room as long as their octets, CRCs included, are no more than that.

    Members
    -------
    source : In(frame_stream())
    frames : Out(frame_stream())
    taken, corrupt, overflow : Out(1)
        High for one cycle each: a whole frame came, or why another was dropped.
    """

    source: stream.Interface
    frames: stream.Interface
    taken: Signal
    corrupt: Signal
    overflow: Signal

    def __init__(self, *, depth: int):
        if not BUFFER_BYTES_MIN <= depth <= BUFFER_MAX or depth & (depth - 1):
            raise ValueError(f"depth must be a power of two of {BUFFER_BYTES_MIN}…{BUFFER_MAX} octets, not {depth!r}")
        self._depth = depth
        super().__init__({
            "source": In(frame_stream()), "frames": Out(frame_stream()),
            "taken": Out(1), "corrupt": Out(1), "overflow": Out(1),
        })

    @property
    def depth(self) -> int:
        """Octets that have room."""
        return self._depth

    def elaborate(self, platform):
        m = Module()
        depth = self._depth
        m.submodules.memory = memory = Memory(shape=FRAME_OCTET, depth=depth, init=[])
        m.submodules.crc = crc = _crc32()
        write, read = memory.write_port(), memory.read_port()
        given, taken = self.source.payload, self.source.valid
        # Places count twice around the memory: full and empty differ.
        end, begin, next_read = (Signal(range(2 * depth), name=name) for name in ("end", "begin", "next_read"))
        place, after = Signal.like(end), Signal.like(end)
        octets, overflown = Signal(range(FRAME_BYTES_MIN + 1)), Signal()
        is_octet, is_end, whole, full = taken & ~given.end, taken & given.end, Signal(), Signal()
        m.d.comb += [
            self.source.ready.eq(1), crc.data.eq(given.octet), crc.valid.eq(is_octet), crc.start.eq(is_end),
            whole.eq(crc.match_detected & (given.octet == 0) & (octets == FRAME_BYTES_MIN) & ~overflown),
            full.eq((place[:-1] == next_read[:-1]) & (place[-1] != next_read[-1])),
            # The end of a whole frame replaces the first octet of its CRC, that of any other its first octet.
            place.eq(Mux(given.end, Mux(whole, end - CRC_BYTES, begin), end)),
            write.addr.eq(place[:-1]), write.en.eq(taken & ~full & (given.end | ~overflown)),
            after.eq(place + write.en), write.data.octet.eq(given.octet), write.data.end.eq(given.end),
            self.taken.eq(is_end & whole), self.corrupt.eq(is_end & ~whole & ~overflown),
            self.overflow.eq(is_end & overflown),
        ]
        with m.If(given.end):
            m.d.comb += write.data.octet.eq(
                Mux(whole, 0, Mux(overflown, Reason.OVERFLOW.value, Reason.CORRUPT.value)))
        with m.If(taken):
            m.d.sync += end.eq(after)
        with m.If(is_octet):
            m.d.sync += overflown.eq(overflown | full)
            with m.If(octets != FRAME_BYTES_MIN):
                m.d.sync += octets.eq(octets + 1)
        with m.If(is_end):
            m.d.sync += [begin.eq(after), overflown.eq(0), octets.eq(0)]

        load = (next_read != begin) & (~self.frames.valid | self.frames.ready)
        m.d.comb += [
            # Never the place that is written: written out so that synthesis spends no logic on what a collision reads.
            read.addr.eq(next_read[:-1]), read.en.eq(load & ~(write.en & (write.addr == read.addr))),
            self.frames.payload.eq(read.data),
        ]
        with m.If(load):
            m.d.sync += [next_read.eq(next_read + 1), self.frames.valid.eq(1)]
        with m.Elif(self.frames.ready):
            m.d.sync += self.frames.valid.eq(0)
        return m


class CrcAppender(wiring.Component):
    """Passes frames on, with the four octets of their CRC-32 before the end.

    Latency: an octet passes in the cycle in which it comes. Throughput: one a cycle; an end waits for four.

    Members
    -------
    source : In(frame_stream()), frames : Out(frame_stream())
    """

    source: stream.Interface
    frames: stream.Interface

    def __init__(self):
        super().__init__({"source": In(frame_stream()), "frames": Out(frame_stream())})

    def elaborate(self, platform):
        m = Module()
        m.submodules.crc = crc = _crc32()
        given, out = self.source.payload, self.frames.payload
        place = Signal(range(CRC_BYTES + 1))
        moves = self.source.valid & self.frames.ready
        m.d.comb += [self.frames.valid.eq(self.source.valid), out.eq(given), crc.data.eq(given.octet),
                     self.source.ready.eq(self.frames.ready)]
        with m.If(~given.end):
            m.d.comb += crc.valid.eq(moves)  # pyright: ignore[reportOperatorIssue]  # lost in recursive StatementLike
        with m.Elif(place != CRC_BYTES):
            m.d.comb += [out.end.eq(0), out.octet.eq(crc.crc.word_select(place[:2], 8)), self.source.ready.eq(0)]
            with m.If(moves):
                m.d.sync += place.eq(place + 1)
        with m.Elif(moves):
            m.d.comb += crc.start.eq(1)
            m.d.sync += place.eq(0)
        return m
