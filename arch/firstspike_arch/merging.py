# SPDX-License-Identifier: MIT
"""Merging of spikes: those of one pool window and step reach a core as one event, whose value is their sum."""

import math
from dataclasses import dataclass, replace

import numpy as np

from .connectivity import Conv2d, Dense, Pool, pool_sides, pooled, size_of
from .events import TokenLayout
from .fixed import bits_for_unsigned
from .layer_plan import LayerPlan
from .memory import MemoryShape

__all__ = ["BAND_CYCLES", "Merging", "lines_together", "without_pool"]

TOGETHER = 0.3
"""Share of the other pixels of a window that spike with one of them. The networks of ``zoo/`` have 0.16 … 0.56."""

COARSE_STEPS, FINER = 10, 0.4
"""In more than so many steps fewer spike together, by this power of their number: ``nmnist_cnn`` has 0.08 and 0.09 in
300 steps."""

BAND_CYCLES = 3
"""Cycles that a merger loses from one band to the next: the event that closes a half waits until the other is open."""


@dataclass(frozen=True, kw_only=True)
class Merging:
    """What a pool merger does to a stream, and the sizes of its memories.

    Each of its two halves holds the windows of a band: ``lines`` neighbouring lines of the pooled map. Windows are
    merged completely if the events of a step come band by band, which they do in torch's order and in that of any core
    for which `lines_together` gave ``lines``; in another order the sums come in parts.

    Parameters
    ----------
    spikes : TokenLayout
        Layout of the stream of spikes, of a map.
    pool : int or (int, int)
        Windows of the pool.
    lines : int
        Lines of a band.
    """

    spikes: TokenLayout
    pool: Pool
    lines: int

    @property
    def layout(self) -> TokenLayout:
        """Layout of the stream of events, of the pooled map, whose values go up to the largest sum."""
        spikes, size = self.spikes, math.prod(pool_sides(self.pool))
        return TokenLayout(shape=pooled(spikes.shape, self.pool), low=min(spikes.low, spikes.low * size),
                           high=spikes.high * size)

    @property
    def bands(self) -> int:
        """Number of bands of the pooled map."""
        return -(-self.layout.shape[1] // self.lines)

    @property
    def place_layout(self) -> TokenLayout:
        """Layout whose addresses are the places of windows in a half."""
        channels, _, width = self.layout.shape
        return TokenLayout(shape=(channels, self.lines, width))

    @property
    def windows(self) -> int:
        """Number of windows of a half."""
        return size_of(self.place_layout.shape)

    @property
    def places(self) -> int:
        """Number of words of a half's sums, at least 2: its largest place + 1."""
        return max(2, int(self.place_layout.addresses()[-1]) + 1)

    @property
    def sum_bits(self) -> int:
        """Width of a window's sum, and of a bit that says whether it had a spike."""
        return self.layout.value_bits + 1

    def window_of_spikes(self) -> np.ndarray:
        """Return the window, numbered in torch's order, of each address of the spikes, int64[N]; −1: none."""
        (down, across), (_, height, width) = pool_sides(self.pool), self.layout.shape
        channel, y, x = (part.ravel() for part in np.indices(self.spikes.shape))
        y, x = y // down, x // across
        return np.where((y < height) & (x < width), (channel * height + y) * width + x, -1)

    def band_of_spikes(self) -> np.ndarray:
        """Return the band of each address of the spikes, int64[N]."""
        y = np.indices(self.spikes.shape)[1].ravel()
        return y // pool_sides(self.pool)[0] // self.lines

    def merged(self, spikes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return which windows have a spike, bool[B, T, M], and their sums, int64[B, T, M], from spikes [B, T, N]."""
        (down, across), (channels, height, width) = pool_sides(self.pool), self.layout.shape
        maps = np.asarray(spikes).reshape(*spikes.shape[:2], *self.spikes.shape)
        windows = maps[..., : height * down, : width * across].reshape(
            *spikes.shape[:2], channels, height, down, width, across)
        flat = (*spikes.shape[:2], channels * height * width)
        return (windows != 0).any((4, 6)).reshape(flat), windows.sum((4, 6), dtype=np.int64).reshape(flat)

    def expected(self, spikes: float, steps: int) -> float:
        """Return how many windows have a spike in a step, on average, if this many spikes are spread over the map in
        each of so many steps.

        Beside a spike, others are more frequent than elsewhere (`TOGETHER`).
        """
        size, share = math.prod(pool_sides(self.pool)), min(1, spikes / size_of(self.spikes.shape))
        evenly = size_of(self.layout.shape) * (1 - (1 - share) ** size)
        together = TOGETHER * min(1.0, COARSE_STEPS / steps) ** FINER
        return min(evenly, spikes / (1 + together * (size - 1)))

    def memories(self, name: str) -> tuple[MemoryShape, ...]:
        """Return the memories of the merger: the sums of each half, and the places of the windows that had a spike."""
        sums = (MemoryShape(name=f"{name}_sums{half}", depth=self.places, used_bits=self.sum_bits) for half in (0, 1))
        return (*sums, MemoryShape(name=f"{name}_places", depth=self.entries,
                                   used_bits=self.place_layout.address_bits))

    @property
    def entries(self) -> int:
        """Number of words of the memory of places: for each half a power of two of them, which it fills from the
        first on."""
        return (1 << bits_for_unsigned(self.windows - 1)) + self.windows


def lines_together(synapses: Dense | Conv2d, sender: LayerPlan | None) -> int:
    """Return the least number of lines of the pooled map that a band must have for a complete merging.

    A core sends its spikes tile by tile, each as many lines high as it has banks down; ``sender`` is its plan, None for
    the input, which comes line by line.
    """
    down, height = synapses.pool_sides[0], pooled(synapses.in_shape, synapses.pool)[1]
    banks = 1 if sender is None else sender.banks[0]
    return min(height, banks // math.gcd(banks, down))


def without_pool(synapses: Dense | Conv2d) -> Dense | Conv2d:
    """Return the synapses behind a pool, which take the pooled map."""
    return replace(synapses, in_shape=pooled(synapses.in_shape, synapses.pool), pool=1)
