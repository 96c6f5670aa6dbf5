# SPDX-License-Identifier: MIT
"""The scoreboard alone: which rows wait for those on their way."""

import numpy as np
import pytest
from amaranth.sim import Simulator
from firstspike_hw.scoreboard import Scoreboard

ROWS, CYCLES = 5, 400


@pytest.mark.parametrize(("forwards", "drains", "stages"), [
    (False, False, 2), (True, False, 2), (False, True, 2), (False, False, 4)])
def test_a_row_waits_for_itself_in_the_stages_behind(forwards, drains, stages):
    random = np.random.default_rng(3)
    unit = Scoreboard(rows=ROWS, forwards=forwards, drains=drains, stages=stages)
    assert (unit.forwards, unit.drains, unit.stages) == (forwards, drains, stages)
    behind: list[int | None] = [None] * stages  # rows in the stages
    seen = {False: 0, True: 0}

    async def drive(ctx):
        for _ in range(CYCLES):
            row = int(random.integers(ROWS))
            free, marker, starting, enters = (bool(bit) for bit in random.random(4) < (0.7, 0.5, 0.4, 0.6))
            for port, value in ((unit.rows[0], row), (unit.reached, 1), (unit.enters, enters), (unit.free, free),
                                (unit.marker, marker), (unit.starting, starting)):
                ctx.set(port, value)
            wanted = row in behind
            if forwards:
                wanted = marker and (wanted or (starting and any(one is not None for one in behind)))
            if drains:
                wanted = wanted or (marker and starting and any(one is not None for one in behind))
            assert bool(ctx.get(unit.waits)) == wanted
            seen[wanted] += 1
            await ctx.tick()
            if free:
                behind[:] = [row if enters else None, *behind[:-1]]

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run_until(CYCLES * 2e-6)
    assert min(seen.values()) > CYCLES // 20 and sum(seen.values()) == CYCLES


def test_banks_wait_for_rows_of_their_own():
    random = np.random.default_rng(4)
    unit = Scoreboard(rows=ROWS, forwards=False, banks=3)
    behind: list[set[tuple[int, int]]] = [set(), set()]  # banks and rows in the two stages
    seen = {False: 0, True: 0}

    async def drive(ctx):
        for _ in range(CYCLES):
            rows, reached = random.integers(ROWS, size=3), random.random(3) < 0.5
            free, enters = (bool(bit) for bit in random.random(2) < (0.7, 0.6))
            for bank in range(3):
                ctx.set(unit.rows[bank], int(rows[bank]))
            ctx.set(unit.reached, sum(int(one) << bank for bank, one in enumerate(reached)))
            ctx.set(unit.enters, enters)
            ctx.set(unit.free, free)
            now = {(bank, int(rows[bank])) for bank in range(3) if reached[bank]}
            wanted = bool(now & (behind[0] | behind[1]))
            assert bool(ctx.get(unit.waits)) == wanted
            seen[wanted] += 1
            await ctx.tick()
            if free:
                behind[:] = [now if enters else set(), behind[0]]

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run_until(CYCLES * 2e-6)
    assert min(seen.values()) > CYCLES // 20 and sum(seen.values()) == CYCLES


def test_the_chosen_row_waits_and_no_other():
    random = np.random.default_rng(5)
    unit = Scoreboard(rows=ROWS, forwards=False, choices=3)
    behind: list[int | None] = [None, None]
    seen = {False: 0, True: 0}

    async def drive(ctx):
        for _ in range(CYCLES):
            rows, chosen = random.integers(ROWS, size=3).tolist(), int(random.integers(4))  # 3: none of them
            free, enters = (bool(bit) for bit in random.random(2) < (0.7, 0.6))
            for place, row in enumerate(rows):
                ctx.set(unit.choices[place], row)
            row = [*rows, 0][chosen]
            for port, value in ((unit.chosen, (1 << chosen) & 0b111), (unit.rows[0], row), (unit.reached, 1),
                                (unit.enters, enters), (unit.free, free)):
                ctx.set(port, value)
            wanted = chosen < 3 and row in behind
            assert bool(ctx.get(unit.waits)) == wanted
            seen[wanted] += 1
            await ctx.tick()
            if free:
                behind[:] = [row if enters else None, behind[0]]

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run_until(CYCLES * 2e-6)
    assert min(seen.values()) > CYCLES // 20 and sum(seen.values()) == CYCLES


def test_there_must_be_a_row_and_a_bank():
    with pytest.raises(ValueError, match=r"^rows, banks and stages must be at least 1, not 0, 1 and 2$"):
        Scoreboard(rows=0, forwards=False)
    with pytest.raises(ValueError, match=r"^choices must be 0 with several banks, not 2$"):
        Scoreboard(rows=5, forwards=False, banks=3, choices=2)
