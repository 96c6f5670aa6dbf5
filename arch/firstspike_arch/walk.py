# SPDX-License-Identifier: MIT
"""Walk: the rows of membranes that an event visits, and the word of weights for each."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from .array import LayerPlan
from .connectivity import Conv2d, Dense, pooled, size_of

__all__ = ["Axis", "Walk", "bank_taps", "conv_walk", "row_stride", "walks_of"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Axis:
    """Contribution of an event's x or y coordinate to its walk, in tables over the L values of the coordinate.

    Parameters
    ----------
    count : int64[L]
        Number of output positions along this axis that the event reaches; 0: none.
    row, word : int64[L]
        Offset that the coordinate adds to the first row and to the first word.
    row_step, word_step : int
        Distance in rows and words from one of these positions to the next.
    """

    count: np.ndarray
    row: np.ndarray
    word: np.ndarray
    row_step: int = 0
    word_step: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Walk:
    """Rows that an event visits: at each y that it reaches, at each x, the rows of the channels that it reaches.

    Each visit uses one row of membranes and one word of weights. Rows are numbered position by position (row-major),
    within a position group by group. Words are numbered by input channel, within a channel by kernel tap (row-major).

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
    bank_rows : (int64[H, By], int64[W, Bx]) or None
        With kernel-parallel banks: contributions of y and x to the row of each bank, down and across; −1: the bank is
        not reached. All banks are visited at once, as if they were one position.
    """

    x: Axis | None
    y: Axis | None
    reach: int
    channel_row: np.ndarray
    channel_words: int
    base: int
    bank_rows: tuple[np.ndarray, np.ndarray] | None = None

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
    if plan.bank_count > 1:
        return _bank_walk(synapses, plan, base)
    inputs = synapses.in_shape[0]
    _, _, width = synapses.out_shape
    reach, channel_row = _channel_rows(synapses, plan)
    kernel_words = synapses.kernel[0] * synapses.kernel[1] * reach
    walk = Walk(
        x=_taps(synapses, 1, plan.position_rows, reach),
        y=_taps(synapses, 0, plan.position_rows * width, reach * synapses.kernel[1]),
        reach=reach, channel_row=channel_row, channel_words=kernel_words, base=base,
    )
    return walk, inputs * kernel_words


def _channel_rows(synapses: Conv2d, plan: LayerPlan) -> tuple[int, np.ndarray]:
    """Return the number of rows that an event visits at one position, and the first of them for each input channel.

    With branches, the groups of a convolution can differ from those of the rows.
    """
    inputs, group_outputs = synapses.in_shape[0], synapses.channels // synapses.groups
    first, last = (plan.row_of_channel(np.arange(synapses.groups) * group_outputs + offset)
                   for offset in (0, group_outputs - 1))
    reach = int((last - first).max()) + 1
    return reach, np.minimum(first, plan.position_rows - reach)[np.arange(inputs) // (inputs // synapses.groups)]


def _bank_walk(synapses: Conv2d, plan: LayerPlan, base: int) -> tuple[Walk, int]:
    """Return the walk that visits all banks at once, and the number of its words.

    The kernel tap of each bank depends on the pixel's position relative to the banks, its phase. There is a word for
    every phase.
    """
    reach, channel_row = _channel_rows(synapses, plan)
    across = plan.banks[1] * synapses.stride[1]
    x, x_rows = _bank_axis(synapses, plan, 1, plan.position_rows, reach)
    y, y_rows = _bank_axis(synapses, plan, 0, plan.position_rows * plan.tiles[1], reach * across)
    words = plan.banks[0] * synapses.stride[0] * across * reach
    walk = Walk(x=x, y=y, reach=reach, channel_row=channel_row, channel_words=words, base=base,
                bank_rows=(y_rows, x_rows))
    return walk, synapses.in_shape[0] * words


def bank_taps(synapses: Conv2d, plan: LayerPlan, axis: int) -> np.ndarray:
    """Return the kernel tap of each bank in each phase along an axis, int64[phases, banks]; −1: none."""
    banks, stride = plan.banks[axis], synapses.stride[axis]
    tap = (np.arange(banks * stride)[:, None] - np.arange(banks) * stride) % (banks * stride)
    return np.where(tap < synapses.kernel[axis], tap, -1)


def _bank_axis(synapses: Conv2d, plan: LayerPlan, axis: int, rows: int, words: int) -> tuple[Axis, np.ndarray]:
    """Return the axis with one visit if anything is reached, its word given by the phase; and the row of each bank."""
    banks, stride, padding = plan.banks[axis], synapses.stride[axis], synapses.padding[axis]
    pixel, _ = _pooled_pixels(synapses, axis)
    table = np.full((len(pixel), banks), -1, dtype=np.int64)
    for output in _outputs(synapses, axis):
        hit = output >= 0
        table[hit, output[hit] % banks] = output[hit] // banks * rows
    phase = (pixel + padding) % (banks * stride)
    return Axis(count=(table.max(1) >= 0).astype(np.int64), row=pixel * 0, word=phase * words), table


def _pooled_pixels(synapses: Dense | Conv2d, axis: int) -> tuple[np.ndarray, int]:
    """Return the pooled pixel of each pixel along an axis, int64[L], and the number of those that the pool keeps."""
    length, side = synapses.in_shape[1 + axis], synapses.pool_sides[axis]
    return np.arange(length) // side, length // side


def _pixels(synapses: Dense, axis: int, words: int) -> Axis:
    pixel, kept = _pooled_pixels(synapses, axis)
    return Axis(count=(pixel < kept).astype(np.int64), row=pixel * 0, word=np.minimum(pixel, kept - 1) * words)


def _outputs(synapses: Conv2d, axis: int) -> np.ndarray:
    """Return the output that each pixel, before the pool, reaches through each tap, int64[taps, L]; −1: none."""
    pixel, kept = _pooled_pixels(synapses, axis)
    return np.where(pixel < kept, synapses.outputs(axis)[:, np.minimum(pixel, kept - 1)], -1)


def _taps(synapses: Conv2d, axis: int, rows: int, words: int) -> Axis:
    """Return the axis of a convolution: an event reaches outputs at equal distances, through taps at equal
    distances."""
    outputs = _outputs(synapses, axis)
    hits = outputs >= 0
    tap = np.where(hits, outputs, synapses.out_shape[1 + axis]).argmin(0)  # of the first output
    first = np.maximum(outputs[tap, np.arange(outputs.shape[1])], 0)
    distance, step = synapses.neighbours(axis)
    return Axis(
        count=hits.sum(0), row=first * rows, word=tap * words, row_step=distance * rows, word_step=step * words,
    )
