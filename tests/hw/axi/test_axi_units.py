# SPDX-License-Identifier: MIT
"""Units of the AXI accelerator: their arguments. tests/sim/backends/test_axi.py runs them, against models of others."""

import pytest
from amaranth.sim import Simulator
from firstspike_arch.events import FINAL_MARKER, MARKER
from firstspike_hw.axi.axi_lite import AxiLiteSubordinate
from firstspike_hw.axi.axi_stream import InputPackets, ResultPackets
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


@pytest.mark.parametrize("endless", [False, True])
def test_an_endless_inference_goes_on_beyond_tlast(endless):
    unit = InputPackets(word_bits=16, image_words=0, endless=endless)
    beats, words, counts = [(event(1), 0), (MARKER, 1), (event(2), 0), (event(3), 1), (MARKER, 0)], [], [0, 0]

    async def bench(ctx):
        ctx.set(unit.words.ready, 1)
        left = list(beats)
        for _ in range(30):
            ctx.set(unit.packets.tvalid, bool(left))
            if left:
                ctx.set(unit.packets.tdata, left[0][0])
                ctx.set(unit.packets.tlast, left[0][1])
                if ctx.get(unit.packets.tready):
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
    ends = [] if endless else [FINAL_MARKER]
    assert words == [event(1), MARKER, *ends, event(2), event(3), *ends, MARKER]
    assert counts == [2, 0 if endless else 2]
