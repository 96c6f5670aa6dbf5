# SPDX-License-Identifier: MIT
"""Row marks alone: which rows are found, in which cycles."""

import numpy as np
import pytest
from amaranth.sim import Simulator
from firstspike_hw.row_marks import RowMarks

FOUND_AFTER = 5
"""Cycles from the last mark to the first row."""


@pytest.mark.thinned(2)
@pytest.mark.parametrize(("lines", "line_rows", "ports"), [(1, 1, 1), (1, 9, 1), (3, 8, 2), (5, 21, 4), (7, 3, 1)])
@pytest.mark.parametrize("eager", [1.0, 0.5])
def test_marked_rows_are_found_in_order_one_a_cycle(lines, line_rows, ports, eager):
    """Every turn marks rows, now and then and in any order, searches several times, and clears; with ``eager`` 1, a row
    is taken in every cycle."""
    random, rows = np.random.default_rng(lines), lines * line_rows
    unit = RowMarks(lines=lines, line_rows=line_rows, ports=ports)
    assert (unit.lines, unit.line_rows) == (lines, line_rows)
    found = 0

    async def cycle(ctx, *, marks=(), step=False, clear=False):
        at = random.permutation(ports)[:len(marks)].tolist()  # any of the ports may be the one that marks
        for port in range(ports):
            ctx.set(unit.rows[port], int(marks[at.index(port)] if port in at else random.integers(rows)))
        ctx.set(unit.marks, sum(1 << port for port in at))
        ctx.set(unit.step, step)
        ctx.set(unit.clear, clear)
        await ctx.tick()

    async def drive(ctx):
        nonlocal found
        for turn in range(40):
            marked, ready = {0}, 0
            for _ in range(turn % 4 * int(random.integers(1, 1 + rows))):
                chosen = [] if random.random() < 0.2 else random.integers(0, rows, int(random.integers(1, ports + 1)))
                await cycle(ctx, marks=chosen)
                marked |= {int(row) for row in chosen}
                ready = FOUND_AFTER - 1 if len(chosen) else max(ready - 1, 0)
                assert bool(ctx.get(unit.valid)) == (ready == 0)
            for left in range(ready, 0, -1):
                await cycle(ctx)
                assert bool(ctx.get(unit.valid)) == (left == 1)
            last, passes = max(marked), 1 + turn % 3
            for number in range(passes):
                for row in sorted(marked):
                    while random.random() >= eager:
                        await cycle(ctx)
                    assert ctx.get(unit.valid)
                    assert (ctx.get(unit.row), ctx.get(unit.line), ctx.get(unit.place), bool(ctx.get(unit.ends))) == (
                        row, row // line_rows, row % line_rows, row == last)
                    found += 1
                    await cycle(ctx, step=True, clear=row == last and number == passes - 1)

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run()
    assert found > 60
