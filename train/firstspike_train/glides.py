# SPDX-License-Identifier: MIT
"""Glides: recordings made by code, of which only the order of the spikes tells the classes apart.

Three times a tone glides through 20 channels, up or down, with pauses in between, like the melody of a spoken word. The
class 0 … 7 has a bit for each glide, the first in bit 0: 1 is up. Every glide passes every channel once, so counts say
nothing; to tell up-down from down-up, a network must know at the third glide what it heard 300 ms before.
"""

from functools import partial

import numpy as np

__all__ = ["GLIDES_CLASSES", "GLIDES_SHAPE", "glide", "glides"]

CHANNELS, GLIDES = 20, 3
GLIDES_SHAPE = (1, 1, CHANNELS)
"""Channels, as x of a map of one line."""

GLIDES_CLASSES = 1 << GLIDES
COUNTS = {"train": 800, "test": 400}
"""Number of recordings of each split."""

START_US, DURATION_US, PAUSE_US = (0, 40_000), (80_000, 130_000), (10_000, 40_000)
"""Least and largest beginning of the first glide, time that a glide takes, and pause behind it."""

LENGTH_US = 500_000
JITTER_US, LOST, STRAY = 6_000, 0.1, 5
"""Standard deviation of the time of a spike, share of spikes that are lost, and mean number of those at random."""


def glide(split: str, number: int) -> np.ndarray:
    """Make the events of a recording, int64[K, 4]: time in µs, 0, 0, channel. Its class is ``number`` modulo 8."""
    random = np.random.default_rng((split == "test", number))
    begin, order, found = random.uniform(*START_US), np.arange(CHANNELS), []
    for bit in range(GLIDES):
        duration = random.uniform(*DURATION_US)
        time = begin + duration * (order + 0.5) / CHANNELS + random.normal(0, JITTER_US, CHANNELS)
        kept = random.random(CHANNELS) >= LOST
        found.append(np.stack([time, order if number >> bit & 1 else order[::-1]], 1)[kept])
        begin += duration + random.uniform(*PAUSE_US)
    stray = random.poisson(STRAY)
    found.append(np.stack([random.uniform(0, LENGTH_US, stray), random.integers(0, CHANNELS, stray)], 1))
    times, channels = np.concatenate(found).T
    events = np.zeros((len(times), 4), dtype=np.int64)
    events[:, 0], events[:, 3] = np.maximum(np.rint(times), 0), channels
    return events


def glides(split: str) -> tuple[list, np.ndarray]:
    """Return what makes each recording of a split, "train" or "test", and the labels, int64[B]."""
    numbers = np.arange(COUNTS[split])
    return [partial(glide, split, int(number)) for number in numbers], numbers % GLIDES_CLASSES
