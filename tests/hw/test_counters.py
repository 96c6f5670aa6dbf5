# SPDX-License-Identifier: MIT
"""Counters: what is counted, and when it can be read."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from firstspike_arch.status import COUNTERS, STATUS_CYCLES
from firstspike_hw.counters import Counters
from firstspike_sim.backends.unit_bench import run_unit


def test_counters_count():
    at = {"bad_address": list(range(3, 90, 7)), "cut": [5, 6, 7]}
    bits = {name: COUNTERS.index(name) for name in at}

    class Bench(wiring.Component):
        def __init__(self):
            self.unit = Counters()
            super().__init__({"bad_address": In(1), "cut": In(1), "right": Out(1)})

        def elaborate(self, platform):
            m = Module()
            m.submodules.unit = unit = self.unit
            m.d.comb += [unit.events[bits[name]].eq(getattr(self, name)) for name in at]
            m.d.comb += [unit.address.eq(bits["bad_address"]), self.right.eq(unit.data == len(at["bad_address"]))]
            return m

    seen = run_unit(Bench(), "pysim", offers={}, takes=[], pulses=at, counts=["right"],
                    cycles=max(at["bad_address"]) + 2 * STATUS_CYCLES)
    assert seen["right"][0] >= STATUS_CYCLES - 1


def test_counters_count_two_at_once():
    """Pulses of one, of two, and two in cycles without one: all are in the sum."""
    at = {"spikes": [4, 5, 6, 20], "again": [5, 6, 30], "cut": [5]}

    class Bench(wiring.Component):
        def __init__(self):
            self.unit = Counters(["spikes"])
            super().__init__({**{name: In(1) for name in at}, "right": Out(1)})

        def elaborate(self, platform):
            m = Module()
            m.submodules.unit = unit = self.unit
            m.d.comb += [unit.events[COUNTERS.index(name)].eq(getattr(self, name)) for name in ("spikes", "cut")]
            m.d.comb += [unit.again.eq(self.again), unit.address.eq(COUNTERS.index("spikes")),
                         self.right.eq(unit.data == 7)]
            return m

    seen = run_unit(Bench(), "pysim", offers={}, takes=[], pulses=at, counts=["right"], cycles=30 + 2 * STATUS_CYCLES)
    assert seen["right"][0] >= STATUS_CYCLES - 1
