# SPDX-License-Identifier: MIT
"""Latency encoder against the encoding in software, and restarts in any cycle."""

import numpy as np
import pytest
from firstspike_arch.events import TokenLayout
from firstspike_hw.latency_encoder import LatencyEncoder
from firstspike_sim.backends.unit_bench import run_unit
from firstspike_sim.stimulus import encode_latency
from firstspike_sim.testing.unit_words import beats_of, tokens_of


@pytest.mark.parametrize("cutoff", [40, 0])
def test_latency_encoder_sends_brighter_pixels_earlier(cutoff):
    random = np.random.default_rng(cutoff)
    images = random.integers(0, 256, (3, 21)).astype(np.uint8)
    images[1] = 0
    padded = np.zeros((3, 24), np.uint8)
    padded[:, :21] = images
    unit = LatencyEncoder(layout=TokenLayout(shape=(21,)), steps=5, cutoff=cutoff, tag_bits=4)
    seen = run_unit(unit, "pysim", offers={"beats": padded.view("<u8").reshape(-1).tolist()}, takes=["events"],
                    counts=["opens", "cut"], cycles=400, seed=7)
    assert seen["events"] == tokens_of(encode_latency(images, 5, cutoff))
    assert seen["opens"] == [3] and seen["cut"] == [0]


def test_latency_encoder_forgets_a_part_of_an_image():
    unit = LatencyEncoder(layout=TokenLayout(shape=(16,)), steps=4, cutoff=1, tag_bits=4)
    image = np.arange(16, dtype=np.uint8)[None] * 16
    beats = image.view("<u8").reshape(-1).tolist()
    seen = run_unit(unit, "pysim", offers={"beats": [beats[0]]}, takes=["events"], counts=["cut"],
                    pulses={"restart": [10, 20]}, cycles=60)
    assert seen["events"] == [] and seen["cut"] == [1]


def test_latency_encoder_forgets_a_part_of_an_image_whenever_restart_comes():
    """With the beat that is taken in that cycle; the next beat is the first of an image again."""
    image = np.arange(32, dtype=np.uint8)[None] % 8 * 36  # all four beats are alike
    whole, cuts = tokens_of(encode_latency(image, 4, 1)), []
    for at in range(12):
        unit = LatencyEncoder(layout=TokenLayout(shape=(32,)), steps=4, cutoff=1, tag_bits=4)
        seen = run_unit(unit, "pysim", offers={"beats": beats_of(image) * 3}, takes=["events"],
                        counts=["opens", "cut"], pulses={"restart": [at]}, cycles=300)
        cuts += seen["cut"]
        # Of twelve beats one to three are forgotten: then two images are whole, and a part of one is left.
        assert seen["left"] == [0] and seen["events"] == whole * (3 - cuts[-1]) and seen["opens"] == [3 + cuts[-1]]
    assert cuts == [1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 0, 0]  # with its last beat an image is whole; two fill both banks


@pytest.mark.parametrize("wrong, message", [
    ({"layout": TokenLayout(shape=(16,), high=3)}, "values of the layout of a latency encoder must be 1, not 1…3"),
    ({"steps": 0}, "steps must be an integer of at least 1, not 0"),
    ({"cutoff": 257}, "cutoff must be an integer of 0…256, not 257"),
    ({"tag_bits": 0}, "tag_bits must be an integer of at least 1, not 0"),
])
def test_latency_encoder_has_its_arguments_and_refuses_wrong_ones(wrong, message):
    arguments = {"layout": TokenLayout(shape=(16,)), "steps": 4, "cutoff": 1, "tag_bits": 4}
    unit = LatencyEncoder(**arguments)
    assert {name: getattr(unit, name) for name in arguments} == arguments
    with pytest.raises(ValueError, match=f"^{message}$"):
        LatencyEncoder(**{**arguments, **wrong})
