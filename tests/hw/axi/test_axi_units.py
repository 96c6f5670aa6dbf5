# SPDX-License-Identifier: MIT
"""Units of the AXI accelerator, cycle by cycle. tests/sim/backends/test_axi.py runs them against models of others."""

import numpy as np
import pytest
from amaranth.sim import Simulator
from firstspike_arch.events import FINAL_MARKER, MARKER
from firstspike_arch.network_builder import NetworkBuilder
from firstspike_compiler.compile import compile_network
from firstspike_hw.axi.axi_accelerator import AxiAccelerator
from firstspike_hw.axi.axi_lite import AxiLiteSubordinate
from firstspike_hw.axi.axi_stream import InputPackets, ResultPackets
from firstspike_hw.axi.registers import Register, Response
from firstspike_hw.link.linked_accelerator import linked_memories
from firstspike_sim.testing.unit_words import event


@pytest.mark.parametrize("unit, arguments, wrong, message", [
    (AxiLiteSubordinate, {"address_bits": 12}, {"address_bits": 2},
     "address_bits must be an integer of at least 3, not 2"),
    (InputPackets, {"word_bits": 16, "image_words": 0}, {"word_bits": 0},
     "word_bits must be an integer of at least 1, not 0"),
    (InputPackets, {"word_bits": 64, "image_words": 3}, {"image_words": -1},
     "image_words must be an integer of at least 0, not -1"),
    (InputPackets, {"word_bits": 16, "image_words": 0, "endless": True}, {"image_words": 3},
     "endless must be False for images of 3 words, not True"),
    (ResultPackets, {"result_bits": 65}, {"result_bits": 0}, "result_bits must be an integer of at least 1, not 0"),
])
def test_a_unit_has_its_arguments_and_refuses_wrong_ones(unit, arguments, wrong, message):
    made = unit(**arguments)
    assert {name: getattr(made, name) for name in arguments} == arguments
    with pytest.raises(ValueError, match=f"^{message}$"):
        unit(**{**arguments, **wrong})


def through(unit, beats, restart=()):
    """Words that pass, and pulses of ``packet`` and ``completed``: beats are (tdata, tlast), one a cycle; None: a cycle
    without."""
    words, counts, left = [], [0, 0], list(beats)

    async def bench(ctx):
        ctx.set(unit.words.ready, 1)
        for cycle in range(len(beats) + 20):
            beat = left[0] if left else None
            ctx.set(unit.restart, cycle in restart)
            ctx.set(unit.packets.tvalid, beat is not None)
            ctx.set(unit.packets.tdata, beat[0] if beat else 0)
            ctx.set(unit.packets.tlast, beat[1] if beat else 0)
            if left and (beat is None or ctx.get(unit.packets.tready)):
                left.pop(0)
            if ctx.get(unit.words.valid):
                words.append(ctx.get(unit.words.payload))
            counts[0] += ctx.get(unit.packet)
            counts[1] += ctx.get(unit.completed)
            await ctx.tick()

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return words, counts


@pytest.mark.parametrize("endless", [False, True])
def test_an_endless_inference_goes_on_beyond_tlast(endless):
    unit = InputPackets(word_bits=16, image_words=0, endless=endless)
    words, counts = through(unit, [(event(1), 0), (MARKER, 1), (event(2), 0), (event(3), 1), (MARKER, 0)])
    ends = [] if endless else [FINAL_MARKER]
    assert words == [event(1), MARKER, *ends, event(2), event(3), *ends, MARKER]
    assert counts == [2, 0 if endless else 2]


def test_an_image_that_a_packet_cuts_is_completed():
    unit = InputPackets(word_bits=64, image_words=3)
    words, counts = through(unit, [(1, 0), (2, 0), (3, 1), (4, 1), (5, 0), (6, 1), (7, 0), (8, 0), (9, 0), (10, 0)])
    assert words == [1, 2, 3, 4, 0, 0, 5, 6, 0, 7, 8, 9, 10] and counts == [3, 2]


@pytest.mark.parametrize("sent", [0, 1, 2])
def test_a_restart_forgets_how_much_of_an_image_has_passed(sent):
    unit, whole = InputPackets(word_bits=64, image_words=3), [(5, 0), (6, 0), (7, 1)]
    part = [(1, 0), (2, 0)][:sent]
    words, counts = through(unit, [*part, None, None, *whole, *whole], restart=[sent + 1])
    assert words == [*[1, 2][:sent], 5, 6, 7, 5, 6, 7] and counts == [2, 0]


def test_a_restart_forgets_what_has_not_passed_and_what_would_complete_an_image():
    for at, passed in ((1, []), (2, [1]), (3, [1, 0])):
        unit = InputPackets(word_bits=64, image_words=4)
        words, counts = through(unit, [(1, 1), None, None, None, None, (5, 0), (6, 0), (7, 0), (8, 1)], restart=[at])
        assert words == [*passed, 5, 6, 7, 8] and counts == [1 + (at > 1), at > 1]


@pytest.mark.parametrize("size, bits", [(0, 65), (1, 65), (3, 65), (3, 64), (2, 130)])
def test_tlast_ends_so_many_results(size, bits):
    unit, beats, count = ResultPackets(result_bits=bits), [], -(-bits // 64)
    results = [(number + 1) * 7 | 1 << bits - 1 for number in range(7)]

    async def bench(ctx):
        left = list(results)
        ctx.set(unit.size, size)
        ctx.set(unit.packets.tready, 1)
        for _ in range(60):
            ctx.set(unit.result.valid, bool(left))
            ctx.set(unit.result.payload, left[0] if left else 0)
            if ctx.get(unit.packets.tvalid):
                beats.append((ctx.get(unit.packets.tdata), ctx.get(unit.packets.tlast)))
            if left and ctx.get(unit.result.ready):
                left.pop(0)
            await ctx.tick()

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert [beat for beat, _ in beats] == [
        result >> 64 * place & (1 << 64) - 1 for result in results for place in range(count)]
    every = max(1, size) * count
    assert [last for _, last in beats] == [place % every == every - 1 for place in range(7 * count)]


WAIT = 64


def on_the_bus(monkeypatch, before=()):
    """Send tokens and, later, write a word that the program port cannot take while they are inside.

    Returns the cycles that the answer takes, the answer, and PROGRAM_ADDRESS before and after."""
    monkeypatch.setattr("firstspike_hw.axi.axi_accelerator.PROGRAM_WAIT_CYCLES", WAIT)
    builder = NetworkBuilder(11, steps=2, readout="potential")
    builder.layer(np.ones((3, 11), np.int8))
    program = compile_network(builder.build(), lanes=3).program
    unit, seen = AxiAccelerator(program, linked_memories(program)), []

    async def bench(ctx):
        async def tick():
            for level in (0, 1):
                ctx.set(unit.aclk, level)
                await ctx.delay(1e-7)

        async def access(**pins):
            for name, value in pins.items():
                ctx.set(getattr(unit.s_axi, name), value)
            for cycle in range(4 * WAIT):
                ready = {name: ctx.get(getattr(unit.s_axi, name.replace("valid", "ready")))
                         for name in pins if name.endswith("valid")}
                answer = [(ctx.get(getattr(unit.s_axi, f"{way}valid")), ctx.get(getattr(unit.s_axi, f"{way}resp")))
                          for way in "br"]
                found = next((one for valid, one in answer if valid), None)
                value = ctx.get(unit.s_axi.rdata)
                await tick()
                for name, taken in ready.items():
                    if taken:
                        ctx.set(getattr(unit.s_axi, name), 0)
                if found is not None:
                    return cycle, found, value
            raise AssertionError("no answer")

        ctx.set(unit.aresetn, 0)
        await tick()
        for pin, value in ((unit.aresetn, 1), (unit.s_axi.bready, 1), (unit.s_axi.rready, 1)):
            ctx.set(pin, value)
        for token in before:
            ctx.set(unit.s_axis.tvalid, 1)
            ctx.set(unit.s_axis.tdata, token)
            await tick()
            ctx.set(unit.s_axis.tvalid, 0)
        for _ in range(10):
            await tick()
        address = {"arvalid": 1, "araddr": Register.PROGRAM_ADDRESS.value}
        seen.append((await access(**address))[2])
        seen.extend((await access(awvalid=1, awaddr=Register.PROGRAM_DATA.value, wvalid=1, wdata=5, wstrb=15))[:2])
        seen.append((await access(**address))[2])

    simulator = Simulator(unit)
    simulator.add_testbench(bench)
    simulator.run()
    first, cycles, answer, last = seen
    return cycles, answer, (first, last)


def test_a_write_that_the_program_port_cannot_take_is_refused_after_exactly_so_many_cycles(monkeypatch):
    assert on_the_bus(monkeypatch, before=[event(3)]) == (WAIT + 1, Response.SLVERR, (0, 0))
    cycles, answer, places = on_the_bus(monkeypatch)
    assert cycles < 10 and (answer, places) == (Response.OKAY, (0, 1))
