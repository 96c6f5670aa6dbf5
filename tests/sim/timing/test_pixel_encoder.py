# SPDX-License-Identifier: MIT
"""The pixel encoder and its twin, cycle by cycle."""

import numpy as np
import pytest
from firstspike_arch.events import MARKER, TokenLayout
from firstspike_hw.pixel_encoder import PixelEncoder
from firstspike_sim.stimulus import encode_direct
from firstspike_sim.testing.callable_twins import callable_twins
from firstspike_sim.timing import emitter, pixel_encoder

COUNT, CYCLES = 8, 400


def compare(beside, lists_of, twin, *, pixels: int, steps: int, dense: float, often: float, willing: float) -> None:
    twin = callable_twins(twin)
    random, beats, layout = np.random.default_rng(pixels), -(-pixels // 8), TokenLayout(shape=(pixels,), low=-7, high=9)
    images = random.integers(-7, 10, (COUNT, pixels)) * (random.random((COUNT, pixels)) < dense)
    images[1] = 0
    padded = np.zeros((COUNT, beats * 8), np.uint8)
    padded[:, :pixels] = images & 0xFF
    words, at, offered = padded.view("<u8").reshape(-1).tolist(), 0, False
    lists = lists_of(encode_direct(images, steps), np.arange(pixels))
    state, behind = twin.new_pixel_encoder(beats, steps)[0], emitter.new_emitters(np.zeros(1, int))[0]

    def cycle(pins):
        nonlocal at, offered
        offered = at < len(words) and (offered or random.random() < often)
        ready = random.random() < willing
        pins.set(beats_valid=offered, beats_payload=words[at] if offered else 0, events_ready=ready)
        takes = twin.beats_ready(state, behind, ready)
        pins.must_be(beats_ready=takes, events_valid=behind["valid"])
        if behind["valid"]:
            token = callable_twins(emitter).token(behind, lists.codes)
            if not token & MARKER:
                number = token >> 2
                token = layout.events(np.array([number]), images[behind_image(lists, behind), [number]])[0]
            pins.must_be(events_payload=token)
        taken = takes and offered
        twin.step(state, behind, ready, taken, lists.offsets, lists.places, lists.first_step)
        if taken:
            at, offered = at + 1, False

    beside(PixelEncoder(layout=layout, steps=steps), CYCLES, cycle)
    assert at > 2 * beats


def behind_image(lists, behind) -> int:
    """The image of the spike that the emitter offers."""
    return int(np.searchsorted(lists.offsets[lists.first_step], behind["start"], side="right")) - 1


CASES = [
    {"pixels": 21, "steps": 3, "dense": 0.6, "often": 0.7, "willing": 0.7},
    {"pixels": 24, "steps": 1, "dense": 0.2, "often": 1, "willing": 1},
    {"pixels": 8, "steps": 4, "dense": 0.3, "often": 0.9, "willing": 0.5},
    {"pixels": 30, "steps": 2, "dense": 0.1, "often": 0.4, "willing": 0.9},
]


@pytest.mark.parametrize("case", CASES)
def test_twin_equals_unit(beside, lists_of, case):
    compare(beside, lists_of, pixel_encoder, **case)


@pytest.mark.parametrize("old, new", [
    ("encoder.beat == encoder.beats - 1", "encoder.beat == encoder.beats - 2"),
    ("0, encoder.steps - 1", "0, encoder.steps"), ("return load and encoder.markers_left == 0", "return load"),
    ("item.valid = item.marker or item.start < item.stop", "item.valid = True"),
])
def test_a_fault_is_noticed(beside, lists_of, spoiled, old, new):
    with pytest.raises(AssertionError, match="the twin says"):
        compare(beside, lists_of, spoiled(pixel_encoder, old, new), **CASES[0])
