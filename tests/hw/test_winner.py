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


def in_order(rows: int, lanes: int) -> np.ndarray:
    places = np.arange(rows * lanes).reshape(rows, lanes)
    return np.where(places < NEURONS, places, -1)


@pytest.mark.parametrize("lanes", [3, 4, 11])
@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("unit", [Tournament, LaneScan])
def test_the_best_of_each_row_is_found_as_late_as_it_says(unit, lanes, shuffled):
    rows, random = -(-NEURONS // lanes), np.random.default_rng(lanes)
    order = in_order(rows, lanes)
    if shuffled:
        order = random.permuted(order, axis=None).reshape(rows, lanes)
    made = unit(order=order, rank_bits=RANK_BITS)
    assert made.ascends != shuffled and (made.order == order).all() and made.rank_bits == RANK_BITS
    levels = (lanes - 1).bit_length() - (rows == 1)

    async def bench(ctx):
        for _ in range(12):
            ranks = random.integers(-4, 4, lanes)
            row = int(random.integers(rows))
            here = order[row] >= 0
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
                    (lane, max(0, number) if shuffled else row * lanes + lane, int(ranks[lane]),
                     bool(fired[lane]), bool(here[lane]), 0, 0)
                    for lane, number in enumerate(order[row].tolist())]
                continue
            (found,) = met
            if not here.any():
                assert not found[4]
                continue
            by_number = np.argsort(np.where(here, order[row], NEURONS))[: here.sum()]
            index, tied, several = best_of(ranks[by_number], fired[by_number])
            lane = by_number[index]
            assert found[:5] == (levels, order[row, lane], ranks[lane], fired.any(), 1)
            assert found[6] == several and (found[5] or not tied)

    simulator = Simulator(made)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("wrong, message", [
    ({"order": np.zeros((0, 3), dtype=int)}, r"order must be the neurons 0, 1, … .*, not of shape \(0, 3\) up to -1"),
    ({"order": np.array([[0, 2]])}, r"order must be the neurons 0, 1, … .*, not of shape \(1, 2\) up to 2"),
    ({"rank_bits": 0}, "rank_bits must be an integer of at least 1, not 0"),
])
def test_a_winner_refuses_sizes(wrong, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        Tournament(**{"order": in_order(3, 4), "rank_bits": 5, **wrong})
