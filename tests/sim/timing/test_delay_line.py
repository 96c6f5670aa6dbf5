# SPDX-License-Identifier: MIT
"""The delay line and its twin, cycle by cycle."""

import numpy as np
import pytest
from firstspike_arch.delaying import Delaying
from firstspike_arch.events import TokenLayout, tokens_from_spikes
from firstspike_hw.delay_line import DelayLine
from firstspike_sim.testing.callable_twins import callable_twins
from firstspike_sim.timing import delay_line, stream_buffer
from firstspike_sim.timing.spike_lists import codes_of_tokens, tokens_of_codes

RANDOM = np.random.default_rng(3)
DELAYINGS = [
    Delaying(layout=TokenLayout(shape=(150,)), delays=RANDOM.integers(0, 4, 150)),
    Delaying(layout=TokenLayout(shape=(3, 5, 6)), delays=np.full(90, 2)),
    Delaying(layout=TokenLayout(shape=(20,), high=200), delays=RANDOM.integers(0, 6, 20)),
    Delaying(layout=TokenLayout(shape=(2, 3, 3), low=-2, high=2), delays=RANDOM.integers(0, 3, 18)),
    Delaying(layout=TokenLayout(shape=(1,)), delays=np.array([1])),
    Delaying(layout=TokenLayout(shape=(3, 5, 6)), delays=np.zeros(90, int), by_channel=True),
    Delaying(layout=TokenLayout(shape=(5, 2, 3), high=3), delays=RANDOM.integers(0, 3, 30), by_channel=True),
]
RATES = [(1, 1), (0.6, 0.6), (1, 0.3)]
STEPS = 5, 1, 2, 8, 1, 1, 4


def compare(beside, twin, delaying: Delaying, often: float, willing: float, density: float = 0.3) -> int:
    """Run both; return how many tokens were not taken."""
    twin = callable_twins(twin)
    random = np.random.default_rng(int(100 * density))
    low, high, said = delaying.layout.low, delaying.layout.high, []
    for steps in STEPS:
        spikes = random.integers(low, high + 1, (1, steps, len(delaying.delays)))
        said.append(tokens_from_spikes(spikes * (random.random(spikes.shape) < density), delaying.layout)[0])
    said = np.concatenate(said)
    codes = codes_of_tokens(said, delaying.layout)
    units = twin.new_lines([delaying], [len(said)])
    source, behind = stream_buffer.new_stream_buffers(2)
    at = 0

    def cycle(pins):
        nonlocal at
        source["valid"] = at < len(said) and (source["valid"] or random.random() < often)
        source["token"] = codes[at] if source["valid"] else 0
        ready = random.random() < willing
        pins.set(events_valid=source["valid"], events_payload=said[at] if source["valid"] else 0, late_ready=ready)
        pins.must_be(late_valid=behind["valid"])
        if behind["valid"]:
            pins.must_be(late_payload=tokens_of_codes(np.array([behind["token"]]), delaying.layout)[0])
        taken = bool(source["valid"]) and bool(twin.takes(units, 0))
        if source["valid"]:
            pins.must_be(events_ready=taken)
        twin.step(units, 0, source, taken, behind, ready)
        if taken:
            at, source["valid"] = at + 1, False

    beside(DelayLine(delaying), int(2.5 * len(said) / min(often, willing)) + 8 * delaying.clear_cycles, cycle)
    return len(said) - at


@pytest.mark.thinned(2)
@pytest.mark.parametrize("rates", RATES)
@pytest.mark.parametrize("delaying", DELAYINGS)
def test_twin_equals_unit(beside, delaying, rates):
    often, willing = rates
    assert compare(beside, delay_line, delaying, often, willing) == 0


@pytest.mark.parametrize("density", [0.02, 0.9])
def test_twin_equals_unit_for_few_and_many_spikes(beside, density):
    assert compare(beside, delay_line, DELAYINGS[0], 1, 1, density) == 0


@pytest.mark.parametrize("old, new", [
    ("line.reading and line.reads and not line.blocked", "line.reading and line.reads"),
    ("return not line.reading\n", "return True\n"),
    ("return not _looks(line) and not (line.reading and line.final)", "return not _looks(line)"),
    ("return not _looks(line) and not (line.reading and line.final)", "return not (line.reading and line.final)"),
    ("rejected = sends and not ready", "rejected = False"),
    ("if line.final and line.left > 0:", "if False:"),
    ("line.left = max(line.left - 1, 0)", "pass"),
    ("due.slot = (line.now + delay) % line.slots", "due.slot = (line.now + delay + 1) % line.slots"),
    ("    if ready:\n        line.blocked = False", "    line.blocked = False"),
    ("known.valid = changed.valid = False", "changed.valid = False"),
    ("    for place in range(line.words):\n                _clear(lines, number, slot, place)",
     "    for place in range(0):\n                pass"),
])
def test_a_fault_is_noticed(beside, spoiled, old, new):
    faulty = spoiled(delay_line, old, new)
    with pytest.raises(AssertionError, match="the twin says"):
        for often, willing in RATES:
            compare(beside, faulty, DELAYINGS[0], often, willing)
