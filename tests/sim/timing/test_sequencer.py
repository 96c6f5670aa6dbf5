# SPDX-License-Identifier: MIT
"""The sequencer and its twin, cycle by cycle, on cores of random networks."""

import numpy as np
import pytest
from firstspike_hw.sequencer import Sequencer
from firstspike_sim.testing.callable_twins import callable_twins
from firstspike_sim.timing import row_walk, scoreboard, sequencer, token_head
from firstspike_sim.timing.configuration import sequencer_settings
from firstspike_sim.timing.core import ROW

CYCLES = 500


@pytest.fixture
def compare(beside, streams, drops):
    """``compare(twin, work, seed)``: a sequencer whose stages behind wait now and then."""

    def run(twin, work, seed: int, *, often: float = 0.8, moving: float = 0.8, dropping: float = 0.02) -> float:
        twin = callable_twins(twin)
        random, spec = np.random.default_rng(seed), work.spec
        settings = sequencer_settings([spec])
        units, issue = twin.new_sequencers(settings), np.zeros(1, ROW)[0]
        state, offers, drop = units.state[0], streams(work, random, often), drops(random, dropping)

        def cycle(pins):
            offers.offer(pins)
            drop.decide(state)
            free, busy = random.random() < moving, state["boot"] or not state["starting"]
            pins.set(free=free, drop_valid=drop.valid, drop_tag=drop.inference % (1 << spec.tag_bits))
            row = twin.step(settings, units, 0, offers.registers, free, drop.valid, drop.inference, issue)
            pins.must_be(issue_valid=row >= 0, busy=busy)
            if row >= 0 and (spec.plan.bank_count == 1 or issue["captures"]):
                event = spec.plan.sum_rows and not pins.get("issue_number")
                pins.must_be(**{"issue_sum_row" if event else "issue_row": row}, issue_captures=issue["captures"])
            if issue["captures"]:
                pins.must_be(issue_final=issue["final"], issue_masked=issue["masked"])
            offers.check(pins, units.ready)

        beside(Sequencer(spec), CYCLES, cycle)
        return offers.taken

    return run


@pytest.mark.thinned(2)
def test_twin_equals_unit(compare, random_work, seed):
    for work in random_work(seed):
        assert compare(sequencer, work, seed, moving=[0.5, 0.8, 1][seed % 3]) > 0.05


@pytest.mark.parametrize("seed", range(8))
def test_twin_equals_unit_with_banks(compare, banked_work, seed):
    (work,) = banked_work(seed)
    assert work.spec.plan.bank_count > 1 and work.spec.plan.forwards == (seed in (6, 7))
    assert compare(sequencer, work, seed, moving=1) > 0.05


@pytest.mark.parametrize(("module", "old", "new"), [
    (scoreboard, "one.row == other.row and", ""), (scoreboard, "and _meet(one.x, other.x)", ""),
    (scoreboard, "min(one.high, other.high) + 1", "min(one.high, other.high)"),
    (sequencer, "max(lowest, window[1])", "window[1]"),
])
def test_a_fault_of_banks_is_noticed(compare, banked_work, spoiled, monkeypatch, module, old, new):
    wrong = spoiled(module, old, new)
    if module is scoreboard:
        wrong, part = spoiled(sequencer, "EVENT, STEP, FINAL =", "EVENT, STEP, FINAL ="), wrong
        monkeypatch.setattr(wrong, "scoreboard", part)
    with pytest.raises(AssertionError, match="the twin says"):
        compare(wrong, banked_work(4)[0], 4, moving=1)


@pytest.mark.parametrize("seed", range(6))
def test_twin_equals_unit_where_rows_are_skipped(compare, skipping_work, seed):
    (work,) = skipping_work(seed)
    assert work.spec.plan.options.skips
    assert compare(sequencer, work, seed, moving=[0.7, 1][seed % 2]) > 0.05


@pytest.mark.parametrize(("old", "new", "seed"), [
    ("state.starting and state.finding > 0", "False", 0), ("FINDING_CYCLES = 5", "FINDING_CYCLES = 4", 0),
    ("marks[place] = False", "pass", 0), ("not marks[row]", "True", 0),
    ("tile * plan.position_rows + spot.row", "tile * plan.position_rows", 1),
])
def test_a_fault_of_skipping_is_noticed(compare, skipping_work, spoiled, old, new, seed):
    with pytest.raises(AssertionError, match="the twin says"):
        compare(spoiled(sequencer, old, new), skipping_work(seed)[0], seed, moving=1)


def test_random_cores_have_every_option(random_work, seeds):
    specs = [work.spec for seed in seeds for work in random_work(seed)]
    for option in (
        lambda spec: spec.plan.bank_count > 1, lambda spec: spec.plan.bit_serial,
        lambda spec: spec.recurrent is not None,
        lambda spec: len(spec.inputs) > 1, lambda spec: spec.plan.scattered and not spec.plan.forwards,
        lambda spec: spec.plan.forwards, lambda spec: spec.microcode.start and spec.plan.rows == 1,
        lambda spec: spec.plan.rows > 1 and spec.plan.in_registers,
        lambda spec: spec.microcode.pools and spec.microcode.recurs, lambda spec: spec.pairs and spec.plan.rows > 1,
    ):
        assert sum(bool(option(spec)) for spec in specs) >= 2


FAULTS = [
    (sequencer, "state.position == plan.starts and not state.boot", "state.position == plan.starts", 0),
    (scoreboard, "row == board.row0 or row == board.row1 or (", "row == board.row0 or (", 3),
    (row_walk, "edge.x_row_step - edge.reach", "edge.x_row_step", 67),
]
MORE_FAULTS = [
    (sequencer, "return settings.y_count[event] * settings.x_count[event] == 0 or (", "return (", 13),
    (sequencer, "state.bits &= state.bits - 1", "state.bits &= state.bits - 2", 28),
    (sequencer, "state.settled = settles[kind - 1, state.position] and not state.settled", "state.settled = False", 35),
    (sequencer, "edge.recurrent and state.opening", "False", 0),
    (sequencer, "state.opening = kind == FINAL", "state.opening = False", 0),
    (sequencer, "and not settings.edges[edge].recurrent", "", 28),
    (sequencer, "if state.starting:\n            state.masked = state.dropped", "state.masked = state.dropped", 63),
    (row_walk, "walk.at < edge.reach", "walk.at <= edge.reach", 0),
    (row_walk, "walk.x < x_count", "walk.x <= x_count", 0),
    (row_walk, "+= edge.y_row_step", "+= edge.x_row_step", 63),
    (scoreboard, "board.row0 >= 0 or board.row1 >= 0", "board.row0 >= 0", 3),
    (token_head, "taken or not head.valid", "taken and not head.valid", 0),
]


@pytest.mark.parametrize("module, old, new, seed", [
    *FAULTS, *(pytest.param(*fault, marks=pytest.mark.slow) for fault in MORE_FAULTS)])
def test_a_fault_is_noticed(compare, random_work, spoiled, monkeypatch, module, old, new, seed):
    wrong = spoiled(module, old, new)
    if module is not sequencer:
        name = module.__name__.rsplit(".", 1)[1]
        wrong, part = spoiled(sequencer, "EVENT, STEP, FINAL =", "EVENT, STEP, FINAL ="), wrong
        monkeypatch.setattr(wrong, name, part)
    with pytest.raises(AssertionError, match="the twin says"):
        for work in random_work(seed):
            compare(wrong, work, seed)
