# SPDX-License-Identifier: MIT
"""The pair packer and its twin, cycle by cycle."""

import numpy as np
import pytest
from firstspike_arch.events import FINAL_MARKER, MARKER, TokenLayout
from firstspike_hw.pair_packer import PairPacker
from firstspike_sim.testing.callable_twins import callable_twins
from firstspike_sim.testing.unit_words import event
from firstspike_sim.timing import pair_packer

CYCLES = 400


def compare(beside, twin, seed: int, often: float, willing: float) -> None:
    twin = callable_twins(twin)
    random, layout = np.random.default_rng(seed), TokenLayout(shape=(32,), slots=2)
    state, token, offered, joined = twin.new_pair_packer(layout.second_shift)[0], 0, False, 0

    def cycle(pins):
        nonlocal token, offered, joined
        if not offered and random.random() < often:
            offered, token = True, int(random.choice([MARKER, FINAL_MARKER, *map(event, random.integers(0, 32, 6))]))
        ready = random.random() < willing
        pins.set(events_valid=offered, events_payload=token, joined_ready=ready)
        takes = twin.events_ready(state, ready)
        pins.must_be(events_ready=takes, joined_valid=state["valid"])
        if state["valid"]:
            pins.must_be(joined_payload=twin.token(state))
            joined += ready and twin.token(state) >> layout.second_shift & 1
        twin.step(state, offered, token, ready)
        offered = offered and not takes

    beside(PairPacker(layout), CYCLES, cycle)
    assert (joined > 20) == (willing < 1)


@pytest.mark.parametrize("often, willing", [(0.7, 0.5), (1, 1), (1, 0.5), (0.9, 0.2)])
def test_twin_equals_unit(beside, often, willing):
    compare(beside, pair_packer, 1, often, willing)


@pytest.mark.parametrize("old, new", [
    ("return not packer.second_valid or joined_ready", "return not packer.second_valid"),
    ("(packer.first | packer.second) & MARKER == 0", "packer.first & MARKER == 0"),
    ("_joins(packer) or not packer.second_valid", "not packer.second_valid"),
    ("= packer.second, event, events_valid", "= event, event, events_valid"),
])
def test_a_fault_is_noticed(beside, spoiled, old, new):
    with pytest.raises(AssertionError, match="the twin says"):
        compare(beside, spoiled(pair_packer, old, new), 1, 0.9, 0.5)


def test_a_layout_of_one_event_is_refused():
    with pytest.raises(ValueError, match=r"^layout must be of two events, not 1$"):
        PairPacker(TokenLayout(shape=(32,)))
