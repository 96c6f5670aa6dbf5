# SPDX-License-Identifier: MIT
"""Emitter: a group of spike bits becomes events, one a cycle."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from firstspike_arch.array import GROUP_BITS
from firstspike_arch.connectivity import Shape
from firstspike_arch.events import TokenLayout

from .first_one import at_most_one, lowest_one, without_lowest
from .stream_token import token_stream

__all__ = ["Emitter", "group_layout"]


def group_layout(shape: Shape) -> data.StructLayout:
    """Spikes of neighbouring neurons from address ``base`` on; with ``marker``, a step marker follows them.

    ``single``: all that is one token.
    """
    return data.StructLayout({
        "final": 1, "marker": 1, "single": 1, "base": TokenLayout(shape=shape).address_bits,
        "bits": GROUP_BITS,
    })


class Emitter(wiring.Component):
    """Events of each group in ascending order, then its marker.

    One token a cycle without bubbles, also from group to group: the next group is taken in the cycle in which the last
    token of this one is taken. Group taken in cycle c: its first token is offered in c + 1. A group without bits and
    without marker is not allowed.

    Members
    -------
    groups : In(stream.Signature(group_layout(shape)))
    events : Out(token_stream(shape))
    """

    def __init__(self, *, shape: Shape):
        self._shape = shape
        super().__init__({
            "groups": In(stream.Signature(group_layout(shape))), "events": Out(token_stream(shape)),
        })

    def elaborate(self, platform):
        m = Module()
        held = Signal(group_layout(self._shape), reset_less=True)
        valid, ends = Signal(), Signal()  # ends: the token offered is the last of its group
        move = self.events.ready
        # A bit for each token, in their order; without the one that is offered.
        later = without_lowest(Cat(held.bits, held.marker))
        m.d.comb += [
            self.groups.ready.eq(~valid | (move & ends)), self.events.valid.eq(valid),
            self.events.payload.marker.eq(held.bits == 0),
        ]
        with m.If(self.events.payload.marker):
            m.d.comb += self.events.payload.final.eq(held.final)
        with m.Else():
            m.d.comb += self.events.payload.address.eq(held.base + lowest_one(held.bits))
        with m.If(self.groups.ready):
            m.d.sync += [valid.eq(self.groups.valid), held.eq(self.groups.payload), ends.eq(self.groups.payload.single)]
        with m.Elif(move):
            m.d.sync += [held.bits.eq(later[:GROUP_BITS]), ends.eq(at_most_one(later))]
        return m

