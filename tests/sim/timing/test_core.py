# SPDX-License-Identifier: MIT
"""The core and its twin, cycle by cycle, on random networks: what goes in, and which spikes come out."""

import numpy as np
import pytest
from firstspike_hw.core import Core
from firstspike_sim.testing.callable_twins import callable_twins
from firstspike_sim.timing import core, sequencer
from firstspike_sim.timing.configuration import sequencer_settings
from firstspike_sim.timing.core import ROW

CYCLES = 500


@pytest.fixture
def compare(beside, streams, drops, lists_of):
    """``compare(twin, work, seed)``: a core whose spikes are not always welcome."""

    def run(twin, work, seed: int, *, willing: float = 0.6) -> int:
        twin, before = callable_twins(twin), callable_twins(sequencer)
        random, spec, plan = np.random.default_rng(seed), work.spec, work.spec.plan
        settings, lists = sequencer_settings([spec]), lists_of(work.spikes, plan.places())
        units, issue = sequencer.new_sequencers(settings), np.zeros(1, ROW)[0]
        state = twin.new_cores(np.array([plan.word_lanes]), np.array([spec.address_stage]))[0]
        # A layer's own stream, which comes from the golden model here, would not know what was dropped.
        offers, drop = streams(work, random, 0.8), drops(random, 0.01 * (spec.recurrent is None))
        image, captured = work.program.images()[spec.memory.name], 0

        def cycle(pins):
            nonlocal captured
            offers.offer(pins)
            drop.decide(units.state[0])
            granted, asks = random.random() < willing, twin.requests(state)
            pins.set(capture_grant=granted, drop_valid=drop.valid, drop_tag=drop.inference % (1 << spec.tag_bits))
            add = state["add"]
            pins.must_be(capture_request=asks, capture_coming=twin.coming(state), capture_valid=add["captures"])
            if asks:
                pins.must_be(capture_opening=twin.is_opening(state))
            if add["captures"]:
                twin.take_spikes(state, lists.offsets, lists.places, lists.first_step)
                word, captured = state["word"], captured + 1
                pins.must_be(capture_row=add["row"], capture_last=word["last"])
                if word["last"]:
                    pins.must_be(capture_final=word["final"])
                lanes = lists.places[word["start"]:word["stop"]] - word["base"]
                if plan.bank_count > 1:  # those of every bank are filled up to whole groups
                    bits = plan.word_lanes // plan.bank_count
                    lanes = lanes // bits * plan.lanes + lanes % bits
                pins.must_be(capture_spikes=sum(1 << int(lane) for lane in lanes))
            before.step(settings, units, 0, offers.registers, state["free"], drop.valid, drop.inference, issue)
            offers.check(pins, units.ready)
            twin.step(state, issue, granted)

        beside(Core(spec, image), CYCLES, cycle)
        return captured

    return run


@pytest.mark.thinned(2)
def test_twin_equals_unit(compare, random_work, seed):
    for work in random_work(seed):
        assert compare(core, work, seed, willing=[0.3, 0.7, 1][seed % 3]) > 0


@pytest.mark.parametrize("old, new, seed", [
    ("return not core.free or core.fetch.captures", "return core.fetch.captures", 0),
    ("return core.operand.captures and core.free", "return core.operand.captures", 0),
    ("core.fetch.row == 0 if core.free", "core.fetch.row == 0 if not core.free", 0),
    ("(add.row + 1) * core.lanes", "add.row * core.lanes + 1", 0),
    ("word.start = stop if add.masked else core.next_spike", "word.start = core.next_spike", 8),
    ("add.row * core.lanes, add.last", "add.row * core.lanes, add.final", 0),
    ("moves = granted or not requests(core)", "moves = granted", 0),
])
def test_a_fault_is_noticed(compare, random_work, spoiled, old, new, seed):
    wrong = spoiled(core, old, new)
    with pytest.raises(AssertionError, match="the twin says"):
        for work in random_work(seed):
            compare(wrong, work, seed)
