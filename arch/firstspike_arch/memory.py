# SPDX-License-Identifier: MIT
"""Shape and contents of every loadable memory."""

from dataclasses import dataclass

import numpy as np

from .array import LayerPlan
from .connectivity import Conv2d, pooled
from .fixed import CHUNK_BITS, ceil_div, pack_rows, unpack_rows
from .network import Layer
from .rows import bias_rows
from .walk import row_stride, walk_of

__all__ = ["MemoryShape", "bias_stride", "weight_image", "weight_memory", "weights_from_image"]


@dataclass(frozen=True, kw_only=True)
class MemoryShape:
    """Depth in words, and width in bits: a whole number of program-port chunks."""

    name: str
    depth: int
    used_bits: int

    @property
    def chunks(self) -> int:
        return ceil_div(self.used_bits, CHUNK_BITS)

    @property
    def width(self) -> int:
        return self.chunks * CHUNK_BITS


def weight_memory(index: int, layer: Layer, plan: LayerPlan) -> MemoryShape:
    """Weights of core ``index``, in the order of its `Walk`; bias rows follow."""
    walk = walk_of(layer, plan)
    depth = walk.bias_word + len(bias_rows(layer)) * bias_stride(layer, plan)
    return MemoryShape(name=f"core{index}_weights", depth=depth, used_bits=plan.lanes * layer.weight_bits)


def weight_image(layer: Layer, plan: LayerPlan) -> list[int]:
    """The words of a core's weight memory; lanes without a neuron hold 0."""
    weights, biases = _places(layer, plan)
    values = np.append(np.asarray(layer.weights).ravel(), [0])[weights]
    spread = np.append(bias_rows(layer), np.zeros((len(bias_rows(layer)), 1), dtype=np.int64), axis=1)
    return pack_rows(np.concatenate([values, spread[:, biases].reshape(-1, plan.lanes)]), layer.weight_bits)


def weights_from_image(image: list[int], layer: Layer, plan: LayerPlan) -> tuple[np.ndarray, np.ndarray]:
    """Inverse of `weight_image`: weights of their shape, and bias int64[C]."""
    words = unpack_rows(image, layer.weight_bits, plan.lanes)
    places, biases = _places(layer, plan)
    weights = np.zeros(int(np.prod(layer.connectivity.weight_shape)) + 1, dtype=np.int64)
    weights[places.ravel()] = words[: len(places)].ravel()
    bias = np.zeros(layer.channels + 1, dtype=np.int64)
    for row in words[len(places) :].reshape(-1, *biases.shape):
        np.add.at(bias, biases.ravel(), row.ravel())
    return weights[:-1].reshape(layer.connectivity.weight_shape), bias[:-1]


def bias_stride(layer: Layer, plan: LayerPlan) -> int:
    """Words from one bias row to the next."""
    return plan.position_rows if isinstance(layer.connectivity, Conv2d) else row_stride(plan)


def _places(layer: Layer, plan: LayerPlan) -> tuple[np.ndarray, np.ndarray]:
    """Which weight lies where, int64[words, lanes], and which channel's bias, int64[stride, lanes]; −1: none."""
    synapses = layer.connectivity
    channels = plan.channels_of_rows()
    index = np.arange(int(np.prod(synapses.weight_shape))).reshape(synapses.weight_shape)
    if not isinstance(synapses, Conv2d):
        stride = row_stride(plan)
        padded = np.full((stride, plan.lanes), -1, dtype=np.int64)
        padded[: len(channels)] = channels
        shape = pooled(synapses.in_shape, synapses.pool)
        # Columns in the order of the addresses: channels last.
        order = np.arange(index.shape[1]).reshape(shape)
        order = order if len(shape) == 1 else order.transpose(1, 2, 0)
        columns = np.where(padded[None] < 0, -1, index[padded.ravel()][:, order.ravel()].T.reshape(-1, *padded.shape))
        return columns.reshape(-1, plan.lanes), padded
    inputs = pooled(synapses.in_shape, synapses.pool)[0]
    group_inputs = inputs // synapses.groups
    words = []
    for channel in range(inputs):
        group, local = divmod(channel, group_inputs)
        rows = channels[group * plan.group_rows : (group + 1) * plan.group_rows]
        taps = index[rows.ravel(), local].reshape(*rows.shape, -1)
        words.append(np.where(rows[..., None] < 0, -1, taps).transpose(2, 0, 1).reshape(-1, plan.lanes))
    return np.concatenate(words), channels
