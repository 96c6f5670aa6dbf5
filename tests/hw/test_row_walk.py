# SPDX-License-Identifier: MIT
"""Walks alone: the rows and words of every event are those of `firstspike_arch.walk`."""

import numpy as np
import pytest
from amaranth.hdl import Module, Value
from amaranth.sim import Simulator
from firstspike_arch.core_spec import CoreSpec
from firstspike_arch.events import ADDRESS_SHIFT
from firstspike_arch.network_builder import NetworkBuilder
from firstspike_compiler.compile import compile_network
from firstspike_hw.row_walk import MapWalk, VectorWalk
from firstspike_hw.token_head import TokenDecoder


def convolution(lanes: int, banks: tuple[int, int] = (1, 1)) -> CoreSpec:
    network = NetworkBuilder((2, 5, 4), steps=2, readout="first_spike")
    random = np.random.default_rng(1)
    network.layer(random.integers(-7, 8, (4, 1, 3, 2)), theta=9, stride=(2, 1), padding=(1, 1), groups=2)
    network.layer(random.integers(-7, 8, (3, 60)), theta=9)
    return compile_network(network.build(), lanes=[lanes, 1], banks=[banks, (1, 1)]).program.cores[0]


@pytest.mark.parametrize(("lanes", "banks"), [(1, (1, 1)), (2, (1, 1)), (1, (1, 2)), (1, (2, 1)), (2, (2, 2))])
def test_an_event_of_a_map_visits_the_rows_of_its_walk(lanes, banks):
    spec = convolution(lanes, banks)
    (one,) = spec.inputs
    walk, unit, decoder = one.walk, MapWalk(spec), TokenDecoder(spec, 0)
    assert unit.spec is spec and decoder.spec is spec and decoder.place == 0
    rows, words, y_counts, x_counts = walk.visits(one.connectivity.in_shape)
    assert walk.x is not None and walk.y is not None
    visited = 0

    async def drive(ctx):
        nonlocal visited
        for number, address in enumerate(one.layout.addresses().tolist()):
            ctx.set(decoder.events.valid, 1)
            ctx.set(decoder.events.payload.as_value(), address << ADDRESS_SHIFT)
            ctx.set(decoder.taken, 1)
            await ctx.tick()
            ctx.set(decoder.events.valid, 0)
            ctx.set(decoder.taken, 0)
            count = int(y_counts[number] * x_counts[number]) * walk.reach
            assert bool(ctx.get(decoder.head.misses)) == (count == 0)
            for field in unit.head.shape().members:
                ctx.set(Value.cast(unit.head[field]), ctx.get(Value.cast(decoder.head[field])))
            _, y_at, x_at = np.unravel_index(number, one.connectivity.in_shape)
            for visit in range(count):
                y, rest = divmod(visit, int(x_counts[number]) * walk.reach)
                x, at = divmod(rest, walk.reach)
                ctx.set(unit.fresh, visit == 0)
                ctx.set(unit.step, 1)
                row = rows[number] + y * walk.y.row_step + x * walk.x.row_step + at
                assert ctx.get(unit.row) == row % (1 << len(unit.row))
                if spec.plan.bank_count == 1:
                    chosen = ctx.get(unit.chosen)
                    assert chosen.bit_count() == 1
                    assert ctx.get(unit.choices[chosen.bit_length() - 1]) == ctx.get(unit.row)
                for bank in range(spec.plan.bank_count if spec.plan.bank_count > 1 else 0):
                    places = divmod(bank, banks[1])
                    windows = walk.y.window, walk.x.window
                    reached = all(
                        (visit or window.first[pixel, place]) and (visit < count - 1 or window.last[pixel, place])
                        for visit, count, window, pixel, place in zip(
                            (y, x), (y_counts[number], x_counts[number]), windows, (y_at, x_at), places, strict=True))
                    assert bool(ctx.get(unit.reached) >> bank & 1) == reached
                    if reached:
                        assert ctx.get(unit.bank_rows[bank]) == row + sum(
                            window.tiles[pixel, place] * axis.tile_rows for window, pixel, place, axis in zip(
                                windows, (y_at, x_at), places, (walk.y, walk.x), strict=True))
                assert ctx.get(unit.word) == words[number] + y * walk.y.word_step + x * walk.x.word_step + at
                assert bool(ctx.get(unit.ends)) == (visit == count - 1)
                await ctx.tick()
                visited += 1
            ctx.set(unit.step, 0)

    both = Module()
    both.submodules.unit, both.submodules.decoder = unit, decoder
    simulator = Simulator(both)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run_until(5e-3)
    assert visited == int((y_counts * x_counts).sum()) * walk.reach >= 40


def test_a_vector_walk_is_of_a_vector():
    sentence = r"^spec must be a core with one stream, of a vector, not core 0 with 1 of shape \(2, 5, 4\)$"
    with pytest.raises(ValueError, match=sentence):
        VectorWalk(convolution(1))


def test_a_decoder_is_of_a_stream_that_there_is():
    with pytest.raises(ValueError, match=r"^place must be 0…0, not 1$"):
        TokenDecoder(convolution(1), 1)
