# SPDX-License-Identifier: MIT
"""Walk: which rows of membranes an event visits, and beside which words of weights."""

from dataclasses import dataclass

import numpy as np

from .array import LayerPlan
from .connectivity import Conv2d, pooled
from .network import Layer

__all__ = ["Axis", "Walk", "row_stride", "walk_of"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Axis:
    """What one coordinate of an event contributes, by coordinate.

    Parameters
    ----------
    count : int64[L]
        Output positions along this axis that the event reaches; 0: none.
    row, word : int64[L]
        What it adds to the first row and the first word.
    row_step, word_step : int
        From one of these positions to the next.
    """

    count: np.ndarray
    row: np.ndarray
    word: np.ndarray
    row_step: int = 0
    word_step: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Walk:
    """For an event: for each y it reaches, for each x, for each row of its group of channels: one row, one word.

    Rows are numbered position by position (row-major), within a position group by group. The weights' words are
    numbered input channel by channel, within a channel kernel row by row; bias words follow, each as many as there are
    rows at a position.

    Parameters
    ----------
    x, y : Axis or None
        None: the input is a vector, and its address the only coordinate.
    group_rows : int
        Rows of one group of output channels at one position.
    group_inputs : int
        Input channels that share a group.
    channel_words : int
        Words from one input channel (of a vector: address) to the next.
    bias_word : int
        First of the words behind the weights.
    """

    x: Axis | None
    y: Axis | None
    group_rows: int
    group_inputs: int
    channel_words: int
    bias_word: int

    def visits(self, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """First row, first word, positions along y and along x for every input address, in torch's order, int64[N]."""
        if self.x is None or self.y is None:
            address = np.arange(shape[0])
            ones = np.ones_like(address)
            return address * 0, address * self.channel_words, ones, ones
        channel, y, x = (part.ravel() for part in np.indices(shape))
        row = channel // self.group_inputs * self.group_rows + self.y.row[y] + self.x.row[x]
        word = channel * self.channel_words + self.y.word[y] + self.x.word[x]
        reached = (self.y.count[y] > 0) & (self.x.count[x] > 0)
        return row, word, self.y.count[y] * reached, self.x.count[x] * reached


def row_stride(plan: LayerPlan) -> int:
    """Words between the weights of successive inputs of a dense layer: rows, rounded up to a power of two."""
    return 1 << (plan.rows - 1).bit_length()


def walk_of(layer: Layer, plan: LayerPlan) -> Walk:
    """The walk of a layer on its lanes."""
    synapses = layer.connectivity
    shape = pooled(synapses.in_shape, synapses.pool)
    if not isinstance(synapses, Conv2d):
        stride = row_stride(plan)
        x = y = None
        if len(shape) == 3:
            # Channels last: an address is a sum of three terms, each by one coordinate.
            x = _pixels(synapses.in_shape[2], shape[2], synapses.pool, shape[0] * stride)
            y = _pixels(synapses.in_shape[1], shape[1], synapses.pool, shape[0] * shape[2] * stride)
        return Walk(x=x, y=y, group_rows=plan.rows, group_inputs=shape[0], channel_words=stride,
                    bias_word=int(np.prod(shape)) * stride)
    _, height, width = synapses.out_shape
    group_rows, at_position = plan.group_rows, plan.group_rows * plan.groups
    kernel_words = synapses.kernel[0] * synapses.kernel[1] * group_rows
    return Walk(
        x=_taps(synapses, 1, width, at_position, group_rows),
        y=_taps(synapses, 0, height, at_position * width, group_rows * synapses.kernel[1]),
        group_rows=group_rows, group_inputs=shape[0] // synapses.groups, channel_words=kernel_words,
        bias_word=shape[0] * kernel_words,
    )


def _pixels(length: int, kept: int, pool: int, words: int) -> Axis:
    pixel = np.arange(length) // pool
    return Axis(count=(pixel < kept).astype(np.int64), row=pixel * 0, word=np.minimum(pixel, kept - 1) * words)


def _taps(synapses: Conv2d, axis: int, outputs: int, rows: int, words: int) -> Axis:
    """Output o is reached through kernel tap k where o·stride = pixel + padding − k."""
    kernel, stride, padding = synapses.kernel[axis], synapses.stride[axis], synapses.padding[axis]
    length = synapses.in_shape[1 + axis]
    pixel = np.arange(length) // synapses.pool
    low = np.maximum(0, -((kernel - 1 - pixel - padding) // stride))
    high = np.minimum(outputs - 1, (pixel + padding) // stride)
    count = np.where(pixel < length // synapses.pool, np.maximum(high - low + 1, 0), 0)
    reached = count > 0
    tap = pixel + padding - low * stride
    return Axis(
        count=count, row=np.where(reached, low * rows, 0), word=np.where(reached, tap * words, 0), row_step=rows,
        word_step=-stride * words,
    )
