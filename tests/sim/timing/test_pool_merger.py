# SPDX-License-Identifier: MIT
"""The pool merger and its twin, cycle by cycle."""

import numpy as np
import pytest
from firstspike_arch.events import TokenLayout, tokens_from_spikes
from firstspike_arch.merging import Merging
from firstspike_hw.pool_merger import PoolMerger
from firstspike_sim.testing.callable_twins import callable_twins
from firstspike_sim.timing import pool_merger, stream_buffer
from firstspike_sim.timing.spike_lists import codes_of_tokens, tokens_of_codes

MERGINGS = [
    Merging(spikes=TokenLayout(shape=(3, 6, 5)), pool=2, lines=1),
    Merging(spikes=TokenLayout(shape=(2, 7, 4), high=3), pool=(3, 1), lines=2),
    Merging(spikes=TokenLayout(shape=(2, 4, 7), low=-2, high=2), pool=(1, 3), lines=3),
    Merging(spikes=TokenLayout(shape=(1, 5, 5), low=0, high=20), pool=(5, 5), lines=1),
    Merging(spikes=TokenLayout(shape=(5, 4, 2)), pool=2, lines=2),
]
RATES = [(1, 1), (0.5, 0.5), (1, 0.3), (0.3, 1), (0.9, 0.9)]


def compare(beside, twin, merging: Merging, often: float, willing: float, density: float = 0.3) -> int:
    """Run both; return how many tokens were taken."""
    twin = callable_twins(twin)
    random = np.random.default_rng(int(100 * density))
    shape = 6, 4, int(np.prod(merging.spikes.shape))
    spikes = random.integers(merging.spikes.low, merging.spikes.high + 1, shape) * (random.random(shape) < density)
    spikes[2] = spikes[4, 1:] = 0  # steps without an event, one after the other
    said = tokens_from_spikes(spikes, merging.spikes)[0]
    codes, layout = codes_of_tokens(said, merging.spikes), merging.layout
    units = twin.new_mergers(windows=[merging.window_of_spikes()], bands=[merging.band_of_spikes()],
                             sweeps=[merging.places], graded=[merging.spikes.value_bits > 0])
    source, behind = stream_buffer.new_stream_buffers(2)
    at = 0

    def cycle(pins):
        nonlocal at
        source["valid"] = at < len(said) and (source["valid"] or random.random() < often)
        source["token"] = codes[at] if source["valid"] else 0
        ready = random.random() < willing
        pins.set(events_valid=source["valid"], events_payload=said[at] if source["valid"] else 0, merged_ready=ready)
        pins.must_be(merged_valid=behind["valid"])
        if behind["valid"]:
            pins.must_be(merged_payload=tokens_of_codes(np.array([behind["token"]]), layout)[0])
        taken = bool(source["valid"]) and bool(twin.takes(units, 0, source["token"]))
        if source["valid"]:
            pins.must_be(events_ready=taken)
        twin.step(units, 0, source, taken, behind, ready)
        if taken:
            at, source["valid"] = at + 1, False

    beside(PoolMerger(merging), int(2.5 * len(said) / min(often, willing)) + merging.places, cycle)
    return len(said) - at


@pytest.mark.parametrize("often, willing", RATES)
@pytest.mark.parametrize("merging", MERGINGS)
def test_twin_equals_unit(beside, merging, often, willing):
    assert compare(beside, pool_merger, merging, often, willing) == 0


@pytest.mark.parametrize("density", [0.02, 0.9])
def test_twin_equals_unit_for_few_and_many_spikes(beside, density):
    assert compare(beside, pool_merger, MERGINGS[0], 1, 1, density) == 0


@pytest.mark.parametrize("old, new", [
    ("return not merger.begins and not merger.reads", "return not merger.reads"),
    ("return not merger.begins and not merger.reads", "return not merger.begins"),
    ("merger.sweep == 0 and not mergers.dirty[number, _takes_half(merger)]", "merger.sweep == 0"),
    ("merger.sweep == 0 and not", "not"),
    ("if merger.summed.end:", "if merger.fetched.end:"),
    ("moves = not merger.offered.valid or room", "moves = room"),
    ("_move(merger.fetched, merger.place_read)", "_move(merger.fetched, merger.offered)"),
    ("mergers.sums[number, half, window] += value", "mergers.sums[number, half, window] = value"),
    ("merger.open = False", "pass"),
    ("return merger.half if merger.begins else 1 - merger.half", "return 1 - merger.half"),
    ("tables.band[address] != mergers.bands", "tables.band[address] > mergers.bands"),
    ("if window < 0:", "if False:"),
])
def test_a_fault_is_noticed(beside, spoiled, old, new):
    faulty = spoiled(pool_merger, old, new)
    with pytest.raises(AssertionError, match="the twin says"):
        for often, willing in RATES[:2]:
            compare(beside, faulty, MERGINGS[0], often, willing)
