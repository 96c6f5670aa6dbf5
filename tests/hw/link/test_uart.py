# SPDX-License-Identifier: MIT
"""UART units against levels on a line, and against each other."""

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.sim import Simulator
from firstspike_hw.link.uart import UartReceiver, UartTransmitter
from firstspike_sim.backends.unit_bench import run_unit


def received(divisor: int, levels: list[int], *, waits: int = 0) -> bytes:
    """What a receiver says of these levels, one a cycle; with ``waits`` its octets are taken so much later."""
    unit, octets = UartReceiver(divisor=divisor), bytearray()

    async def bench(ctx):
        since = 0
        for level in levels:
            ctx.set(unit.pin, level)
            since = since + 1 if ctx.get(unit.octets.valid) else 0
            ctx.set(unit.octets.ready, since > waits)
            if ctx.get(unit.octets.valid) and since > waits:
                octets.append(ctx.get(unit.octets.payload))
                since = 0
            await ctx.tick()

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return bytes(octets)


def levels_of(data: bytes, cycles_a_bit: float, *, stop: int = 1, idle: int = 3) -> list[int]:
    """The line, in cycles: at rest, then octets back to back."""
    bits = [bit for octet in data for bit in (0, *(octet >> place & 1 for place in range(8)), stop)]
    edges = np.round(np.arange(len(bits) + 1) * cycles_a_bit).astype(int)
    return [1] * idle + np.repeat(bits, np.diff(edges)).tolist() + [1] * 40


DATA = bytes(np.random.default_rng(6).integers(0, 256, 60, np.uint8)) + b"\0\xff\x55\xaa"


@pytest.mark.parametrize("divisor, error", [(8, 0), (8, 0.02), (8, -0.02), (16, 0.035), (16, -0.035), (104, 0)])
def test_uart_receiver_takes_octets_back_to_back(divisor, error):
    data = DATA if divisor < 100 else DATA[:8]
    assert received(divisor, levels_of(data, divisor * (1 + error))) == data


@pytest.mark.parametrize("place", range(1, 8))
def test_uart_receiver_outvotes_single_samples_and_ignores_glitches(place):
    levels = levels_of(DATA, 9, idle=50)
    for cycle in range(50 + place, len(levels) - 40, 9):
        levels[cycle] ^= 1  # one of the nine samples of every bit
    levels[10:12] = [0, 0]
    assert received(9, levels) == DATA


def test_uart_receiver_drops_an_octet_without_stop_bit_or_without_room():
    damaged = levels_of(b"\xf0", 8, stop=0)
    assert received(8, levels_of(b"a", 8) + damaged + levels_of(b"b", 8)) == b"ab"
    assert received(8, levels_of(b"abc", 8), waits=170) == b"a"


def test_uart_transmitter_sends_an_octet_in_ten_bits():
    unit, levels = UartTransmitter(divisor=8), []

    async def bench(ctx):
        left = list(DATA)
        for _ in range(len(DATA) * 80 + 10):
            ctx.set(unit.octets.valid, bool(left))
            if left:
                ctx.set(unit.octets.payload, left[0])
                if ctx.get(unit.octets.ready):
                    left.pop(0)
            levels.append(ctx.get(unit.pin))
            await ctx.tick()

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert levels == [1, *levels_of(DATA, 8, idle=0)[: len(DATA) * 80], *[1] * 9]


class Loop(wiring.Component):
    """A transmitter whose pin a receiver reads."""

    def __init__(self):
        super().__init__({"given": In(stream.Signature(8)), "taken": Out(stream.Signature(8))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.transmitter = transmitter = UartTransmitter(divisor=8)
        m.submodules.receiver = receiver = UartReceiver(divisor=8)
        connect(m, flipped(self.given), transmitter.octets)
        connect(m, receiver.octets, flipped(self.taken))
        m.d.comb += receiver.pin.eq(transmitter.pin)
        return m


def test_uart_units_understand_each_other():
    seen = run_unit(Loop(), "pysim", offers={"given": DATA}, takes=["taken"], cycles=len(DATA) * 90 + 90, seed=7)
    assert bytes(seen["taken"]) == DATA


@pytest.mark.parametrize("unit", [UartReceiver, UartTransmitter])
@pytest.mark.parametrize("divisor", [0, 7, 8.5])
def test_uart_refuses_a_divisor(unit, divisor):
    with pytest.raises(ValueError, match=rf"^divisor must be an integer of at least 8 cycles a bit, not {divisor}$"):
        unit(divisor=divisor)
