# SPDX-License-Identifier: MIT
"""Number formats, compared with what they say, number by number."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from firstspike_arch.fixed import (
    bits_for_signed,
    bits_for_unsigned,
    ceil_div,
    largest_weight,
    latency_step,
    nearest_leak,
    pack_rows,
    quantise,
    shortest_leak,
    threshold_above,
    threshold_at_least,
    unpack_rows,
    weight_range,
)

EDGES = sorted({sign * (1 << power) + more for power in range(12) for sign in (-1, 1) for more in (-2, -1, 0, 1, 2)})


def test_as_few_bits_as_hold_both_ends():
    for low in EDGES:
        for high in (one for one in EDGES if one >= low):
            bits = bits_for_signed(low, high)
            assert -(1 << bits - 1) <= low and high < 1 << bits - 1, (low, high)
            narrower = (1 << bits - 1) >> 1
            assert bits == 1 or low < -narrower or high >= narrower, (low, high)


def test_as_few_bits_as_hold_a_count():
    for value in (one for one in EDGES if one >= 0):
        bits = bits_for_unsigned(value)
        assert value < 1 << bits and (bits == 1 or value >= 1 << bits - 1), value


def test_a_quotient_is_rounded_up():
    for a in range(-30, 31):
        for b in range(1, 9):
            assert ceil_div(a, b) == -(-Fraction(a, b)).__floor__()


@pytest.mark.parametrize("kind", [np.float64, torch.float64])
@pytest.mark.parametrize("bits", [1, 2, 5, 8])
def test_weights_are_rounded_half_to_even_and_clipped_alike(kind, bits):
    steps = np.arange(-600, 601) / 4
    real = steps if kind is np.float64 else torch.tensor(steps)
    limit = largest_weight(bits)
    wanted = [max(-limit, min(limit, round(Fraction(step)))) for step in steps.tolist()]
    assert [int(one) for one in quantise(real * 0.375, 0.375, bits).tolist()] == wanted
    assert bits == 1 or weight_range(bits) == (-limit - 1, limit)


def test_a_pixel_spikes_in_the_nearest_step():
    for steps in range(1, 40):
        exact = [(1 - Fraction(pixel, 255)) * (steps - 1) for pixel in range(256)]
        assert latency_step(np.arange(256), steps).tolist() == [round(one) for one in exact]


def test_a_trained_threshold_of_whole_steps_stays_whole():
    for steps in range(1, 5000):
        assert threshold_at_least(1.0, 1 / steps) == steps
        assert threshold_above(1.0, 1 / steps) == steps + 1


def test_thresholds_round_up_to_the_same_firing():
    for theta, scale in np.random.default_rng(5).uniform(0.01, 3, (200, 2)):
        v = np.arange(-5, 400)
        assert np.array_equal(v * scale >= theta, v >= threshold_at_least(theta, scale))
        assert np.array_equal(v * scale > theta, v >= threshold_above(theta, scale))


def test_a_leak_is_the_nearest_in_its_lowest_terms():
    for leak in (0.0, 0.1, 0.5, 0.8125, 0.9, 0.99, 1.0):
        for shift in range(9):
            num, short = nearest_leak(leak, shift)
            assert abs(Fraction(num, 1 << short) - Fraction(leak)) == min(
                abs(Fraction(one, 1 << shift) - Fraction(leak)) for one in range((1 << shift) + 1))
            assert short == 0 or num % 2
    shorter, shift = shortest_leak(np.array([4, 8, 6]), 3)
    assert (shorter.tolist(), shift) == ([2, 4, 3], 2)


@pytest.mark.parametrize("bits", [2, 5, 13])
def test_packed_rows_are_unpacked_again(bits):
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    rows = np.random.default_rng(bits).integers(low, high + 1, (6, 7))
    rows[0, :2] = low, high
    words = pack_rows(rows, bits)
    lane = [[(word >> bits * place) & (1 << bits) - 1 for place in range(7)] for word in words]
    assert lane == (rows % (1 << bits)).tolist() and unpack_rows(words, bits, 7).tolist() == rows.tolist()
    for wrong in (low - 1, high + 1):
        with pytest.raises(ValueError, match=rf"^values must fit {bits} signed bits, not "):
            pack_rows(np.array([[0, wrong]]), bits)
