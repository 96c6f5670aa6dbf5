# SPDX-License-Identifier: MIT
"""The lowest 1 of a word, of few bits and of so many that a gate for each behind the other would be too deep."""

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator
from firstspike_hw.first_one import at_most, at_most_one, lowest_one, without_lowest
from firstspike_hw.row_marks import RowMarks
from firstspike_hw.verilog import verilog


@pytest.mark.parametrize("width", [1, 2, 3, 5, 8, 9, 16, 33, 350])
def test_words_of_any_width(width):
    random, m = np.random.default_rng(width), Module()
    word = Signal(width)
    given = {"number": lowest_one(word), "one": at_most_one(word)}
    if width < 100:
        given |= {"rest": without_lowest(word), "two": at_most(2, word)}
    found = {name: Signal(len(value), name=name) for name, value in given.items()}
    m.d.comb += [signal.eq(given[name]) for name, signal in found.items()]
    assert len(found["number"]) == max(1, (width - 1).bit_length())

    async def compare(ctx):
        for share in (0, 1, *random.random(40) ** 6):
            places = np.flatnonzero(random.random(width) < share).tolist()
            ctx.set(word, sum(1 << place for place in places))
            await ctx.delay(1e-9)
            right = {"number": places[0] if places else width - 1, "rest": sum(1 << place for place in places[1:]),
                     "one": len(places) <= 1, "two": len(places) <= 2}
            for name, signal in found.items():
                assert ctx.get(signal) == right[name], name

    simulator = Simulator(m)
    simulator.add_testbench(compare)
    simulator.run()


@pytest.mark.slow
def test_rows_of_large_maps_are_found_in_verilog():
    """A map of 32 × 32 positions in three rows each has 384 words."""
    assert "module marks" in verilog(RowMarks(lines=32, line_rows=96), (), top="marks")
