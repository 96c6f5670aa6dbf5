# SPDX-License-Identifier: MIT
"""Shape and contents of every loadable memory."""

from dataclasses import dataclass

import numpy as np

from .array import GROUP_BITS, LayerPlan, spike_queue_depth
from .connectivity import Conv2d, Dense, pooled, size_of
from .fixed import CHUNK_BITS, ceil_div, pack_rows, unpack_rows
from .microcode import Microcode, bias_rows
from .network import Layer
from .walk import bank_taps, conv_walk, row_stride, walks_of

__all__ = [
    "MemoryShape", "bias_stride", "core_memories", "weight_image", "weight_memory", "weights_from_image",
]


@dataclass(frozen=True, kw_only=True)
class MemoryShape:
    """Depth in words, and width in bits: a whole number of program-port chunks.

    ``loadable``: the program port writes it, chunk by chunk. ``single_port``: it has one port, and no initial contents.
    """

    name: str
    depth: int
    used_bits: int
    loadable: bool = False
    single_port: bool = False

    @property
    def chunks(self) -> int:
        return ceil_div(self.used_bits, CHUNK_BITS)

    @property
    def width(self) -> int:
        return self.chunks * CHUNK_BITS


def weight_memory(index: int, layer: Layer, plan: LayerPlan) -> MemoryShape:
    """Weights of core ``index``, in the order of its walks; bias rows follow."""
    _, bias_word = walks_of(layer, plan)
    depth = bias_word + len(bias_rows(layer)) * bias_stride(layer, plan)
    return MemoryShape(name=f"core{index}_weights", depth=depth, used_bits=plan.elements * layer.weight_bits,
                       loadable=True, single_port=plan.single_port)


def core_memories(index: int, layer: Layer, plan: LayerPlan, program: Microcode) -> list[MemoryShape]:
    """All memories of a core and its spike queue: weights, and if they are not in registers, membranes and what goes
    with them, in each bank."""
    found = [weight_memory(index, layer, plan)]
    if not plan.in_registers:
        neuron, bits = layer.neuron, plan.membrane_bits
        widths = {
            "membranes": bits, "currents": bits * program.static,
            "shadow": bits * any(op.operand == "shadow" for op in program.passes),
            "fired": int(neuron.single_spike and neuron.theta is not None),
            "spiked": neuron.levels * any(op.when == "spiked" for op in program.step[1:]),
        }
        found += [
            MemoryShape(name=f"core{index}_{name}", depth=plan.rows, used_bits=width * plan.lanes)
            for name, width in widths.items() if width for _ in range(plan.bank_count)
        ]
    depth = spike_queue_depth(plan)
    if depth > 1:
        word = 2 + layer.out_layout.address_bits + ceil_div(plan.word_lanes, GROUP_BITS)
        word += plan.word_lanes * (1 + layer.out_layout.value_bits)
        found.append(MemoryShape(name=f"queue{index}", depth=depth, used_bits=word))
    return found


def weight_image(layer: Layer, plan: LayerPlan) -> list[int]:
    """The words of a core's weight memory; lanes without a neuron hold 0."""
    sets = [np.append(np.asarray(one.weights).ravel(), [0])[_places(one.connectivity, plan)]
            for one in (layer, *layer.branches)]
    biases = _bias_places(layer, plan)
    spread = np.append(bias_rows(layer), np.zeros((len(bias_rows(layer)), 1), dtype=np.int64), axis=1)
    return pack_rows(np.concatenate([*sets, spread[:, biases].reshape(-1, plan.elements)]), layer.weight_bits)


def weights_from_image(image: list[int], layer: Layer, plan: LayerPlan) -> tuple[list[np.ndarray], np.ndarray]:
    """Inverse of `weight_image`: weights of each set of synapses, of their shapes, and bias int64[C]."""
    words = unpack_rows(image, layer.weight_bits, plan.elements)
    sets = []
    for one in (layer, *layer.branches):
        places, shape = _places(one.connectivity, plan), one.connectivity.weight_shape
        weights = np.zeros(size_of(shape) + 1, dtype=np.int64)
        weights[places.ravel()] = words[: len(places)].ravel()
        sets.append(weights[:-1].reshape(shape))
        words = words[len(places) :]
    biases = _bias_places(layer, plan)
    bias = np.zeros(layer.channels + 1, dtype=np.int64)
    for row in words.reshape(-1, *biases.shape)[..., : plan.lanes]:  # the same in every bank
        np.add.at(bias, biases[:, : plan.lanes].ravel(), row.ravel())
    return sets, bias[:-1]


def bias_stride(layer: Layer, plan: LayerPlan) -> int:
    """Words from one bias row to the next."""
    return plan.position_rows if isinstance(layer.connectivity, Conv2d) else row_stride(plan)


def _bias_places(layer: Layer, plan: LayerPlan) -> np.ndarray:
    """Which channel's bias lies where, int64[stride, elements]; −1: none."""
    channels = np.tile(plan.channels_of_rows(), plan.bank_count)
    padded = np.full((bias_stride(layer, plan), plan.elements), -1, dtype=np.int64)
    padded[: len(channels)] = channels
    return padded


def _places(synapses: Dense | Conv2d, plan: LayerPlan) -> np.ndarray:
    """Which weight lies where, int64[words, elements]; −1: none."""
    channels = plan.channels_of_rows()
    shape = pooled(synapses.in_shape, synapses.pool)
    index = np.arange(size_of(synapses.weight_shape)).reshape(synapses.weight_shape)
    if isinstance(synapses, Dense):
        padded = np.full((row_stride(plan), plan.lanes), -1, dtype=np.int64)
        padded[: len(channels)] = channels
        # Columns in the order of the addresses: channels last.
        order = np.arange(index.shape[1]).reshape(shape)
        order = order if len(shape) == 1 else order.transpose(1, 2, 0)
        columns = np.where(padded[None] < 0, -1, index[padded.ravel()][:, order.ravel()].T.reshape(-1, *padded.shape))
        return columns.reshape(-1, plan.lanes)
    walk, _ = conv_walk(synapses, plan, 0)
    group_inputs, group_outputs = shape[0] // synapses.groups, synapses.channels // synapses.groups
    words = []
    # The taps of each word, by bank: a word for each tap, or one bank after the other in a word for each phase.
    taps = np.arange(synapses.kernel[0] * synapses.kernel[1])[:, None]
    if plan.bank_count > 1:
        down, across = (bank_taps(synapses, plan, axis) for axis in (0, 1))
        down, across = down[:, None, :, None], across[None, :, None, :]
        taps = np.where((down < 0) | (across < 0), -1, down * synapses.kernel[1] + across)
        taps = taps.reshape(-1, plan.bank_count)
    for channel in range(shape[0]):
        group, local = divmod(channel, group_inputs)
        first = int(walk.channel_row[channel])
        rows = channels[first : first + walk.reach]
        reached = (rows >= 0) & (rows // group_outputs == group)
        kernel = index.reshape(*index.shape[:2], -1)[rows, local]  # [rows, lanes, taps]
        kernel = np.where(reached[..., None], kernel, -1)[..., taps].transpose(2, 0, 3, 1)
        words.append(np.where(taps[:, None, :, None] < 0, -1, kernel).reshape(-1, plan.elements))
    return np.concatenate(words)
