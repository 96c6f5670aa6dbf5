# SPDX-License-Identifier: MIT
"""Emitter: groups of spike bits become events, one token a cycle."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from firstspike_arch.events import TokenLayout
from firstspike_arch.layer_plan import GROUP_BITS

from .first_one import at_most, lowest_one, without_lowest
from .stream_token import token_stream

__all__ = ["Emitter", "group_struct"]


def group_struct(layout: TokenLayout) -> data.StructLayout:
    """A group of `GROUP_BITS` neighbouring neurons, as an Amaranth layout; two groups, if a token has two events.

    Bit k of ``bits`` is the spike of the neuron with address ``base`` + k, and element k of ``values`` its magnitude.
    With ``marker`` a step marker follows the events, and with ``final`` it ends the inference. ``single`` says that
    events and marker together are one token. Bits and values of a second group, whose first address is ``second_base``,
    follow those of the first.
    """
    bits, second = GROUP_BITS * layout.slots, {} if layout.slots == 1 else {"second_base": layout.address_bits}
    return data.StructLayout({
        "final": 1, "marker": 1, "single": 1, "base": layout.address_bits, "bits": bits,
        "values": data.ArrayLayout(layout.value_bits, bits), **second,
    })


class Emitter(wiring.Component):
    """Sends the events of each group in ascending order, and then its marker.

    Throughput: one token a cycle without bubbles, also from group to group: the next group is taken in the cycle in
    which the last token of this one is taken. Latency: the first token of a group that is taken in cycle c is offered
    in c + 1. A group without bits and without marker is not allowed.

    With two events a token, two groups are taken as if they were one, the second of which may be empty. A token then
    holds the next two of its events, or the last one.

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
        # ends: the token offered is the last of its group; marks: it is the marker.
        valid, ends, marks = Signal(), Signal(), Signal()
        move, token, slots = self.events.ready, self.events.payload, self._layout.slots
        group = self.groups.payload
        m.d.comb += [
            self.groups.ready.eq(~valid | (move & ends)), self.events.valid.eq(valid), token.marker.eq(marks),
        ]
        with m.If(marks):
            m.d.comb += token.final.eq(held.final)
        with m.Else():
            m.d.comb += self._event(held, token, lowest_one(held.bits))
        later = without_lowest(held.bits)  # the events that are not offered
        if slots == 2:
            with m.If(later.any()):
                m.d.comb += [token.second.valid.eq(1), *self._event(held, token.second, lowest_one(later))]
            later = without_lowest(later)
        with m.If(self.groups.ready):
            m.d.sync += [valid.eq(self.groups.valid), held.eq(group), ends.eq(group.single),
                         marks.eq(group.marker & group.single)]
        with m.Elif(move):
            # Behind the token that is offered, one is left. A marker counts as many as fill a token.
            left = Cat(held.bits, held.marker.replicate(slots))
            m.d.sync += [held.bits.eq(later), ends.eq(at_most(2 * slots, left)), marks.eq(at_most(slots, held.bits))]
        return m

    def _event(self, held: data.View, slot: data.View, place: Value) -> list:
        """Return statements that fill a slot of the token with the event of a bit."""
        base, in_group = held.base, place
        if self._layout.slots == 2:
            in_group, in_second = place[:-1], place[-1]
            base = Mux(in_second, held.second_base, held.base)
        within = min(len(in_group), self._layout.field_bits[0])  # a map has the channel in its lowest bits
        return [slot.address.eq(Cat(in_group[:within], base[within:]) if self._aligned else base + in_group),
                slot.value.eq(Array(held.values[index] for index in range(len(held.bits)))[place])]

