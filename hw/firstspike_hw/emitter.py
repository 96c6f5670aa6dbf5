# SPDX-License-Identifier: MIT
"""Emitter: a group of spike bits becomes events, one a cycle."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from firstspike_arch.array import GROUP_BITS
from firstspike_arch.events import TokenLayout

from .stream_token import token_stream

__all__ = ["Emitter", "group_layout"]


def group_layout(addresses: int) -> data.StructLayout:
    """Spikes of neighbouring neurons from address ``base`` on; with ``marker``, a step marker follows them."""
    return data.StructLayout({
        "final": 1, "marker": 1, "base": TokenLayout(addresses=addresses).address_bits, "bits": GROUP_BITS,
    })


class Emitter(wiring.Component):
    """Events of each group in ascending order, then its marker.

    One token a cycle without bubbles, also from group to group: the next group is taken in the cycle in which the last
    token of this one is taken. Group taken in cycle c: its first token is offered in c + 1. A group without bits and
    without marker is not allowed.

    Members
    -------
    groups : In(stream.Signature(group_layout(addresses)))
    events : Out(token_stream(addresses))
    """

    def __init__(self, *, addresses: int):
        self._addresses = addresses
        super().__init__({
            "groups": In(stream.Signature(group_layout(addresses))), "events": Out(token_stream(addresses)),
        })

    def elaborate(self, platform):
        m = Module()
        held = Signal(group_layout(self._addresses), reset_less=True)
        valid = Signal()
        later = Signal(GROUP_BITS)  # without the lowest spike
        lowest = Signal(range(GROUP_BITS))
        has_spike, done, move = Signal(), Signal(), self.events.ready
        m.d.comb += [
            later.eq(held.bits & (held.bits - 1)), has_spike.eq(held.bits != 0),
            done.eq(Mux(has_spike, (later == 0) & ~held.marker, 1)),
            self.groups.ready.eq(~valid | (move & done)),
        ]
        for index in reversed(range(GROUP_BITS)):
            with m.If(held.bits[index]):
                m.d.comb += lowest.eq(index)
        m.d.comb += [
            self.events.valid.eq(valid), self.events.payload.marker.eq(~has_spike),
            self.events.payload.final.eq(~has_spike & held.final),
            self.events.payload.address.eq(Mux(has_spike, held.base + lowest, 0)),
        ]
        with m.If(self.groups.ready):
            m.d.sync += [valid.eq(self.groups.valid), held.eq(self.groups.payload)]
        with m.Elif(move):
            m.d.sync += held.bits.eq(later)
        return m
