# SPDX-License-Identifier: MIT
"""Pair packer: joins events that come one a token into tokens of two."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from firstspike_arch.events import TokenLayout

from .stream_token import token_stream, token_struct

__all__ = ["PairPacker"]


class PairPacker(wiring.Component):
    """Joins two events of a step that follow each other, if both are there when a token can be sent.

    It holds up to two tokens. Latency: a token taken in cycle c is offered in c + 1. Throughput: one token a cycle is
    taken, and none waits for another: two events are sent together where the first of them had to wait for the core.
    ``events.ready`` falls only if two tokens are held and ``joined.ready`` is low.

    Parameters
    ----------
    layout : TokenLayout
        Layout of the tokens that are sent, of two events.

    Members
    -------
    events : In(token_stream(layout of one event))
    joined : Out(token_stream(layout))
    """

    events: stream.Interface
    joined: stream.Interface

    def __init__(self, layout: TokenLayout):
        if layout.slots != 2:
            raise ValueError(f"layout must be of two events, not {layout.slots}")
        self._layout = layout
        super().__init__({"events": In(token_stream(layout.single)), "joined": Out(token_stream(layout))})

    @property
    def layout(self) -> TokenLayout:
        """Layout of the tokens that are sent."""
        return self._layout

    def elaborate(self, platform):
        m = Module()
        given, sent = self.events, self.joined
        first, second = (Signal(token_struct(self._layout.single), name=name) for name in ("first", "second"))
        second_valid, both = Signal(), Signal()
        m.d.comb += [
            both.eq(second_valid & ~first.marker & ~second.marker), given.ready.eq(~second_valid | sent.ready),
            *(getattr(sent.payload, field).eq(getattr(first, field))
              for field in ("final", "marker", "address", "value")),
            sent.payload.second.valid.eq(both),
        ]
        with m.If(both):
            m.d.comb += [sent.payload.second.address.eq(second.address), sent.payload.second.value.eq(second.value)]
        with m.If(~sent.valid | (sent.ready & (both | ~second_valid))):
            # Nothing is left.
            m.d.sync += [sent.valid.eq(given.valid), first.eq(given.payload), second_valid.eq(0)]
        with m.Elif(sent.ready):
            m.d.sync += [first.eq(second), second.eq(given.payload), second_valid.eq(given.valid)]
        with m.Elif(~second_valid):
            m.d.sync += [second.eq(given.payload), second_valid.eq(given.valid)]
        return m
