# SPDX-License-Identifier: MIT
"""Counters: what is counted, and when it can be read."""

import pytest
from amaranth.hdl import Module, ResetInserter
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
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


def test_counters_count_every_cycle_at_once_and_nothing_is_read_beyond_them():
    """All counters in every cycle, as a running device counts them, for longer than a byte holds."""
    unit, shown, cycles = Counters(["spikes"]), [], 700

    async def bench(ctx):
        ctx.set(unit.events, (1 << len(COUNTERS)) - 1)
        ctx.set(unit.again, 1)
        for _ in range(cycles):
            await ctx.tick()
        ctx.set(unit.events, 0)
        ctx.set(unit.again, 0)
        for address in (*range(32), 0):
            ctx.set(unit.address, address)
            for _ in range(STATUS_CYCLES):
                await ctx.tick()
            shown.append(ctx.get(unit.data))

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    counted = [cycles * (1 + (name == "spikes")) for name in COUNTERS]
    assert shown == [*counted, *[0] * (32 - len(COUNTERS)), counted[0]]


@pytest.mark.parametrize("start, more", [(0xFFFF_FFF0, 15), (0xFFFF_FFF0, 16), (0x7FFF_FFFF, 1), (0x1FFF_FFFF, 1)])
def test_counters_have_32_bits_and_wrap(start, more, monkeypatch):
    memories = []

    def kept(**arguments):
        memories.append(Memory(**arguments))
        return memories[-1]

    monkeypatch.setattr("firstspike_hw.counters.Memory", kept)
    unit, shown = Counters(), []

    async def bench(ctx):
        await ctx.tick().repeat(2 * STATUS_CYCLES)  # the first round, which begins at 0, has passed
        ctx.set(memories[0].data[0], start)
        ctx.set(unit.events, 1)
        await ctx.tick().repeat(more)
        ctx.set(unit.events, 0)
        await ctx.tick().repeat(2 * STATUS_CYCLES)
        shown.append(ctx.get(unit.data))

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert shown == [(start + more) % (1 << 32)]


def test_counters_begin_at_0_after_a_reset():
    """A reset of the device clears no memory: what was counted before lies there still."""

    class Bench(wiring.Component):
        def __init__(self):
            super().__init__({"again": In(1), "events": In(1), "data": Out(32)})

        def elaborate(self, platform):
            m = Module()
            unit = Counters()
            m.submodules.unit = ResetInserter(self.again)(unit)
            m.d.comb += [unit.events.eq(self.events << 5), unit.address.eq(5), self.data.eq(unit.data)]
            return m

    bench_of, shown = Bench(), []

    async def bench(ctx):
        for events in (7, 3):
            ctx.set(bench_of.events, 1)
            await ctx.tick().repeat(events)
            ctx.set(bench_of.events, 0)
            await ctx.tick().repeat(2 * STATUS_CYCLES)
            shown.append(ctx.get(bench_of.data))
            ctx.set(bench_of.again, 1)
            await ctx.tick()
            ctx.set(bench_of.again, 0)

    simulator = Simulator(bench_of)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert shown == [7, 3]


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
