# SPDX-License-Identifier: MIT
"""Consistent overhead byte stuffing: frames without a zero inside, a zero behind each.

# Ref: S. Cheshire, M. Baker, "Consistent Overhead Byte Stuffing", IEEE/ACM ToN 7(2), 1999.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .frame_octet import frame_stream

__all__ = ["CobsDecoder", "CobsEncoder"]

BLOCK = 254
"""Octets of the longest block; its code means that no zero follows."""


class CobsDecoder(wiring.Component):
    """Takes the stuffing out of octets; a zero, if anything came since the last, is the end of a frame.

    Latency: an octet passes in the cycle in which it comes. Throughput: one a cycle. A frame that ends inside a block
    ends with 1.

    Members
    -------
    octets : In(stream.Signature(8))
    frames : Out(frame_stream())
    """

    octets: stream.Interface
    frames: stream.Interface

    def __init__(self):
        super().__init__({"octets": In(stream.Signature(8)), "frames": Out(frame_stream())})

    def elaborate(self, platform):
        m = Module()
        octet, out = self.octets.payload, self.frames.payload
        left, began = Signal(8), Signal()  # octets left of the block; a frame has begun
        zero = Signal()  # one stands between the block and the next
        passes = Signal()  # something of the frame: no code, and no zero between frames
        m.d.comb += [
            self.frames.valid.eq(self.octets.valid & passes), self.octets.ready.eq(self.frames.ready | ~passes),
        ]
        with m.If(octet == 0):
            m.d.comb += [passes.eq(began), out.end.eq(1), out.octet.eq(left != 0)]
        with m.Elif(left == 0):
            m.d.comb += passes.eq(zero)
        with m.Else():
            m.d.comb += [passes.eq(1), out.octet.eq(octet)]
        with m.If(self.octets.valid & self.octets.ready):
            m.d.sync += began.eq(octet != 0)
            with m.If(octet == 0):
                m.d.sync += [left.eq(0), zero.eq(0)]
            with m.Elif(left == 0):
                m.d.sync += [left.eq(octet - 1), zero.eq(octet != BLOCK + 1)]
            with m.Else():
                m.d.sync += left.eq(left - 1)
        return m


class CobsEncoder(wiring.Component):
    """Stuffs frames, block by block: the code of a block, its length, can only be sent once the block has come.

    =========  ============================  ================================================================
    state      what happens                  until
    =========  ============================  ================================================================
    TAKE       octets are stored             a zero, the end of the frame or the 254th octet has come
    CODE       the block's code is sent      it is taken; a block without octets leads on as DATA does
    DATA       its octets are sent           the last is taken; then DELIMITER if the frame has ended, or TAKE
    DELIMITER  the zero is sent              it is taken
    =========  ============================  ================================================================

    Throughput: a block is taken at one octet a cycle, then sent at one a cycle. Latency: the last octet of a block
    taken in cycle c, its code is offered in c + 1.

    Members
    -------
    frames : In(frame_stream())
        Ends must be 0.
    octets : Out(stream.Signature(8))
    """

    frames: stream.Interface
    octets: stream.Interface

    def __init__(self):
        super().__init__({"frames": In(frame_stream()), "octets": Out(stream.Signature(8))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.block = block = Memory(shape=8, depth=256, init=[])
        write, read = block.write_port(), block.read_port()
        given, out = self.frames.payload, self.octets
        count, index = Signal(8), Signal(8)  # octets taken, and asked of the memory
        ends, after_full = Signal(), Signal()
        m.d.comb += [write.addr.eq(count), write.data.eq(given.octet), read.addr.eq(index)]
        with m.FSM():
            with m.State("TAKE"):
                m.d.comb += [self.frames.ready.eq(1), write.en.eq(self.frames.valid)]
                with m.If(self.frames.valid):
                    m.d.sync += ends.eq(given.end)
                    with m.If(given.end & after_full & (count == 0)):
                        m.next = "DELIMITER"  # nothing follows the full block, and none is needed
                    with m.Elif(given.end | (given.octet == 0)):
                        m.next = "CODE"
                    with m.Else():
                        m.d.sync += count.eq(count + 1)
                        with m.If(count == BLOCK - 1):
                            m.next = "CODE"
            with m.State("CODE"):
                m.d.comb += [out.valid.eq(1), out.payload.eq(count + 1), read.en.eq(out.ready)]
                with m.If(out.ready):
                    m.d.sync += [index.eq(1), after_full.eq(count == BLOCK)]
                    with m.If(count != 0):
                        m.next = "DATA"
                    with m.Else():
                        self._next_block(m, count, index, ends)
            with m.State("DATA"):
                m.d.comb += [out.valid.eq(1), out.payload.eq(read.data), read.en.eq(out.ready)]
                with m.If(out.ready):
                    m.d.sync += index.eq(index + 1)
                    with m.If(index == count):
                        self._next_block(m, count, index, ends)
            with m.State("DELIMITER"):
                m.d.comb += out.valid.eq(1)
                with m.If(out.ready):
                    m.d.sync += [after_full.eq(0), ends.eq(0)]
                    m.next = "TAKE"
        return m

    def _next_block(self, m: Module, count: Signal, index: Signal, ends: Signal) -> None:
        """Leave DATA: for the delimiter if the frame ``ends``, or for the next block."""
        m.d.sync += [count.eq(0), index.eq(0)]
        with m.If(ends):
            m.next = "DELIMITER"
        with m.Else():
            m.next = "TAKE"
