# SPDX-License-Identifier: MIT
"""The SPI peripheral on its pins, in Amaranth's simulator: chunks of every length, and transfers cut short."""

import pytest
from amaranth.sim import Simulator
from firstspike_hw.link.spi import SpiPeripheral
from firstspike_hw.link.spi_chunks import CHUNK_OCTETS, octets_of_chunks

QUARTER = 2
"""Cycles of each level of sck, which is at most a quarter of the clock."""


def transfers(given: list[int], lengths: list[int], fill: int) -> tuple[list[bytes], list[int]]:
    """Offer octets to the peripheral, ``fill`` cycles ahead, and make transfers; return what each received and what the
    peripheral received in all."""
    unit, seen, received = SpiPeripheral(), [], []

    async def pins(ctx):
        async def hold(cycles):
            for _ in range(cycles):
                await ctx.tick()

        ctx.set(unit.received.ready, 1)
        await hold(fill)
        for number, length in enumerate(lengths):
            ctx.set(unit.cs_n, 0)
            await hold(5)
            octets = bytearray()
            for _ in range(3 * (length == 1)):  # a transfer that is cut within its first octet
                for level in (1, 0):
                    ctx.set(unit.sck, level)
                    await hold(QUARTER)
            if length == 1:
                ctx.set(unit.cs_n, 1)
                await hold(6)
                ctx.set(unit.cs_n, 0)
                await hold(5)
            for place in range(length):
                value = 0
                for bit in range(7, -1, -1):
                    ctx.set(unit.copi, (number + place) >> bit & 1)
                    await hold(QUARTER)
                    value = value << 1 | ctx.get(unit.cipo)
                    ctx.set(unit.sck, 1)
                    await hold(QUARTER)
                    ctx.set(unit.sck, 0)
                octets.append(value)
            await hold(4)
            ctx.set(unit.cs_n, 1)
            await hold(6)
            seen.append(bytes(octets))

    async def stream(ctx):
        left = list(given)
        while True:
            ctx.set(unit.sent.valid, bool(left))
            ctx.set(unit.sent.payload, left[0] if left else 0)
            if left and ctx.get(unit.sent.ready):
                left.pop(0)
            if ctx.get(unit.received.valid):
                received.append(ctx.get(unit.received.payload))
            await ctx.tick()

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(pins)
    simulator.add_testbench(stream, background=True)
    simulator.run()
    return seen, received


def test_a_chunk_has_as_many_octets_as_its_count_says():
    """More octets wait than a count can say: the rest comes in a chunk of its own."""
    given = [1 + place % 255 for place in range(300)]
    (seen,), received = transfers(given, [310], fill=400)
    assert seen[0] == CHUNK_OCTETS and octets_of_chunks(seen)[0] == bytes(given)
    assert received == [place & 0xFF for place in range(310)]


@pytest.mark.parametrize("lengths", [[1, 1, 5, 20], [3, 30], [2, 2, 2, 2, 2, 2, 20]])
def test_a_transfer_begins_with_a_count_and_loses_no_octet(lengths):
    given = list(range(1, 13))
    seen, received = transfers(given, lengths, fill=30)
    parts = [octets_of_chunks(one)[0] for one in seen]
    assert b"".join(parts) == bytes(given) and len(received) == sum(lengths)
    assert seen[0][0] == len(given)
