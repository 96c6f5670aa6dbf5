# SPDX-License-Identifier: MIT
"""The emitter and its twin, cycle by cycle."""

import numpy as np
import pytest
from firstspike_arch.events import TokenLayout
from firstspike_arch.layer_plan import GROUP_BITS
from firstspike_hw.emitter import Emitter
from firstspike_sim.testing.callable_twins import callable_twins
from firstspike_sim.timing import emitter

COUNT, CYCLES = 100, 400


def groups(random: np.random.Generator, dense: float, slots: int) -> tuple[list[dict], np.ndarray, np.ndarray]:
    """Random groups as the unit takes them, one or two at once; as the twin takes them; and the codes of all their
    spikes."""
    taken, spoken, codes = [], np.zeros(COUNT + 1, emitter.GROUP), []
    for number in range(COUNT):
        bits, base = random.random(GROUP_BITS * slots) < dense, int(random.integers(0, 8 // slots)) * GROUP_BITS
        bases = [base, 64 - GROUP_BITS - base][:slots]
        marker = not bits.any() or random.random() < 0.3
        final = bool(marker and random.random() < 0.5)
        tokens = -(-int(bits.sum()) // slots) + marker
        taken.append({
            "bits": int(sum(1 << int(bit) for bit in np.flatnonzero(bits))), "base": base, "marker": int(marker),
            "final": int(final), "single": int(tokens == 1), **({"second_base": bases[1]} if slots == 2 else {})})
        spoken[number] = True, marker, final, len(codes), len(codes) + bits.sum(), 0
        codes += (np.repeat(bases, GROUP_BITS) + np.tile(np.arange(GROUP_BITS), slots))[bits].tolist()
    return taken, spoken, np.array(codes)


def compare(beside, twin, seed: int, dense: float, often: float, willing: float, slots: int = 1) -> None:
    twin = callable_twins(twin)
    random, layout = np.random.default_rng(seed), TokenLayout(shape=(64,), slots=slots)
    unit, state = Emitter(layout=layout), twin.new_emitters(np.array([(slots - 1) * layout.second_shift]))[0]
    taken, spoken, codes = groups(random, dense, slots)
    words, at, offered = [unit.groups.payload.shape().const(one).as_value().value for one in taken], 0, False

    def cycle(pins):
        nonlocal at, offered
        offered = at < COUNT and (offered or random.random() < often)
        group, ready = spoken[at if offered else COUNT], random.random() < willing
        pins.set(groups_valid=offered, groups_payload=words[at] if offered else 0, events_ready=ready)
        takes = twin.groups_ready(state, ready)
        pins.must_be(groups_ready=takes, events_valid=state["valid"])
        if state["valid"]:
            pins.must_be(events_payload=twin.token(state, codes))
        twin.step(state, ready, group)
        if takes and offered:
            at, offered = at + 1, False

    beside(unit, CYCLES, cycle)
    assert at > COUNT // 3


@pytest.mark.parametrize("dense, often, willing", [(0.2, 0.7, 0.7), (0.1, 1, 1), (0.5, 1, 0.8), (0.2, 0.3, 1)])
@pytest.mark.parametrize("slots", [1, 2])
def test_twin_equals_unit(beside, dense, often, willing, slots):
    compare(beside, emitter, 2, dense, often, willing, slots)


@pytest.mark.parametrize("old, new", [
    ("emitter.start <= behind", "emitter.start < behind"), ("emitter.start <= behind", "emitter.start <= behind + 1"),
    ("emitter.start + events_max(emitter)", "emitter.start + 3 - events_max(emitter)"),
    ("FINAL_MARKER if emitter.final else MARKER", "MARKER"),
])
def test_a_fault_is_noticed(beside, spoiled, old, new):
    with pytest.raises(AssertionError, match="the twin says"):
        compare(beside, spoiled(emitter, old, new), 2, 0.2, 0.7, 0.7, 2)
