# SPDX-License-Identifier: MIT
"""What a row memory and a program port refuse, and what they say of themselves."""

import pytest
from amaranth.sim import Simulator
from firstspike_hw.program_port import ProgramPort
from firstspike_hw.row_memory import RowMemory


def test_arguments_can_be_read_back():
    memory = RowMemory(rows=3, width=4, registers=True, init=[1, 2, 3])
    assert (memory.rows, memory.width, memory.registers) == (3, 4, True)


@pytest.mark.parametrize(("arguments", "sentence"), [
    ({"rows": 0, "width": 4, "registers": True}, r"rows and width must be at least 1, not 0 and 4"),
    ({"rows": 3, "width": 4, "registers": True, "init": [1]},
     r"init must be a value for each of 3 rows in registers, or none, not 1"),
    ({"rows": 3, "width": 4, "registers": True, "parity": True}, r"parity must be off for rows in registers"),
    ({"rows": 5, "width": 4, "registers": False, "remote": True, "parity": True},
     r"parity must be off for a remote memory"),
    ({"rows": 5, "width": 4, "registers": True, "remote": True}, r"remote must be off for rows in registers"),
    ({"rows": 5, "width": 4, "registers": False, "remote": True, "forwards": True},
     r"remote must be off for sums to be forwarded"),
    ({"rows": 3, "width": 4, "registers": False, "init": [1, 2, 3]},
     r"init must be a value for each of 3 rows in registers, or none, not 3"),
])
def test_wrong_arguments_are_said(arguments, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        RowMemory(**arguments)


def test_a_program_port_reaches_a_core():
    with pytest.raises(ValueError, match=r"^cores must be at least one, not none$"):
        ProgramPort([])


@pytest.mark.parametrize("forwards", [False, True])
def test_a_row_that_is_fetched_while_it_is_replaced_needs_forwarding(forwards):
    """What the memory reads then is wrong (conftest.py); it is not while another row is written."""
    memory, seen = RowMemory(rows=4, width=4, registers=False, forwards=forwards), []

    async def bench(ctx):
        ctx.set(memory.fetch, 1)
        for row, new in ((1, 5), (1, 6), (2, 7)):  # fetches row 1
            ctx.set(memory.advance, 1)
            ctx.set(memory.row, row)
            ctx.set(memory.next, new)
            ctx.set(memory.fetch_row, 1)
            await ctx.tick()
        for _ in range(3):
            ctx.set(memory.advance, 0)
            seen.append((ctx.get(memory.settled), ctx.get(memory.value)))
            await ctx.tick()

    simulator = Simulator(memory)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen == [(10, 6 if forwards else 10), (6, 6), (6, 6)]


@pytest.mark.parametrize("distance", [4, 5])
def test_a_remote_row_can_be_taken_again_after_five_cycles(distance):
    """Fetched three cycles before it is replaced, with waits in between; seen one stage before, and then."""
    memory, seen = RowMemory(rows=8, width=8, registers=False, remote=True), []
    visits = [0, 1, 2, 3, 4, 5, 6, 7, *range(distance), *range(distance), 0, 1]
    waits = {12, 13, 19}

    async def bench(ctx):
        stages: list[int | None] = [None, None, None]  # rows that are fetched, in the operand stage, and replaced
        rows, cycle = [0] * 8, 0
        while visits or any(one is not None for one in stages):
            free = cycle not in waits
            address = visits[0] if visits else None
            ctx.set(memory.fetch, free)
            ctx.set(memory.fetch_row, address or 0)
            replaced = stages[2]
            ctx.set(memory.advance, replaced is not None)
            if replaced is not None:
                ctx.set(memory.row, replaced)
                ctx.set(memory.next, 16 * (cycle % 15 + 1) + replaced)
                seen.append(ctx.get(memory.value) == ctx.get(memory.settled) == rows[replaced])
                rows[replaced] = 16 * (cycle % 15 + 1) + replaced
            if stages[1] is not None and free:
                seen.append(ctx.get(memory.peek) == rows[stages[1]])
            stages = [address, stages[0], stages[1]] if free else [stages[0], stages[1], None]
            del visits[:free]
            cycle += 1
            await ctx.tick()

    simulator = Simulator(memory)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert len(seen) == 2 * (8 + 2 * distance + 2)
    assert all(seen[2 * 8 + 1:]) == (distance == 5)  # nothing was written to what is read first
