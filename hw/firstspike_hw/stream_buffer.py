# SPDX-License-Identifier: MIT
"""Stream buffer: a register on a stream that also cuts the path of ready."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["StreamBuffer"]


class StreamBuffer(wiring.Component):
    """Offers what was taken in cycle c in c + 1; one a cycle.

    ``source.ready`` is a register: it falls in the cycle after something was taken while the one before was not passed
    on, which a second register then holds.

    Parameters
    ----------
    signature : stream.Signature

    Members
    -------
    source : In(signature), buffered : Out(signature)
    """

    def __init__(self, signature: stream.Signature):
        super().__init__({"source": In(signature), "buffered": Out(signature)})

    def elaborate(self, platform):
        m = Module()
        given = self.source.payload
        second, second_valid = Signal.like(given), Signal()
        m.d.comb += self.source.ready.eq(~second_valid)
        with m.If(~self.buffered.valid | self.buffered.ready):
            m.d.sync += [self.buffered.valid.eq(self.source.valid | second_valid), second_valid.eq(0)]
            with m.If(second_valid):
                m.d.sync += self.buffered.payload.eq(second)
            with m.Else():
                m.d.sync += self.buffered.payload.eq(given)
        with m.Elif(self.source.ready):
            m.d.sync += second_valid.eq(self.source.valid)
        with m.If(self.source.ready):
            m.d.sync += second.eq(given)
        return m
