# SPDX-License-Identifier: MIT
"""Counters of what an accelerator does, for a host to read."""

from collections.abc import Sequence

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from firstspike_arch.status import COUNTER_BITS, COUNTERS

__all__ = ["Counters"]


class Counters(wiring.Component):
    """Counts the events of `firstspike_arch.status.COUNTERS`, any number of them in every cycle.

    The values live in a memory, where one after another is brought up to date, one a cycle; in that cycle the host's
    register takes it over. So ``data`` belongs to ``address`` once that has been stable for `STATUS_CYCLES`, and lacks
    the events of no more cycles than these. An address beyond the last reads 0.

    Parameters
    ----------
    again : sequence of str
        Names of the counters that may count two in a cycle.

    Members
    -------
    events : In(len(COUNTERS))
        Bit k high: counter k counts this cycle.
    again : In(len(again))
        Bit k high: that counter counts one more.
    address : In(5)
    data : Out(COUNTER_BITS)
    """

    events: Signal
    again: Signal
    address: Signal
    data: Signal

    def __init__(self, again: Sequence[str] = ()):
        self._again = tuple(again)
        super().__init__({
            "events": In(len(COUNTERS)), "address": In(5), "data": Out(COUNTER_BITS),
            **({"again": In(len(self._again))} if self._again else {}),
        })

    def elaborate(self, platform):
        m = Module()
        count = len(COUNTERS)
        m.submodules.values = values = Memory(shape=COUNTER_BITS, depth=count, init=[])
        read, write = values.read_port(), values.write_port()

        # A value is read, then written back with what it has missed; in the first round it starts at 0.
        slot, first_round = Signal(range(count)), Signal(init=1)
        last = slot == count - 1
        m.d.sync += [slot.eq(Mux(last, 0, slot + 1)), first_round.eq(first_round & ~last)]
        counted = Signal.like(self.events)  # a register: the events come from all over the device
        m.d.sync += counted.eq(self.events)
        missed = [Signal(range(count * (2 if name in self._again else 1) + 1), name=f"missed_{name}")
                  for name in COUNTERS]
        for index, (name, events) in enumerate(zip(COUNTERS, missed, strict=True)):
            total = Mux(slot == index, 0, events) + counted[index]
            if name in self._again:
                again = Signal(name=f"again_{name}")
                m.d.sync += again.eq(self.again[self._again.index(name)])
                total = total + again
            m.d.sync += events.eq(total)
        most = count * (2 if self._again else 1)
        more, keeps, place = Signal(range(most + 1)), Signal(), Signal(range(count))
        value, addend = Signal(COUNTER_BITS), Signal(range(most + 1))  # behind the memory, and in front of the adder
        m.d.sync += [
            more.eq(Array(missed)[slot]), keeps.eq(~first_round), place.eq(slot),
            value.eq(Mux(keeps, read.data, 0)), addend.eq(more), write.addr.eq(place), write.en.eq(1),
        ]
        m.d.comb += [
            read.addr.eq(slot),
            # Never both at one address: written out so that synthesis spends no logic on what a collision would read.
            read.en.eq(read.addr != write.addr),
            write.data.eq(value + addend),
        ]

        with m.If(write.en & (self.address == write.addr)):
            m.d.sync += self.data.eq(write.data)
        with m.Elif(self.address >= count):
            m.d.sync += self.data.eq(0)
        return m
