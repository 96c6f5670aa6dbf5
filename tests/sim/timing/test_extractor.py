# SPDX-License-Identifier: MIT
"""The extractor and its twin, cycle by cycle."""

import numpy as np
import pytest
from firstspike_arch.events import TokenLayout
from firstspike_arch.layer_plan import GROUP_BITS
from firstspike_hw.extractor import Extractor
from firstspike_sim.testing.callable_twins import callable_twins
from firstspike_sim.timing import emitter, extractor
from firstspike_sim.timing.spike_queue import WORD

STEPS, CYCLES = 20, 400


def words(random: np.random.Generator, lanes: int, rows: int) -> tuple[list[dict], np.ndarray, np.ndarray]:
    """Rows of random spikes as the unit takes them; as the twin takes them; and the places of all their spikes."""
    taken, spoken, places = [], np.zeros(STEPS * rows + 1, WORD), []
    for number in range(STEPS * rows):
        row, spikes = number % rows, random.random(lanes) < random.choice([0, 0.1, 0.6])
        spikes[random.integers(lanes)] |= row < rows - 1  # no word but the last of a step is without spikes
        last, final = row == rows - 1, row == rows - 1 and number // rows % 4 == 3
        groups = [spikes[start:start + GROUP_BITS].any() for start in range(0, lanes, GROUP_BITS)]
        taken.append({
            "base": row * lanes, "last": int(last), "final": int(final),
            "spikes": sum(1 << int(lane) for lane in np.flatnonzero(spikes)),
            "occupied": sum(1 << index for index, some in enumerate(groups) if some)})
        spoken[number] = last, final, len(places), len(places) + spikes.sum(), row * lanes
        places += (row * lanes + np.flatnonzero(spikes)).tolist()
    return taken, spoken, np.array(places)


def compare(
    beside, twin, seed: int, lanes: int, rows: int, often: float, willing: float, slots: int = 1,
) -> None:
    twin = callable_twins(twin)
    layout = TokenLayout(shape=(lanes * rows,), slots=slots)
    random, unit = np.random.default_rng(seed), Extractor(layout=layout, lanes=lanes)
    state = twin.new_extractors(1)[0]
    behind = emitter.new_emitters(np.array([(slots - 1) * layout.second_shift]))[0]
    taken, spoken, places = words(random, lanes, rows)
    payloads, at, offered = [unit.words.payload.shape().const(one).as_value().value for one in taken], 0, False

    def cycle(pins):
        nonlocal at, offered
        offered = at < len(payloads) and (offered or random.random() < often)
        ready = random.random() < willing
        pins.set(words_valid=offered, words_payload=payloads[at] if offered else 0, events_ready=ready)
        takes = twin.words_ready(state, behind, ready)
        pins.must_be(words_ready=takes, events_valid=behind["valid"])
        if behind["valid"]:
            pins.must_be(events_payload=callable_twins(emitter).token(behind, places))
        twin.step(state, behind, ready, offered, spoken[at], places)
        if takes and offered:
            at, offered = at + 1, False

    beside(unit, CYCLES, cycle)
    assert at >= STEPS


@pytest.mark.thinned(2)
@pytest.mark.parametrize("lanes, rows, often, willing", [
    (11, 3, 0.7, 0.7), (20, 1, 1, 1), (64, 2, 1, 0.8), (7, 2, 0.4, 1), (24, 2, 0.9, 0.5)])
@pytest.mark.parametrize("slots", [1, 2])
def test_twin_equals_unit(beside, lanes, rows, often, willing, slots):
    compare(beside, extractor, lanes, lanes, rows, often, willing, slots)


@pytest.mark.parametrize("old, new", [
    ("// GROUP_BITS == number:", "// GROUP_BITS <= number + 1:"),
    ("return not extractor.valid or (pick_ready", "return not extractor.valid and (pick_ready"),
    ("pick.final = pick.marker and held.final", "pick.final = held.final and not pick.marker"),
    ("pick_ready and extractor.group_stop == extractor.word.stop", "pick_ready"),
])
def test_a_fault_is_noticed(beside, spoiled, old, new):
    with pytest.raises(AssertionError, match="the twin says"):
        compare(beside, spoiled(extractor, old, new), 24, 24, 2, 0.9, 0.5, 2)
