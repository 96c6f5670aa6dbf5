# SPDX-License-Identifier: MIT
"""Counters a host can read."""

from amaranth.hdl import Array, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from firstspike_arch.status import COUNTER_BITS, COUNTERS

__all__ = ["Counters"]


class Counters(wiring.Component):
    """`firstspike_arch.status.COUNTERS`; the value of ``address`` is on ``data`` one cycle later, 0 beyond the last.

    Members
    -------
    events : In(len(COUNTERS))
        Bit k high: counter k counts this cycle.
    address : In(5)
    data : Out(COUNTER_BITS)
    """

    def __init__(self):
        super().__init__({"events": In(len(COUNTERS)), "address": In(5), "data": Out(COUNTER_BITS)})

    def elaborate(self, platform):
        m = Module()
        values = [Signal(COUNTER_BITS, name=name) for name in COUNTERS]
        for index, value in enumerate(values):
            with m.If(self.events[index]):
                m.d.sync += value.eq(value + 1)
        with m.If(self.address < len(values)):
            m.d.sync += self.data.eq(Array(values)[self.address])
        with m.Else():
            m.d.sync += self.data.eq(0)
        return m
