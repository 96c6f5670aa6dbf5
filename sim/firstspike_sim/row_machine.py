# SPDX-License-Identifier: MIT
"""Row machine: what the lanes of a core hold, event by event and pass by pass, in whole numbers without a width."""

from collections.abc import Sequence

import numpy as np
from firstspike_arch.connectivity import Dense, pooled
from firstspike_arch.network import Layer
from firstspike_arch.rows import RowOp, bias_rows, marker_program

__all__ = ["RowMachine"]


class RowMachine:
    """Executes a layer's `MarkerProgram`, and remembers the extremes of every stored value and sum before halving.

    Parameters
    ----------
    layer : Layer

    Members
    -------
    lows, highs : int64[M]
        Extremes of each neuron so far, zero included.
    """

    def __init__(self, layer: Layer):
        self._layer = layer
        self._program, self._biases = marker_program(layer), layer.spread(bias_rows(layer))
        self._columns = _columns(layer)
        self._u = np.zeros(layer.neurons, dtype=np.int64)
        self._shadow = self._u.copy()
        self.lows, self.highs = self._u.copy(), self._u.copy()
        self._pass_all(self._program.final)

    def run(self, steps: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
        """One inference: the addresses of each step's events, in their order.

        Returns
        -------
        spikes : bool[T, M]
        membranes : int64[T, M]
            v when the step's marker captures it. A neuron that fires once goes on integrating after its spike.
        """
        has_fired = np.zeros(self._layer.neurons, dtype=bool)
        spikes, membranes = [], []
        for step, addresses in enumerate(steps):
            for address in addresses:
                self._store(self._u + self._columns[:, address])
            membranes.append(self._u + self._layer.spread(self._program.offset))
            fires = self._u >= 0 if self._layer.neuron.theta is not None else np.zeros_like(has_fired)
            if self._layer.neuron.single_spike:
                fires, has_fired = fires & ~has_fired, fires | has_fired
            spikes.append(fires)
            self._pass_all(self._program.final if step == len(steps) - 1 else self._program.step)
        return np.array(spikes), np.array(membranes)

    def _pass_all(self, ops: tuple[RowOp, ...]) -> None:
        spiked = self._u >= 0
        for op in ops:
            here = {"always": spiked | True, "spiked": spiked, "negative": self._u < 0, "nonnegative": self._u >= 0}
            acts, kept = here[op.when], self._u
            if op.act == "save":
                self._shadow = self._u
            if op.act == "init":
                value = self._layer.spread(self._program.init)
            elif op.act == "add":
                total = self._u + self._operand(op)
                self._store(np.where(acts, total, kept))
                value = total >> 1 if op.halve else total
            else:
                value = np.zeros_like(self._u)
            self._store(np.where(acts, value, kept))

    def _operand(self, op: RowOp) -> np.ndarray:
        if op.operand == "weight":
            return self._biases[op.index]
        if op.values is not None:
            return self._layer.spread(op.values)
        if op.operand == "leak":
            return ~(self._u >> op.index)
        return self._shadow if op.operand == "shadow" else np.zeros_like(self._u)

    def _store(self, value: np.ndarray) -> None:
        self._u = value
        np.minimum(self.lows, value, out=self.lows)
        np.maximum(self.highs, value, out=self.highs)


def _columns(layer: Layer) -> np.ndarray:
    """Weight from every input address to every neuron, int64[M, N]."""
    synapses, weights = layer.connectivity, np.asarray(layer.weights, dtype=np.int64)
    inputs = pooled(synapses.in_shape, synapses.pool)
    if isinstance(synapses, Dense):
        dense = weights.reshape(layer.neurons, *inputs)
    else:
        dense = np.zeros((*synapses.out_shape, *inputs), dtype=np.int64)
        group_inputs, group_outputs = inputs[0] // synapses.groups, layer.channels // synapses.groups
        for channel, y, x in np.ndindex(synapses.out_shape):
            first = channel // group_outputs * group_inputs
            for tap_y, tap_x in np.ndindex(synapses.kernel):
                at_y = y * synapses.stride[0] + tap_y - synapses.padding[0]
                at_x = x * synapses.stride[1] + tap_x - synapses.padding[1]
                if 0 <= at_y < inputs[1] and 0 <= at_x < inputs[2]:
                    dense[channel, y, x, first:first + group_inputs, at_y, at_x] = weights[channel, :, tap_y, tap_x]
        dense = dense.reshape(layer.neurons, *inputs)
    if len(inputs) == 1:
        return dense
    full = np.zeros((layer.neurons, *synapses.in_shape), dtype=np.int64)
    repeated = dense.repeat(synapses.pool, axis=2).repeat(synapses.pool, axis=3)
    full[:, :, : repeated.shape[2], : repeated.shape[3]] = repeated
    return full.reshape(layer.neurons, -1)
