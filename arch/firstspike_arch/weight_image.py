# SPDX-License-Identifier: MIT
"""Contents of a core's weight memory: the lane and the word of each weight."""

import numpy as np

from .connectivity import Conv2d, Dense, pooled, size_of
from .core_spec import CoreSpec
from .fixed import pack_rows, unpack_rows
from .layer_plan import LayerPlan
from .walk import conv_walk, row_stride, window_taps

__all__ = ["external_words", "weight_image", "weights_from_image"]


def weight_image(core: CoreSpec) -> list[int]:
    """Return the words of a core's weight memory, lowest lane in the lowest bits; lanes without a neuron hold 0, and so
    do the buffers of external weights."""
    layer, plan = core.layer, core.plan
    sets = [np.zeros((core.bias_word, plan.elements), dtype=np.int64)] if core.fetching else [
        np.append(np.asarray(one.weights).ravel(), [0])[_places(one.connectivity, plan)]
        for one in (layer, *layer.branches)]
    biases, rows = _bias_places(core), core.marker_rows
    spread = np.append(rows, np.zeros((len(rows), 1), dtype=np.int64), axis=1)
    return pack_rows(np.concatenate([*sets, spread[:, biases].reshape(-1, plan.elements)]), layer.weight_bits)


def external_words(core: CoreSpec) -> list[int]:
    """Return the words of the slices of a core with external weights (`Fetching`), one slice behind the other."""
    layer, fetching = core.layer, core.fetching
    assert fetching is not None
    rows = np.append(np.asarray(layer.weights).ravel(), [0])[_places(layer.connectivity, core.plan)]
    rows = rows.reshape(-1, fetching.stride, core.plan.elements)[:, : fetching.words]
    return pack_rows(rows.reshape(-1, core.plan.elements), layer.weight_bits)


def weights_from_image(image: list[int], core: CoreSpec) -> tuple[list[np.ndarray], np.ndarray]:
    """Recover the weights of each set of synapses, and bias int64[C], from what `weight_image` returns."""
    layer, plan = core.layer, core.plan
    words = unpack_rows(image, layer.weight_bits, plan.elements)
    sets = []
    for one in (layer, *layer.branches):
        places, shape = _places(one.connectivity, plan), one.connectivity.weight_shape
        weights = np.zeros(size_of(shape) + 1, dtype=np.int64)
        weights[places.ravel()] = words[: len(places)].ravel()
        sets.append(weights[:-1].reshape(shape))
        words = words[len(places) :]
    biases = _bias_places(core)
    bias = np.zeros(layer.channels + 1, dtype=np.int64)
    for row in words.reshape(-1, *biases.shape)[..., : plan.lanes]:  # every bank holds the same biases
        np.add.at(bias, biases[:, : plan.lanes].ravel(), row.ravel())
    return sets, bias[:-1]


def _bias_places(core: CoreSpec) -> np.ndarray:
    """Return the channel whose bias lies in each word and element, int64[stride, elements]; −1: none."""
    channels = np.tile(core.plan.channels_of_rows(), core.plan.bank_count)
    padded = np.full((core.bias_stride, core.plan.elements), -1, dtype=np.int64)
    padded[: len(channels)] = channels
    return padded


def _places(synapses: Dense | Conv2d, plan: LayerPlan) -> np.ndarray:
    """Return the index of the weight in each word and element, int64[words, elements]; −1: none."""
    channels = plan.channels_of_rows()
    shape = pooled(synapses.in_shape, synapses.pool)
    index = np.arange(size_of(synapses.weight_shape)).reshape(synapses.weight_shape)
    if isinstance(synapses, Dense):
        padded = np.full((row_stride(plan), plan.lanes), -1, dtype=np.int64)
        padded[: len(channels)] = channels
        # The columns follow the order of the addresses, in which channels vary fastest.
        order = np.arange(index.shape[1]).reshape(shape)
        order = order if len(shape) == 1 else order.transpose(1, 2, 0)
        columns = np.where(padded[None] < 0, -1, index[padded.ravel()][:, order.ravel()].T.reshape(-1, *padded.shape))
        return columns.reshape(-1, plan.lanes)
    walk, _ = conv_walk(synapses, plan, 0)
    group_inputs, group_outputs = shape[0] // synapses.groups, synapses.channels // synapses.groups
    words = []
    down, across = (window_taps(synapses, plan, axis) for axis in (0, 1))
    down, across = down[:, None, :, None], across[None, :, None, :]
    taps = np.where((down < 0) | (across < 0), -1, down * synapses.kernel[1] + across).reshape(-1, plan.bank_count)
    for channel in range(shape[0]):
        group, local = divmod(channel, group_inputs)
        first = int(walk.channel_row[channel])
        rows = channels[first : first + walk.reach]
        reached = (rows >= 0) & (rows // group_outputs == group)
        kernel = index.reshape(*index.shape[:2], -1)[rows, local]  # [rows, lanes, taps]
        kernel = np.where(reached[..., None], kernel, -1)[..., taps].transpose(2, 0, 3, 1)
        words.append(np.where(taps[:, None, :, None] < 0, -1, kernel).reshape(-1, plan.elements))
    return np.concatenate(words)
