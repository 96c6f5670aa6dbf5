# SPDX-License-Identifier: MIT
"""Token buffer: a register on a link that also cuts the path of ready."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from firstspike_arch.events import TokenLayout

from .stream_token import token_stream

__all__ = ["TokenBuffer"]


class TokenBuffer(wiring.Component):
    """Offers a token taken in cycle c in c + 1; one a cycle.

    ``source.ready`` is a register: it falls in the cycle after a token was taken while the one before was not passed
    on, which a second register then holds.

    Members
    -------
    source : In(token_stream(layout)), events : Out(token_stream(layout))
    """

    def __init__(self, *, layout: TokenLayout):
        super().__init__({"source": In(token_stream(layout)), "events": Out(token_stream(layout))})

    def elaborate(self, platform):
        m = Module()
        token = self.source.payload
        second, second_valid = Signal.like(token), Signal()
        m.d.comb += self.source.ready.eq(~second_valid)
        with m.If(~self.events.valid | self.events.ready):
            m.d.sync += [self.events.valid.eq(self.source.valid | second_valid), second_valid.eq(0)]
            with m.If(second_valid):
                m.d.sync += self.events.payload.eq(second)
            with m.Else():
                m.d.sync += self.events.payload.eq(token)
        with m.Elif(self.source.ready):
            m.d.sync += second_valid.eq(self.source.valid)
        with m.If(self.source.ready):
            m.d.sync += second.eq(token)
        return m
