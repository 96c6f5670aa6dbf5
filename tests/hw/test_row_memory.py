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
