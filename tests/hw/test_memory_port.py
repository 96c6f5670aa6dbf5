# SPDX-License-Identifier: MIT
"""Memory port: who is asked for first, and who gets which answer."""

import pytest
from amaranth.sim import Simulator
from firstspike_hw.memory_port import MemoryPort


def run(port: MemoryPort, wanted: dict[int, list[int]]) -> tuple[list[int], dict[int, list[int]]]:
    """Addresses in the order in which the memory is asked, and the data that each core gets; ``wanted``: addresses that
    each core asks for, two beats each. Data are the address and the one behind."""
    asked: list[int] = []
    got: dict[int, list[int]] = {core: [] for core in wanted}

    async def bench(ctx):
        beats: list[tuple[int, int]] = []
        for cycle in range(80):
            for core, asks in enumerate(port.asks):
                ctx.set(asks.valid, bool(wanted[core]))
                if wanted[core]:
                    ctx.set(asks.payload, {"address": wanted[core][0], "beats": 2})
                ctx.set(port.answers[core].ready, (cycle + core) % 3 != 0)
            ctx.set(port.requests.ready, cycle % 4 == 3)
            ctx.set(port.responses.valid, bool(beats))
            if beats:
                ctx.set(port.responses.payload, {"data": beats[0][0], "last": beats[0][1], "error": 0})
            if beats and ctx.get(port.responses.ready):
                beats.pop(0)
            for core, asks in enumerate(port.asks):
                if wanted[core] and ctx.get(asks.ready):
                    wanted[core].pop(0)
                if ctx.get(port.answers[core].valid) and (cycle + core) % 3 != 0:
                    got[core].append(ctx.get(port.answers[core].payload.data))
            if cycle % 4 == 3 and ctx.get(port.requests.valid):
                asked.append(ctx.get(port.requests.payload.address))
                beats += [(asked[-1], 0), (asked[-1] + 1, 1)]
            await ctx.tick()

    simulator = Simulator(port)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return asked, got


def test_the_last_core_is_asked_for_first_and_each_gets_its_own():
    asked, got = run(MemoryPort([2, 2, 2], 32), {0: [10, 20], 1: [30], 2: [40, 50]})
    assert asked == [40, 50, 30, 10, 20]
    assert got == {0: [10, 11, 20, 21], 1: [30, 31], 2: [40, 41, 50, 51]}


def test_a_single_core():
    assert run(MemoryPort([2], 64), {0: [8, 16, 24]}) == ([8, 16, 24], {0: [8, 9, 16, 17, 24, 25]})


def test_some_core_must_ask():
    with pytest.raises(ValueError, match="outstanding must be that of one core or more, not none"):
        MemoryPort([], 32)
