# SPDX-License-Identifier: MIT
"""Emitter: a token for each bit of a group, in ascending order, and one for its marker."""

from typing import ClassVar

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from firstspike_arch.events import TokenLayout
from firstspike_arch.layer_plan import GROUP_BITS
from firstspike_hw.emitter import Emitter
from proof import Fault, Proof

_UNIT, _FIRST = "firstspike_hw.emitter", "firstspike_hw.first_one"


def count_ones(bits: Value) -> Value:
    """The number of bits that are 1."""
    return sum(bits[1:], bits[0])


class EmitterProof(Proof):
    unit = "emitter"
    faults: ClassVar = {
        "the next event is the lowest left": Fault(
            module=_FIRST, find="Mux(low.any(), lowest_one(low)", replace="Mux(low[0], lowest_one(low)"),
        "the marker is behind the events": Fault(
            module=_UNIT, find="token.final.eq(held.final)", replace="token.final.eq(0)"),
        "each token is offered one cycle after the last": Fault(
            module=_UNIT, find="~valid | (move & ends)", replace="~valid"),
        "a group leaves whole, and no more": Fault(
            module=_UNIT, find="ends.eq(at_most(2 * slots, left))", replace="ends.eq(at_most(3 * slots, left))"),
        "what waits stays as it is": Fault(
            module=_UNIT, find="with m.Elif(move):\n            # Behind",
            replace="with m.Else():\n            # Behind"),
    }

    def build(self, m: Module) -> None:
        layout = TokenLayout(shape=(32,), high=3)
        m.submodules.unit = unit = Emitter(layout=layout)
        groups, events = unit.groups, unit.events
        group, token = groups.payload, events.payload
        self.offer(groups, "groups", patient=False)
        self.take(events, "events")
        tokens = count_ones(group.bits) + group.marker
        self.assume(~groups.valid | ((tokens != 0) & (group.single == (tokens == 1))))

        # What is left of the group that was taken.
        left, base, marker, final = (Signal(GROUP_BITS), Signal.like(group.base), Signal(), Signal())
        values = Signal.like(group.values)
        takes, passes = groups.valid & groups.ready, events.valid & events.ready
        with m.If(takes):
            m.d.sync += [left.eq(group.bits), base.eq(group.base), marker.eq(group.marker), final.eq(group.final),
                         values.eq(group.values)]
        with m.Elif(passes):
            m.d.sync += left.eq(left & (left - 1))
            with m.If(left == 0):
                m.d.sync += marker.eq(0)
        lowest = left & ~(left - 1)
        address: Value = base
        value: Value = values[0]
        for place in range(GROUP_BITS):
            address, value = (Mux(lowest[place], other, one) for one, other in (
                (address, base + place), (value, values[place])))
        self.hold("the next event is the lowest left", ~(events.valid & (left != 0)) | (
            ~token.marker & (token.address == address[:len(token.address)]) & (token.value == value)))
        self.hold("the marker is behind the events",
                  ~(events.valid & (left == 0)) | (token.marker & marker & (token.final == final)))
        self.hold("a group leaves whole, and no more", events.valid == ((left != 0) | marker))
        ends = (count_ones(left) + marker) == 1
        self.hold("each token is offered one cycle after the last",
                  groups.ready == (~events.valid | (events.ready & ends)))
        self.hold_stays(events)


class PairEmitterProof(Proof):
    unit = "emitter of two events"
    faults: ClassVar = {
        "every bit leaves once": Fault(
            module=_UNIT, find="m.d.comb += [token.second.valid.eq(1)",
            replace="m.d.comb += [token.second.valid.eq(0)"),
        "the marker is behind the events, alone": Fault(
            module=_UNIT, find="marks.eq(group.marker & group.single)", replace="marks.eq(group.marker)"),
        "two events where there are two": Fault(
            module=_UNIT, find="m.d.comb += [token.second.valid.eq(1)",
            replace="m.d.comb += [token.second.valid.eq(held.bits[0])"),
    }

    def build(self, m: Module) -> None:
        layout = TokenLayout(shape=(16,), slots=2)
        m.submodules.unit = unit = Emitter(layout=layout, aligned=True)
        groups, events = unit.groups, unit.events
        group, token = groups.payload, events.payload
        self.offer(groups, "groups", patient=False)
        self.take(events, "events")
        total = count_ones(group.bits)
        self.assume(~groups.valid | (
            ((total != 0) | group.marker) & (group.single == Mux(group.marker, total == 0, total <= 2))
            & (group.base == 0) & (group.second_base == GROUP_BITS)))
        left, marker, final = Signal(2 * GROUP_BITS), Signal(), Signal()
        here = [1 << slot.address for slot in (token, token.second)]
        taken = here[0] | Mux(token.second.valid, here[1], 0)
        with m.If(groups.valid & groups.ready):
            m.d.sync += [left.eq(group.bits), marker.eq(group.marker), final.eq(group.final)]
        with m.Elif(events.valid & events.ready):
            m.d.sync += [left.eq(Mux(token.marker, left, left & ~taken)), marker.eq(marker & ~token.marker)]
        more = (left & (left - 1)).any()
        event = events.valid & ~token.marker
        self.hold("every bit leaves once", ~event | ((taken & ~left) == 0))
        self.hold("every bit leaves once", events.valid == ((left != 0) | marker))
        self.hold("every bit leaves once", ~(event & token.second.valid) | (token.address < token.second.address))
        self.hold("two events where there are two", ~event | (token.second.valid == more))
        self.hold("the marker is behind the events, alone",
                  ~(events.valid & token.marker) | ((left == 0) & marker & (token.final == final)
                                                    & ~token.second.valid))
        ends = Cat(events.valid, events.ready).all() & Mux(
            token.marker, 1, ~marker & ~((left & ~taken) != 0))
        self.hold("every bit leaves once", groups.ready == (~events.valid | ends))
        self.hold("two events where there are two", ~(event & ~token.second.valid) | ~more)
