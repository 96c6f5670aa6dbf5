# SPDX-License-Identifier: MIT
"""Pixel encoder against the encoding in software, its rate, and restarts in any cycle."""

from itertools import pairwise

import numpy as np
import pytest
from firstspike_arch.events import FINAL_MARKER, TokenLayout
from firstspike_hw.pixel_encoder import PixelEncoder
from firstspike_sim.backends.unit_bench import run_unit
from firstspike_sim.stimulus import encode_direct
from firstspike_sim.testing.unit_words import beats_of, layer_tokens


@pytest.mark.parametrize("shape, low, high", [((2, 3, 5), -7, 6), ((21,), 0, 255), ((8,), -128, 127)])
def test_pixel_encoder_sends_pixels_that_are_not_zero(shape, low, high):
    random = np.random.default_rng(high)
    layout, count = TokenLayout(shape=shape, low=low, high=high), int(np.prod(shape))
    images = random.integers(low, high + 1, (5, count)) * (random.random((5, count)) < 0.6)
    images[1] = 0
    images[2, :8] = 0
    unit = PixelEncoder(layout=layout, steps=3)
    seen = run_unit(unit, "pysim", offers={"beats": beats_of(images)}, takes=["events"],
                    counts=["opens", "cut", "bad_address"], cycles=600, seed=3)
    assert seen["events"] == layer_tokens(encode_direct(images, 3), layout) and seen["left"] == [0]
    assert (seen["opens"], seen["cut"], seen["bad_address"]) == ([5], [0], [0])


@pytest.mark.parametrize("steps", [1, 4])
def test_pixel_encoder_sends_one_token_a_cycle(steps):
    images = np.random.default_rng(4).integers(1, 256, (4, 27))
    unit = PixelEncoder(layout=TokenLayout(shape=(27,), low=0, high=255), steps=steps)
    wanted = layer_tokens(encode_direct(images, steps), TokenLayout(shape=(27,), low=0, high=255))
    seen = run_unit(unit, "pysim", offers={"beats": beats_of(images)}, takes=["events"], cycles=len(wanted) + 2)
    assert seen["events"] == wanted  # from the third cycle on: no bubbles


def test_pixel_encoder_takes_pixels_out_of_range_for_zero():
    layout = TokenLayout(shape=(20,), low=-3, high=9)
    images = np.random.default_rng(5).integers(-3, 10, (3, 20))
    wrong = images.copy()
    images[1, [2, 5, 19]] = 0
    wrong[1, [2, 5, 19]] = 10, -4, 127
    beats = beats_of(wrong)
    beats[2] |= 0x07_05_03_FF << 32  # beyond the last pixel: ignored
    beats[8] |= 0x7F_7F_7F_7F << 32
    seen = run_unit(PixelEncoder(layout=layout, steps=2), "pysim", offers={"beats": beats}, takes=["events"],
                    counts=["opens", "cut", "bad_address"], cycles=300, seed=6)
    assert seen["events"] == layer_tokens(encode_direct(images, 2), layout)
    assert (seen["opens"], seen["cut"], seen["bad_address"]) == ([3], [0], [2])  # two beats of four pixels


@pytest.mark.parametrize("at", [0, 1, 2, 8, 14, 15, 22, 28, 29, 30, 31, 40])
def test_pixel_encoder_ends_a_part_of_an_image_on_restart(at):
    """Whenever it comes: the tokens of the beats taken, a final marker, and then images from their first beat on."""
    layout, image = TokenLayout(shape=(32,), low=0, high=9), np.arange(32)[None] % 8  # all beats are alike
    whole = layer_tokens(encode_direct(image, 2), layout)
    seen = run_unit(PixelEncoder(layout=layout, steps=2), "pysim", offers={"beats": beats_of(image) * 2},
                    takes=["events"], counts=["opens", "cut"], pulses={"restart": [at]}, cycles=150)
    ends = [0, *(place + 1 for place, token in enumerate(seen["events"]) if token == FINAL_MARKER)]
    inferences = [seen["events"][start:end] for start, end in pairwise(ends)]
    cut = [one for one in inferences if one != whole]
    assert seen["cut"] == [len(cut)] and seen["left"] == [0]
    assert len(cut) == (at % 30 < 15)  # of the 30 tokens of an image, one a cycle, the last beat waits for half
    if cut:
        taken = len(cut[0]) // 7  # beats, of seven pixels that are not zero
        assert len(cut) == 1 and 1 <= taken <= 3 and cut[0] == [*whole[:7 * taken], FINAL_MARKER]
        rest = 8 - taken - 4 * (len(inferences) - 1)
        assert seen["events"][ends[-1]:] == whole[:7 * rest]
        assert seen["opens"] == [len(inferences) + (rest > 0)]
    else:  # between images, or while the markers of one are sent
        assert inferences == [whole] * 2 and ends[-1] == len(seen["events"])


@pytest.mark.parametrize("low, high, steps, message", [
    (-3, 200, 2, "pixels of a pixel encoder must lie in -128…127, not in -3…200"),
    (0, 256, 2, "pixels of a pixel encoder must lie in 0…255, not in 0…256"),
    (0, 255, True, "steps must be an integer of at least 1, not True"),
])
def test_pixel_encoder_refuses_ranges_and_steps(low, high, steps, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        PixelEncoder(layout=TokenLayout(shape=(20,), low=low, high=high), steps=steps)


def test_pixel_encoder_has_its_arguments():
    unit = PixelEncoder(layout=TokenLayout(shape=(20,), low=0, high=9), steps=3)
    assert (unit.layout, unit.steps) == (TokenLayout(shape=(20,), low=0, high=9), 3)
