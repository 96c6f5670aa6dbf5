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
"""Octets of the longest block; its code says that no zero follows."""


class CobsDecoder(wiring.Component):
    """Passes octets in the same cycle, one a cycle; a zero, if anything came since the last, as the end of a frame.

    A frame that ends inside a block ends with 1.

    Members
    -------
    octets : In(stream.Signature(8))
    frames : Out(frame_stream())
    """

    def __init__(self):
        super().__init__({"octets": In(stream.Signature(8)), "frames": Out(frame_stream())})

    def elaborate(self, platform):
        m = Module()
        octet, out = self.octets.payload, self.frames.payload
        left, began, zero = Signal(8), Signal(), Signal()  # of the block; of a frame; before the next block
        says = Signal()
        m.d.comb += [
            self.frames.valid.eq(self.octets.valid & says), self.octets.ready.eq(self.frames.ready | ~says),
        ]
        with m.If(octet == 0):
            m.d.comb += [says.eq(began), out.end.eq(1), out.octet.eq(left != 0)]
        with m.Elif(left == 0):
            m.d.comb += says.eq(zero)
        with m.Else():
            m.d.comb += [says.eq(1), out.octet.eq(octet)]
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
    """Takes a block, one octet a cycle, then sends it, one a cycle.

    Members
    -------
    frames : In(frame_stream())
        Only ends that are 0.
    octets : Out(stream.Signature(8))
    """

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
        m.d.sync += [count.eq(0), index.eq(0)]
        with m.If(ends):
            m.next = "DELIMITER"
        with m.Else():
            m.next = "TAKE"
