# SPDX-License-Identifier: MIT
"""Emitter: a group of spike bits becomes events, one a cycle."""

from amaranth.hdl import Array, Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from firstspike_arch.array import GROUP_BITS
from firstspike_arch.events import TokenLayout

from .first_one import at_most_two, lowest_one, without_lowest
from .stream_token import token_stream

__all__ = ["Emitter", "group_struct"]


def group_struct(layout: TokenLayout) -> data.StructLayout:
    """A group of `GROUP_BITS` neighbouring neurons, as an Amaranth layout.

    Bit k of ``bits`` is the spike of the neuron with address ``base`` + k, and element k of ``values`` its magnitude.
    With ``marker`` a step marker follows the events, and with ``final`` it ends the inference. ``single`` says that
    events and marker together are one token.
    """
    return data.StructLayout({
        "final": 1, "marker": 1, "single": 1, "base": layout.address_bits, "bits": GROUP_BITS,
        "values": data.ArrayLayout(layout.value_bits, GROUP_BITS),
    })


class Emitter(wiring.Component):
    """Sends the events of each group in ascending order, and then its marker.

    Throughput: one token a cycle without bubbles, also from group to group: the next group is taken in the cycle in
    which the last token of this one is taken. Latency: the first token of a group that is taken in cycle c is offered
    in c + 1. A group without bits and without marker is not allowed.

    Parameters
    ----------
    layout : TokenLayout
        Layout of the events.
    aligned : bool
        Every ``base`` is a multiple of `GROUP_BITS`: an address then needs no adder.

    Members
    -------
    groups : In(stream.Signature(group_struct(layout)))
    events : Out(token_stream(layout))
    """

    groups: stream.Interface
    events: stream.Interface

    def __init__(self, *, layout: TokenLayout, aligned: bool = False):
        self._layout, self._aligned = layout, aligned
        super().__init__({
            "groups": In(stream.Signature(group_struct(layout))), "events": Out(token_stream(layout)),
        })

    @property
    def layout(self) -> TokenLayout:
        """Layout of the events."""
        return self._layout

    @property
    def aligned(self) -> bool:
        """Whether groups begin at multiples of their size."""
        return self._aligned

    def elaborate(self, platform):
        m = Module()
        held = Signal(group_struct(self._layout), reset_less=True)
        valid, ends = Signal(), Signal()  # ends: the token offered is the last of its group
        move = self.events.ready
        # A bit for each token, in their order; without the one that is offered.
        tokens = Cat(held.bits, held.marker)
        later = without_lowest(tokens)
        m.d.comb += [
            self.groups.ready.eq(~valid | (move & ends)), self.events.valid.eq(valid),
            self.events.payload.marker.eq(held.bits == 0),
        ]
        with m.If(self.events.payload.marker):
            m.d.comb += self.events.payload.final.eq(held.final)
        with m.Else():
            place = lowest_one(held.bits)
            within = min(len(place), self._layout.field_bits[0])  # a map has the channel in its lowest bits
            m.d.comb += [
                self.events.payload.address.eq(
                    Cat(place[:within], held.base[within:]) if self._aligned else held.base + place),
                self.events.payload.value.eq(
                    Array(held.values[index] for index in range(GROUP_BITS))[place]),
            ]
        with m.If(self.groups.ready):
            m.d.sync += [valid.eq(self.groups.valid), held.eq(self.groups.payload), ends.eq(self.groups.payload.single)]
        with m.Elif(move):
            m.d.sync += [held.bits.eq(later[:GROUP_BITS]), ends.eq(at_most_two(tokens))]
        return m

