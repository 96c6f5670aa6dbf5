# SPDX-License-Identifier: MIT
"""The latency encoder and its twin, cycle by cycle."""

import numpy as np
import pytest
from firstspike_arch.events import TokenLayout
from firstspike_hw.latency_encoder import LatencyEncoder
from firstspike_sim.stimulus import encode_latency
from firstspike_sim.testing.callable_twins import callable_twins
from firstspike_sim.timing import emitter, latency_encoder

COUNT, CYCLES = 12, 600


def compare(
    beside, lists_of, twin, *, pixels: int, steps: int, cutoff: int, often: float, willing: float, drops: float,
    slots: int = 1,
) -> None:
    """``drops``: how often the image that is being sent is named, for a while."""
    twin = callable_twins(twin)
    random, beats = np.random.default_rng(pixels), -(-pixels // 8)
    images = random.integers(0, 256, (COUNT, pixels)).astype(np.uint8)
    images[1] = 0
    padded = np.zeros((COUNT, beats * 8), np.uint8)
    padded[:, :pixels] = images
    words, at = padded.view("<u8").reshape(-1).tolist(), 0
    lists = lists_of(encode_latency(images, steps, cutoff), np.arange(pixels))
    layout = TokenLayout(shape=(pixels,), slots=slots)
    unit, state = LatencyEncoder(layout=layout, steps=steps, cutoff=cutoff, tag_bits=4), twin.new_latency_encoder(
        beats, slots)[0]
    behind = emitter.new_emitters(np.array([(slots - 1) * layout.second_shift]))[0]
    offered, named, drop, dropped = False, 0, 0, 0

    def cycle(pins):
        nonlocal at, offered, named, drop, dropped
        offered = at < len(words) and (offered or random.random() < often)
        ready = random.random() < willing
        if named == 0 and random.random() < drops:
            named, drop, dropped = int(random.integers(2, 20)), int(state["inference"]), dropped + 1
        pins.set(beats_valid=offered, beats_payload=words[at] if offered else 0, events_ready=ready,
                 drop_valid=named > 0, drop_tag=drop)
        takes = twin.beats_ready(state)
        pins.must_be(beats_ready=takes, events_valid=behind["valid"])
        if behind["valid"]:
            pins.must_be(events_payload=callable_twins(emitter).token(behind, lists.codes))
        taken = takes and offered
        twin.step(state, behind, ready, taken, named > 0, drop, lists.offsets, lists.places, lists.first_step)
        named = max(0, named - 1)
        if taken:
            at, offered = at + 1, False

    beside(unit, CYCLES, cycle)
    assert at > 3 * beats and (dropped > 3) == (drops > 0)


CASES = [
    {"pixels": 21, "steps": 5, "cutoff": 40, "often": 0.7, "willing": 0.7, "drops": 0},
    {"pixels": 16, "steps": 3, "cutoff": 0, "often": 1, "willing": 1, "drops": 0},
    {"pixels": 21, "steps": 4, "cutoff": 1, "often": 0.9, "willing": 0.8, "drops": 0.03},
    {"pixels": 8, "steps": 1, "cutoff": 200, "often": 0.3, "willing": 0.5, "drops": 0.05},
    {"pixels": 45, "steps": 3, "cutoff": 40, "often": 0.9, "willing": 0.8, "drops": 0.02, "slots": 2},
    {"pixels": 40, "steps": 5, "cutoff": 0, "often": 1, "willing": 1, "drops": 0, "slots": 2},
    {"pixels": 8, "steps": 4, "cutoff": 0, "often": 1, "willing": 1, "drops": 0, "slots": 2},
]


@pytest.mark.parametrize("case", CASES)
def test_twin_equals_unit(beside, lists_of, case):
    compare(beside, lists_of, latency_encoder, **case)


@pytest.mark.parametrize("old, new", [
    ("encoder.beat == encoder.beats - 1", "encoder.beat == encoder.beats - 2"),
    ("return (encoder.full >> bank) & 1 == 0", "return not encoder.ends"),
    ("encoder.bank + int(encoder.ends)", "encoder.bank"),
    ("encoder.full &= ~(1 << encoder.side)", "encoder.full = 0"),
    ("not encoder.dropped and stop < end", "stop < end"),
    ("where + 1 == first_step[encoder.inference + 1]", "where + 2 == first_step[encoder.inference + 1]"),
])
def test_a_fault_is_noticed(beside, lists_of, spoiled, old, new):
    with pytest.raises(AssertionError, match="the twin says"):
        compare(beside, lists_of, spoiled(latency_encoder, old, new), **CASES[2])
