# SPDX-License-Identifier: MIT
"""Shape and contents of every loadable memory."""

from dataclasses import dataclass

import numpy as np

from .array import LayerPlan
from .fixed import CHUNK_BITS, ceil_div, pack_rows, unpack_rows
from .network import DenseLayer
from .rows import bias_rows

__all__ = ["MemoryShape", "row_stride", "weight_image", "weight_memory", "weights_from_image"]


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


def row_stride(plan: LayerPlan) -> int:
    """Words between the weights of successive inputs."""
    return 1 << (plan.rows - 1).bit_length()


def weight_memory(index: int, layer: DenseLayer, plan: LayerPlan) -> MemoryShape:
    """Weights of core ``index``: row r of input a is word a·row_stride + r; bias rows follow the inputs.

    The stride is the number of rows, rounded up to a power of two: an address is a concatenation, not a sum.
    """
    depth = row_stride(plan) * (layer.fan_in + len(bias_rows(layer)))
    return MemoryShape(name=f"core{index}_weights", depth=depth, used_bits=plan.lanes * layer.weight_bits)


def weight_image(layer: DenseLayer, plan: LayerPlan) -> list[int]:
    """The words of a core's weight memory; lanes without a neuron hold 0."""
    columns = np.concatenate([np.asarray(layer.weights), bias_rows(layer).T], axis=1)
    padded = np.zeros((row_stride(plan) * plan.lanes, columns.shape[1]), dtype=np.int64)
    padded[: layer.fan_out] = columns
    words = padded.reshape(-1, plan.lanes, columns.shape[1]).transpose(2, 0, 1).reshape(-1, plan.lanes)
    return pack_rows(words, layer.weight_bits)


def weights_from_image(image: list[int], layer: DenseLayer, plan: LayerPlan) -> tuple[np.ndarray, np.ndarray]:
    """Inverse of `weight_image`: weights int64[M, N] and bias int64[M]."""
    words = unpack_rows(image, layer.weight_bits, plan.lanes).reshape(-1, row_stride(plan), plan.lanes)
    columns = words.transpose(1, 2, 0).reshape(row_stride(plan) * plan.lanes, -1)[: layer.fan_out]
    return columns[:, : layer.fan_in], columns[:, layer.fan_in :].sum(axis=1)
