# SPDX-License-Identifier: MIT
"""The spike queue and its twin, cycle by cycle."""

import numpy as np
import pytest
from firstspike_arch.events import TokenLayout
from firstspike_arch.layer_options import LayerOptions
from firstspike_arch.layer_plan import LayerPlan, spike_queue_depth
from firstspike_hw.spike_queue import SpikeQueue
from firstspike_sim.testing.callable_twins import callable_twins
from firstspike_sim.timing import spike_queue
from firstspike_sim.timing.spike_queue import WORD

CYCLES = 500


def compare(beside, twin, seed: int, neurons: int, lanes: int, dense: float, often: float, willing: float) -> None:
    """Rows ask when they like; one that is granted is captured two cycles later."""
    twin = callable_twins(twin)
    layout = TokenLayout(shape=(neurons,))
    plan = LayerPlan(neurons=neurons, options=LayerOptions(lanes=lanes, membrane_bits=8))
    random, unit = np.random.default_rng(seed), SpikeQueue(layout=layout, plan=plan)
    queues = twin.new_spike_queues(np.array([spike_queue_depth(plan)]))
    state, held = queues.state[0], queues.words[0]
    shape, rows = unit.words.payload.shape(), plan.rows
    spikes = random.random((CYCLES, lanes)) < dense
    spikes[rows - 1::rows, neurons - (rows - 1) * lanes:] = False
    ends = np.concatenate([[0], np.cumsum(spikes.sum(1))])
    captured, coming, comes, refused = 0, False, False, 0

    def cycle(pins):
        nonlocal captured, coming, comes, refused
        row, asks, willing_now = captured % rows, random.random() < often, random.random() < willing
        last, final = row == rows - 1, captured // rows % 3 == 2
        mask = sum(1 << int(lane) for lane in np.flatnonzero(spikes[captured]))
        pins.set(capture_valid=comes, capture_coming=coming, capture_request=asks, capture_row=row, capture_last=last,
                 capture_final=final, capture_spikes=mask * comes, words_ready=willing_now)
        word = np.array((last, last and final, ends[captured], ends[captured + 1], row * lanes), WORD)
        taken = twin.words_valid(state) and willing_now
        granted = twin.grant(state, comes, coming, taken)
        pins.must_be(capture_grant=granted, words_valid=twin.words_valid(state))
        if twin.words_valid(state):
            head = held[state["head"]]
            offered = shape.from_bits(pins.get("words_payload"))
            said = (offered["last"], offered["last"] and offered["final"], offered["base"],
                    offered["spikes"].bit_count())
            assert said == (head["last"], head["final"], head["base"], head["stop"] - head["start"]), (
                f"cycle {pins.cycle}: words_payload is {said}, the twin says {head}")
        twin.step(state, held, comes, word[()], taken)
        captured += comes
        refused += asks and not granted
        coming, comes = asks and granted, coming

    beside(unit, CYCLES, cycle)
    assert captured > 50 and (refused > 20 or willing == 1)


@pytest.mark.parametrize("neurons, lanes, dense, often, willing", [
    (9, 9, 0.2, 0.8, 0.4), (9, 9, 0.2, 1, 1), (11, 4, 0.1, 1, 0.2), (30, 7, 0.3, 0.9, 0.3), (10, 5, 0.2, 1, 1),
])
def test_twin_equals_unit(beside, neurons, lanes, dense, often, willing):
    compare(beside, spike_queue, neurons, neurons, lanes, dense, often, willing)


@pytest.mark.parametrize("old, new", [
    ("int(captures) + int(coming) < queue.depth", "int(captures) + int(coming) <= queue.depth"),
    ("queue.kept = kept and not in_register", "queue.kept = False"),
    ("kept if in_register else queue.kept", "kept"), ("word.last or word.start < word.stop", "word.start < word.stop"),
    ("if queue.head == queue.depth:", "if queue.head > queue.depth:"),
    ("place - queue.depth if place >=", "place - queue.depth if place >"),
])
def test_a_fault_in_a_memory_is_noticed(beside, spoiled, old, new):
    with pytest.raises(AssertionError, match="the twin says"):
        compare(beside, spoiled(spike_queue, old, new), 11, 11, 4, 0.1, 1, 0.2)


@pytest.mark.parametrize("old, new", [
    ("captures or coming or (queue.count", "captures or (queue.count"),
    ("queue.count > 0 and not taken", "queue.count > 0"),
])
def test_a_fault_in_a_register_is_noticed(beside, spoiled, old, new):
    with pytest.raises(AssertionError, match="the twin says"):
        compare(beside, spoiled(spike_queue, old, new), 9, 9, 9, 0.2, 0.8, 0.4)
