# SPDX-License-Identifier: MIT
"""Tournament and scan: the best of a row, by the rule of the read-out."""

import numpy as np
import pytest
from amaranth.sim import Simulator
from firstspike_hw.winner import LaneScan, Tournament

NEURONS, RANK_BITS = 11, 5


def best_of(ranks: np.ndarray, fired: np.ndarray) -> tuple[int, bool, bool]:
    """Index of the first neuron with the best rank, of those that fired if any did; whether another has it; several."""
    candidates = np.flatnonzero(fired) if fired.any() else np.arange(len(ranks))
    best = candidates[np.argmax(ranks[candidates])]
    return int(best), int((ranks[candidates] == ranks[best]).sum()) > 1, bool(fired.sum() > 1)


@pytest.mark.parametrize("lanes", [3, 4, 11])
@pytest.mark.parametrize("unit", [Tournament, LaneScan])
def test_the_best_of_each_row_is_found_as_late_as_it_says(unit, lanes):
    rows, random = -(-NEURONS // lanes), np.random.default_rng(lanes)
    made = unit(rows=rows, lanes=lanes, neurons=NEURONS, rank_bits=RANK_BITS)
    assert (made.rows, made.lanes, made.neurons, made.rank_bits) == (rows, lanes, NEURONS, RANK_BITS)
    levels = (lanes - 1).bit_length() - (rows == 1)

    async def bench(ctx):
        for _ in range(12):
            ranks = random.integers(-4, 4, lanes)
            row = int(random.integers(rows))
            here = np.arange(lanes) < NEURONS - row * lanes
            fired = (random.random(lanes) < random.choice([0, 0.4])) & here
            ctx.set(made.row.valid, 1)
            ctx.set(made.row.payload.number, row)
            met = []
            for cycle in range(lanes + 4):
                turn = -cycle if unit is LaneScan else 0  # the window turns below the scan
                for lane, rank in enumerate(np.roll(ranks, turn)):
                    ctx.set(made.ranks[lane], int(rank))
                ctx.set(made.fired, sum(1 << int(lane) for lane in np.flatnonzero(np.roll(fired, turn))))
                if ctx.get(made.met.valid):
                    best = made.best
                    met.append((cycle, *(ctx.get(getattr(best, name)) for name in (
                        "index", "rank", "fired", "here", "tied", "several"))))
                    if unit is LaneScan:
                        assert ctx.get(made.finished) == (cycle == lanes - 1)
                        assert ctx.get(made.opens) == (row == 0 and cycle == 0)
                await ctx.tick()
                if unit is Tournament or cycle == lanes - 1:
                    ctx.set(made.row.valid, 0)
            if unit is LaneScan:
                assert met == [
                    (lane, row * lanes + lane, int(ranks[lane]), bool(fired[lane]), bool(here[lane]), 0, 0)
                    for lane in range(lanes)]
                continue
            index, tied, several = best_of(ranks[here], fired[here])
            (found,) = met
            assert found[:5] == (levels, row * lanes + index, ranks[index], fired.any(), 1)
            assert found[6] == several and (found[5] or not tied)

    simulator = Simulator(made)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("wrong, message", [
    ({"lanes": 0}, "lanes must be an integer of at least 1, not 0"),
    ({"neurons": 13}, "neurons must be an integer of 1…12, not 13"),
    ({"rank_bits": 0}, "rank_bits must be an integer of at least 1, not 0"),
])
def test_a_winner_refuses_sizes(wrong, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        Tournament(**{"rows": 3, "lanes": 4, "neurons": 11, "rank_bits": 5, **wrong})
