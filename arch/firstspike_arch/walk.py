# SPDX-License-Identifier: MIT
"""Walk: the rows of membranes that an event visits, and the word of weights for each."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from .connectivity import Conv2d, Dense, pooled, size_of
from .fixed import ceil_div
from .layer_plan import LayerPlan

__all__ = ["Axis", "Walk", "Window", "conv_walk", "row_stride", "walks_of", "window_taps"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Window:
    """The outputs that an event visits at once along an axis: B of them at equal distances, each in a bank of its own.

    Bank b holds outputs b, b + B, …; output o is in tile o // B. Tables are over the L values of the coordinate.

    Parameters
    ----------
    tiles : int64[L, B]
        How many tiles the output of each bank is further than the lowest output.
    first, last : bool[L, B]
        Whether each bank is reached in the first visit, and in the last; in a single visit both must hold. In between
        all banks are.
    lowest : int64[L]
        Lowest output of the first visit, which can lie before the map.
    turn : int64[L]
        Bank of the lowest output: by how many banks the words are rotated, or which of their copies is used.
    reached : int64[L, 2]
        First and last output that the event reaches.
    distance : int
        Distance from one output to the next.
    """

    tiles: np.ndarray
    first: np.ndarray
    last: np.ndarray
    lowest: np.ndarray
    turn: np.ndarray
    reached: np.ndarray
    distance: int

    def tiles_reached(self, banks: int, tiles: int) -> np.ndarray:
        """Return which of the tiles an event reaches in any of its visits, bool[L, tiles]."""
        outputs = np.arange(banks * tiles)
        low, high = self.reached[:, :1], self.reached[:, 1:]
        hit = (outputs >= low) & (outputs <= high) & ((outputs - low) % self.distance == 0)
        return hit.reshape(len(low), tiles, banks).any(2)


@dataclass(frozen=True, kw_only=True, eq=False)
class Axis:
    """Contribution of an event's x or y coordinate to its walk, in tables over the L values of the coordinate.

    Parameters
    ----------
    count : int64[L]
        Number of visits along this axis: one for each output that the event reaches, or for each window of them if
        there are several banks; 0: none.
    row, word : int64[L]
        Offset that the coordinate adds to the first row and to the first word. The row is that of the tile with the
        lowest output of the window; a tile before the map has a negative one.
    window : Window
        What a visit reaches.
    row_step, word_step : int
        Distance in rows and words from one of these visits to the next.
    tile_rows : int
        Distance in rows from one tile to the next.
    """

    count: np.ndarray
    row: np.ndarray
    word: np.ndarray
    window: Window
    row_step: int = 0
    word_step: int = 0
    tile_rows: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Walk:
    """Rows that an event visits: at each y that it reaches, at each x, the rows of the channels that it reaches.

    Each visit uses one row of membranes in each bank that it reaches, and one word of weights. Rows are numbered tile
    by tile (row-major; with one bank, a tile is a position), within a tile group by group. Words are numbered by input
    channel, within a channel by what `window_taps` has down and across.

    Parameters
    ----------
    x, y : Axis or None
        Contributions of the coordinates. None: the input is a vector, and its address the only coordinate.
    reach : int
        Number of rows visited at one position.
    channel_row : int64[C]
        First of these rows, for each input channel. A vector has one entry.
    channel_words : int
        Distance in words from one input channel to the next; for a vector, from one address to the next.
    base : int
        First word.
    """

    x: Axis | None
    y: Axis | None
    reach: int
    channel_row: np.ndarray
    channel_words: int
    base: int

    @property
    def longest(self) -> int:
        """Largest number of rows that an event visits."""
        return self.reach * (int(self.x.count.max() * self.y.count.max()) if self.x and self.y else 1)

    def visits(self, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return first row, first word and positions along y and x of every address, int64[N], in torch's order."""
        if self.x is None or self.y is None:
            address = np.arange(shape[0])
            ones = np.ones_like(address)
            return address * 0, self.base + address * self.channel_words, ones, ones
        channel, y, x = (part.ravel() for part in np.indices(shape))
        row = self.channel_row[channel] + self.y.row[y] + self.x.row[x]
        word = self.base + channel * self.channel_words + self.y.word[y] + self.x.word[x]
        reached = (self.y.count[y] > 0) & (self.x.count[x] > 0)
        return row, word, self.y.count[y] * reached, self.x.count[x] * reached


def row_stride(plan: LayerPlan) -> int:
    """Return the words from one input of a dense layer to the next: its rows, rounded up to a power of two."""
    return 1 << (plan.rows - 1).bit_length()


def walks_of(sets: Iterable[Dense | Conv2d], plan: LayerPlan) -> tuple[list[Walk], int]:
    """Return the walk of each set of synapses of a layer, and the first word after their weights."""
    base, walks = 0, []
    for synapses in sets:
        if isinstance(synapses, Conv2d):
            walk, words = conv_walk(synapses, plan, base)
        else:
            walk, words = _dense_walk(synapses, plan, base)
        walks.append(walk)
        base += words
    return walks, base


def _dense_walk(synapses: Dense, plan: LayerPlan, base: int) -> tuple[Walk, int]:
    shape, stride = pooled(synapses.in_shape, synapses.pool), row_stride(plan)
    x = y = None
    if len(shape) == 3:
        # Addresses have their channels last, so the word is a sum of three terms, one for each coordinate.
        x = _pixels(synapses, 1, shape[0] * stride)
        y = _pixels(synapses, 0, shape[0] * shape[2] * stride)
    walk = Walk(x=x, y=y, reach=plan.rows, channel_row=np.zeros(shape[0] if y else 1, dtype=np.int64),
                channel_words=stride, base=base)
    return walk, size_of(shape) * stride


def conv_walk(synapses: Conv2d, plan: LayerPlan, base: int) -> tuple[Walk, int]:
    """Return the walk of a convolution whose words start at ``base``, and the number of its words."""
    reach, channel_row = plan.channel_rows(synapses)
    down, across = (len(window_taps(synapses, plan, axis)) for axis in (0, 1))
    tiles = ceil_div(synapses.out_shape[2], plan.banks[1])  # in front of a pool of currents more than of the membranes
    walk = Walk(
        x=_windows(synapses, plan, 1, plan.position_rows, reach),
        y=_windows(synapses, plan, 0, plan.position_rows * tiles, reach * across),
        reach=reach, channel_row=channel_row, channel_words=down * across * reach, base=base,
    )
    return walk, synapses.in_shape[0] * walk.channel_words


def window_taps(synapses: Conv2d, plan: LayerPlan, axis: int) -> np.ndarray:
    """Return the kernel tap of each bank in each word along an axis, int64[words, banks]; −1: none.

    A pixel reaches outputs through taps that are a number of taps apart, and so the taps have as many phases. Those of
    a phase, sorted by output, are cut into windows of as many as there are banks. Words are numbered by the bank of
    the window's lowest output (its turn), then by how many windows of the phase have lower taps, then by phase. With
    one bank they are the taps in their order. If the plan `rotates` along the axis, there are only words of turn 0:
    with turn t, bank b takes what bank b − t has here, counted round.
    """
    banks, kernel = plan.banks[axis], synapses.kernel[axis]
    distance, step = synapses.neighbours(axis)
    windows = {}
    for phase in range(min(abs(step), kernel)):
        taps = np.arange(phase, kernel, abs(step))[::1 if step > 0 else -1]
        cut = np.pad(taps, (0, -len(taps) % banks), constant_values=-1).reshape(-1, banks)
        windows |= {(number, phase): window for number, window in enumerate(cut[::1 if step > 0 else -1])}
    table = np.array([windows[key] for key in sorted(windows)])
    return np.concatenate([table[:, slots] for slots in _slots(distance, banks)[:_copies(plan, axis)]])


def _copies(plan: LayerPlan, axis: int) -> int:
    """Return how often the kernel is stored along an axis."""
    return 1 if plan.rotates[axis] else plan.banks[axis]


def _slots(distance: int, banks: int) -> np.ndarray:
    """Return which of a window's outputs, the lowest being 0, is in each bank, int64[turns, banks]."""
    bank = np.arange(banks)
    return (bank - bank[:, None]) * pow(distance, -1, banks) % banks


def _windows(synapses: Conv2d, plan: LayerPlan, axis: int, tile_rows: int, words: int) -> Axis:
    """Return the axis of a convolution: an event reaches outputs at equal distances, through taps at equal distances.

    It visits the windows of `window_taps` from the first in which it reaches an output to the last.
    """
    outputs, banks = _outputs(synapses, axis), plan.banks[axis]
    distance, step = synapses.neighbours(axis)
    hits = outputs >= 0
    tap = np.where(hits, outputs, synapses.out_shape[1 + axis]).argmin(0)  # of the first output
    low, count = np.maximum(outputs[tap, np.arange(outputs.shape[1])], 0), hits.sum(0)
    phase, place = tap % abs(step), tap // abs(step)
    size = (synapses.kernel[axis] - phase - 1) // abs(step) + 1  # taps of the phase
    begin = place if step > 0 else size - 1 - place  # place of the first output among those that there would be
    first, last = begin // banks, (begin + count - 1) // banks
    number = first if step > 0 else (size - 1) // banks - first
    lowest = low - distance * (begin - first * banks)
    turn = lowest % banks
    slots = _slots(distance, banks)[turn]
    window = Window(
        tiles=(turn[:, None] + distance * slots) // banks,
        first=first[:, None] * banks + slots >= begin[:, None],
        last=last[:, None] * banks + slots < (begin + count)[:, None],
        lowest=lowest, turn=turn, reached=np.stack([low, low + distance * (count - 1)], axis=1), distance=distance,
    )
    copies = _copies(plan, axis)
    stored = len(window_taps(synapses, plan, axis)) // copies
    return Axis(
        count=np.where(count > 0, last - first + 1, 0), row=lowest // banks * tile_rows,
        word=(turn % copies * stored + number * abs(step) + phase) * words, row_step=distance * tile_rows,
        word_step=step * words, tile_rows=tile_rows, window=window,
    )


def _pooled_pixels(synapses: Dense | Conv2d, axis: int) -> tuple[np.ndarray, int]:
    """Return the pooled pixel of each pixel along an axis, int64[L], and the number of those that the pool keeps."""
    length, side = synapses.in_shape[1 + axis], synapses.pool_sides[axis]
    return np.arange(length) // side, length // side


def _pixels(synapses: Dense, axis: int, words: int) -> Axis:
    pixel, kept = _pooled_pixels(synapses, axis)
    none = np.zeros((len(pixel), 1), dtype=np.int64)
    window = Window(tiles=none, first=none == 0, last=none == 0, lowest=none[:, 0], turn=none[:, 0],
                    reached=np.hstack([none, none]), distance=1)
    return Axis(count=(pixel < kept).astype(np.int64), row=pixel * 0, word=np.minimum(pixel, kept - 1) * words,
                window=window)


def _outputs(synapses: Conv2d, axis: int) -> np.ndarray:
    """Return the output that each pixel, before the pool, reaches through each tap, int64[taps, L]; −1: none."""
    pixel, kept = _pooled_pixels(synapses, axis)
    return np.where(pixel < kept, synapses.outputs(axis)[:, np.minimum(pixel, kept - 1)], -1)
