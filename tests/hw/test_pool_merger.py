# SPDX-License-Identifier: MIT
"""Pool merger: sums of windows, order, rate, and what it does with malformed streams."""

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator
from firstspike_arch.events import FINAL_MARKER, MARKER, TokenLayout, tokens_from_spikes
from firstspike_arch.merging import Merging
from firstspike_hw.pool_merger import PoolMerger
from firstspike_sim.backends.unit_bench import run_unit

MERGINGS = {
    "squares": Merging(spikes=TokenLayout(shape=(5, 6, 4)), pool=2, lines=1),
    "graded, odd sizes": Merging(spikes=TokenLayout(shape=(2, 7, 8), high=3), pool=(3, 2), lines=2),
    "signed": Merging(spikes=TokenLayout(shape=(3, 4, 7), low=-2, high=2), pool=(1, 3), lines=4),
    "one window": Merging(spikes=TokenLayout(shape=(1, 3, 3), low=0, high=255), pool=(3, 3), lines=1),
    "a line": Merging(spikes=TokenLayout(shape=(4, 1, 9)), pool=(1, 2), lines=1),
}


def draw(merging: Merging, seed: int, share: float = 0.4) -> np.ndarray:
    """Spikes of three inferences of four steps, [B, T, N]."""
    random = np.random.default_rng(seed)
    shape = 3, 4, int(np.prod(merging.spikes.shape))
    low, high = merging.spikes.low, merging.spikes.high
    return random.integers(low, high + 1, shape) * (random.random(shape) < share)


def merged_tokens(merging: Merging, tokens: list[int]) -> list[int]:
    """The tokens that a merger must send, from those that it takes: an event for each window of a band, in the order of
    first events, whenever the band changes or the step ends."""
    layout, found, sums, band = merging.layout, [], {}, None
    index = np.zeros(1 << merging.spikes.address_bits, dtype=int)
    index[merging.spikes.addresses()] = np.arange(np.prod(merging.spikes.shape))
    windows, bands = merging.window_of_spikes(), merging.band_of_spikes()

    def close() -> None:
        found.extend(layout.events(np.array([*sums], dtype=int), np.array([*sums.values()], dtype=int)).tolist())
        sums.clear()

    for token in tokens:
        if token & MARKER:
            close()
            found.append(token)
            continue
        (address,), (value,) = merging.spikes.split(np.array([token]))
        window = int(windows[index[address]])
        if window < 0:
            continue
        if bands[index[address]] != band:
            close()
            band = bands[index[address]]
        sums[window] = sums.get(window, 0) + int(value)
    return found


@pytest.mark.parametrize("name", MERGINGS)
@pytest.mark.parametrize("seed", [None, 1, 2])
def test_windows_become_events(name, seed):
    merging = MERGINGS[name]
    spikes = draw(merging, 3)
    sent = tokens_from_spikes(spikes, merging.spikes)[0].tolist()
    wanted = merged_tokens(merging, sent)
    seen = run_unit(PoolMerger(merging), "pysim", offers={"events": sent}, takes=["merged"], seed=seed,
                    cycles=4 * len(sent) + 200)
    assert seen["merged"] == wanted and seen["left"] == [0]
    present, sums = merging.merged(spikes)
    assert len(wanted) == present.sum() + 12 < len(sent)  # each window once in a step: the stream comes band by band
    events = np.array([token for token in wanted if not token & MARKER])
    assert merging.layout.split(events)[1].sum() == sums.sum() and abs(sums).max() > merging.spikes.high


def test_any_order_and_repeated_addresses_add_up():
    """In an order of no map, windows come in parts; an address that comes often adds as often."""
    merging = MERGINGS["squares"]
    random = np.random.default_rng(4)
    sent = []
    for step in range(6):
        neurons = random.integers(0, 120, 60)
        sent += [*merging.spikes.events(neurons, np.ones(60)).tolist(), FINAL_MARKER if step % 3 == 2 else MARKER]
    wanted = merged_tokens(merging, sent)
    seen = run_unit(PoolMerger(merging), "pysim", offers={"events": sent}, takes=["merged"], seed=3, cycles=8000)
    assert seen["merged"] == wanted and seen["left"] == [0]


@pytest.mark.parametrize("name", ["squares", "signed"])
def test_a_sum_that_is_too_large_does_no_further_harm(name):
    """A host that sends an address more often than it declared gets another sum, but what follows is right."""
    merging = MERGINGS[name]
    value = merging.spikes.high
    often = [*merging.spikes.events(np.zeros(70, dtype=int), np.full(70, value)).tolist(), FINAL_MARKER]
    sent = tokens_from_spikes(draw(merging, 5), merging.spikes)[0].tolist()
    seen = run_unit(PoolMerger(merging), "pysim", offers={"events": often + sent}, takes=["merged"],
                    cycles=3 * len(sent) + 400)
    assert seen["merged"][1:] == [FINAL_MARKER, *merged_tokens(merging, sent)]


def test_an_event_is_taken_in_each_cycle():
    """All pixels fire: a step takes a cycle for each of its tokens, and for each of two events that close a band."""
    merging = MERGINGS["squares"]
    spikes = np.ones((3, 4, 120), dtype=int)
    by_lines = np.arange(120).reshape(5, 6, 4).transpose(1, 2, 0).ravel()
    step = [*merging.spikes.events(by_lines, spikes[0, 0]).tolist(), MARKER]
    sent = step * 4
    cycles = merging.places + 4 * (len(step) + 2)
    seen = run_unit(PoolMerger(merging), "pysim", offers={"events": sent}, takes=["merged"], cycles=cycles)
    assert seen["left"] == [0]
    late = run_unit(PoolMerger(merging), "pysim", offers={"events": sent}, takes=["merged"], cycles=cycles - 1)
    assert late["left"] != [0]


def test_a_reset_in_the_middle_leaves_no_sums():
    """The sums are in memories, which a reset of the registers leaves as they are."""
    merging = MERGINGS["squares"]
    sent = tokens_from_spikes(draw(merging, 6), merging.spikes)[0].tolist()
    merger, seen = PoolMerger(merging), []
    unit = ResetInserter({"sync": (again := Signal())})(merger)

    async def bench(ctx):
        ctx.set(merger.merged.ready, 1)
        for start in (merging.places + 50, 4 * len(sent)):
            at = 0
            seen.clear()
            for _ in range(start):
                ctx.set(merger.events.valid, at < len(sent))
                ctx.set(merger.events.payload.as_value(), sent[min(at, len(sent) - 1)])
                at += ctx.get(merger.events.ready) and at < len(sent)
                if ctx.get(merger.merged.valid):
                    seen.append(ctx.get(merger.merged.payload.as_value()))
                await ctx.tick()
            ctx.set(again, 1)
            await ctx.tick()
            ctx.set(again, 0)

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen == merged_tokens(merging, sent)
