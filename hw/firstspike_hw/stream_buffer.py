# SPDX-License-Identifier: MIT
"""Stream buffer: a register on a stream that also cuts the path of ready."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["StreamBuffer"]


class StreamBuffer(wiring.Component):
    """Passes a stream on from a register.

    Latency: what is taken in cycle c is offered in c + 1. Throughput: one payload a cycle. ``source.ready`` is a
    register: it falls in the cycle after something was taken while the one before was not passed on, which a second
    register then holds.

    Parameters
    ----------
    signature : stream.Signature
        Signature of both streams.

    Members
    -------
    source : In(signature), buffered : Out(signature)
    """

    source: stream.Interface
    buffered: stream.Interface

    def __init__(self, signature: stream.Signature):
        if not isinstance(signature, stream.Signature):
            raise ValueError(f"signature must be that of a stream, not {signature!r}")
        super().__init__({"source": In(signature), "buffered": Out(signature)})

    def elaborate(self, platform):
        m = Module()
        given = self.source.payload
        second, second_valid = Signal.like(given), Signal()
        m.d.comb += self.source.ready.eq(~second_valid)
        with m.If(~self.buffered.valid | self.buffered.ready):
            m.d.sync += self.buffered.valid.eq(self.source.valid | second_valid)
            with m.If(second_valid):
                m.d.sync += self.buffered.payload.eq(second)
            with m.Else():
                m.d.sync += self.buffered.payload.eq(given)
        m.d.sync += second_valid.eq(
            self.buffered.valid & ~self.buffered.ready & (self.source.valid | second_valid))
        with m.If(self.source.ready):
            m.d.sync += second.eq(given)
        return m
