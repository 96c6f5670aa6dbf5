# SPDX-License-Identifier: MIT
"""Row machine: model of a core's membranes, event by event and pass by pass, in integers of unlimited width."""

from collections.abc import Sequence

import numpy as np
from firstspike_arch.bias_rows import bias_rows
from firstspike_arch.connectivity import Dense, pooled, size_of
from firstspike_arch.fixed import leaked
from firstspike_arch.microcode import RowOp, microcodes_of
from firstspike_arch.network import Branch, IntegerNetwork, Layer

__all__ = ["RowMachine"]


class RowMachine:
    """Executes a layer's `Microcode`, and records the extremes of every stored value and of every sum before it is
    halved.

    Parameters
    ----------
    network : IntegerNetwork
    index : int
        Index of the layer.
    in_one_row, multiplies_leaks : bool
        As of `microcode_of`.

    Members
    -------
    lows, highs : int64[M]
        Extremes of each neuron so far; they include 0.
    trace_lows, trace_highs : int64[M]
        Those of its trace, which are among them.
    rise_highs : int64[M]
        Largest rises of its thresholds, which are among them; the least is 0.
    """

    def __init__(
        self, network: IntegerNetwork, index: int, *, in_one_row: bool = False, multiplies_leaks: bool = False,
    ):
        self._layer = layer = network.layers[index]
        self._program = microcodes_of(network, in_one_row=in_one_row, multiplies_leaks=multiplies_leaks)[index]
        self._biases = layer.spread(bias_rows(layer)) * layer.weight_unit
        self._columns = [_columns(branch) * layer.weight_unit for branch in layer.synapses(index)]
        self._levels = None if self._program.levels is None else layer.spread(self._program.levels.T)
        self._fall = layer.neuron.theta_fall
        self._u = np.zeros(layer.neurons, dtype=np.int64)
        self._shadow, self._current = self._u.copy(), self._u.copy()
        self._trace, self._trace_shadow = self._u.copy(), self._u.copy()
        self._rise, self._rise_shadow = self._u.copy(), self._u.copy()
        self._sums, self._taps = np.zeros(size_of(layer.sums_shape), dtype=np.int64), _taps(layer)
        self.lows, self.highs = self._u.copy(), self._u.copy()
        self.trace_lows, self.trace_highs = self._u.copy(), self._u.copy()
        self.rise_highs = self._u.copy()
        self._pass_all(self._program.final, 0)

    def run(self, steps: Sequence[Sequence[tuple[int, int, int]]]) -> tuple[np.ndarray, np.ndarray]:
        """Run one inference on the events of each step, in their order, as (set of synapses, address, value).

        Returns
        -------
        spikes : int64[T, M]
            Magnitudes.
        membranes : int64[T, M]
            v when the marker of the step captures it. A neuron that fires once continues to integrate after its spike.
        """
        has_fired = np.zeros(self._layer.neurons, dtype=bool)
        spikes, membranes = [], []
        for step, events in enumerate(steps):
            for branch, address, value in events:
                self._act(self._program.event, value * self._columns[branch][:, address])
            if step == 0 or self._program.recurs:
                self._pass_all(self._program.start, 0)
                self._sums[:] = 0
            fall = 0 if self._fall is None else int(self._fall[step])
            membranes.append(self._u + self._layer.spread(self._program.offset) - fall)
            fires = self._magnitude()
            if self._layer.neuron.single_spike:
                fires, has_fired = np.where(has_fired, 0, fires), (fires > 0) | has_fired
            spikes.append(fires)
            self._pass_all(self._program.final if step == len(steps) - 1 else self._program.step, step)
        return np.array(spikes), np.array(membranes)

    def _magnitude(self) -> np.ndarray:
        return np.zeros_like(self._u) if self._levels is None else (self._u >= self._levels + self._rise).sum(0)

    def _pass_all(self, ops: tuple[RowOp, ...], step: int) -> None:
        magnitude = self._magnitude()
        for op in ops:
            if op.act == "init":
                self._current = self._layer.spread(self._program.current)
                self._trace, self._rise = np.zeros_like(self._u), np.zeros_like(self._u)
            operand = self._operand(op, step, magnitude)
            if op.base is not None:
                holds = {"always": magnitude >= 0, "spiked": magnitude > 0, "negative": self._u < 0,
                         "nonnegative": self._u >= 0}[op.when]
                self._u = np.where(holds, self._layer.spread(op.base), self._u)
                self._record(self._u)
            self._act(op, operand)
            for one in (op.beside, op.rising):
                if one is not None:
                    self._act(one, self._operand(one, step, magnitude))

    def _act(self, op: RowOp, operand: np.ndarray) -> None:
        if op.store == "sum":
            self._sums += operand
            self._record(self._largest(np.minimum), self._largest(np.maximum))
            return
        kept = {"current": self._current, "rise": self._rise, "trace": self._trace}.get(op.store, self._u)
        if op.act in ("load", "max"):
            value = np.maximum(kept, operand) if op.act == "max" else operand
        else:
            value = kept + operand
        total = value
        self._record(total)
        if op.act == "save" and op.store == "trace":
            self._trace_shadow = value
        elif op.act == "save" and op.store == "rise":
            self._rise_shadow = value
        elif op.act == "save":
            self._shadow = value
        if op.halve:
            value = op.halved(value)
        elif op.act == "save":
            value = np.zeros_like(value)
        if op.store == "current":
            self._current = value
        elif op.store == "trace":
            np.minimum(self.trace_lows, total, out=self.trace_lows)
            np.maximum(self.trace_highs, total, out=self.trace_highs)
            self._trace = value
        elif op.store == "rise":
            np.maximum(self.rise_highs, total, out=self.rise_highs)
            assert (total >= 0).all()
            self._rise = value
        else:
            self._u = value

    def _operand(self, op: RowOp, step: int, magnitude: np.ndarray) -> np.ndarray:
        if op.operand == "weight":
            return self._biases[op.index]
        if op.operand == "fall":
            return np.full_like(self._u, op.values[step])  # pyright: ignore[reportOptionalSubscript]
        if op.operand == "constant":
            values = self._layer.spread(op.values)  # pyright: ignore[reportArgumentType]
            return values[magnitude, np.arange(len(magnitude))] if op.by_level else values
        if op.operand == "product":
            number = {"rise": self._rise, "trace": self._trace}.get(op.store, self._u)
            factors = self._layer.spread(op.values)  # pyright: ignore[reportArgumentType]
            return leaked(number, factors, op.index, toward_zero=op.toward_zero)
        if op.operand == "sum":
            return self._sums[self._taps[op.index]]
        shadow, decays = self._shadow, self._trace
        if op.store == "trace":
            shadow = self._trace_shadow
        elif op.store == "rise":
            shadow, decays = self._rise_shadow, self._rise
        value = {"shadow": shadow, "current": self._current, "trace": self._trace, "leak": op.leak_of(self._u),
                 "decay": op.leak_of(decays), "rise": np.where(magnitude > 0, ~self._rise, 0),
                 }.get(op.operand, np.zeros_like(self._u))
        return value if op.channels is None else np.where(self._layer.spread(op.channels), value, 0)

    def _largest(self, of: np.ufunc) -> np.ndarray:
        """The extreme of each neuron's sums."""
        return of.reduce(self._sums[self._taps])

    def _record(self, *values: np.ndarray) -> None:
        for value in values:
            np.minimum(self.lows, value, out=self.lows)
            np.maximum(self.highs, value, out=self.highs)


def _taps(layer: Layer) -> np.ndarray:
    """The sum that each tap of the window of each neuron takes, int64[taps, M]; without a pool, its own."""
    if layer.current_pool is None:
        return np.arange(layer.neurons)[None]
    channels, height, width = layer.sums_shape
    down, across = layer.current_pool.taps(0, height), layer.current_pool.taps(1, width)
    places = down[:, None, :, None] * width + across[None, :, None, :]  # [taps down, taps across, windows]
    places = places.reshape(len(down) * len(across), 1, -1) + np.arange(channels)[:, None] * height * width
    return places.reshape(len(places), -1)


def _columns(branch: Branch) -> np.ndarray:
    """Weight from every input address to every neuron, int64[M, N]."""
    synapses, weights = branch.connectivity, np.asarray(branch.weights, dtype=np.int64)
    inputs, neurons = pooled(synapses.in_shape, synapses.pool), size_of(synapses.out_shape)
    if isinstance(synapses, Dense):
        dense = weights.reshape(neurons, *inputs)
    else:
        dense = np.zeros((*synapses.out_shape, *inputs), dtype=np.int64)
        group_inputs, group_outputs = inputs[0] // synapses.groups, synapses.channels // synapses.groups
        outputs_y, outputs_x = synapses.outputs(0), synapses.outputs(1)
        for channel, at_y, at_x in np.ndindex(synapses.channels, *inputs[1:]):
            first = channel // group_outputs * group_inputs
            for tap_y, tap_x in np.ndindex(synapses.kernel):
                y, x = outputs_y[tap_y, at_y], outputs_x[tap_x, at_x]
                if y >= 0 and x >= 0:
                    dense[channel, y, x, first:first + group_inputs, at_y, at_x] = weights[channel, :, tap_y, tap_x]
        dense = dense.reshape(neurons, *inputs)
    if len(inputs) == 1:
        return dense
    full = np.zeros((neurons, *synapses.in_shape), dtype=np.int64)
    down, across = synapses.pool_sides
    repeated = dense.repeat(down, axis=2).repeat(across, axis=3)
    full[:, :, : repeated.shape[2], : repeated.shape[3]] = repeated
    return full.reshape(neurons, -1)
