# SPDX-License-Identifier: MIT
"""Prove how many bits a membrane needs: the row operations that the hardware runs, run on intervals."""

from dataclasses import dataclass

import numpy as np
from firstspike_arch.fixed import bits_for_signed
from firstspike_arch.network import IntegerNetwork, Layer
from firstspike_arch.rows import MarkerProgram, RowOp, bias_rows, marker_program

from ..errors import CompileError

__all__ = ["WidthProof", "prove_widths"]


@dataclass(frozen=True, kw_only=True, eq=False)
class WidthProof:
    """What a layer's stored membranes u = v − theta, and every operand and intermediate sum, stay within.

    Parameters
    ----------
    layer : str
    lows, highs : int64[M]
        Proven range of each neuron.
    steps : int
        Longest inference covered.
    in_max : int
        Largest count of one input address in one step.
    once : bool
        Whether each input address spikes at most once in an inference, which the proof uses.
    """

    layer: str
    lows: np.ndarray
    highs: np.ndarray
    steps: int
    in_max: int
    once: bool

    @property
    def low(self) -> int:
        return int(self.lows.min())

    @property
    def high(self) -> int:
        return int(self.highs.max())

    @property
    def low_neuron(self) -> int:
        """The neuron that reaches lowest."""
        return int(self.lows.argmin())

    @property
    def high_neuron(self) -> int:
        """The neuron that reaches highest."""
        return int(self.highs.argmax())

    @property
    def bits(self) -> int:
        """Narrowest two's complement that holds all of it."""
        return max(2, bits_for_signed(self.low, self.high))

    def __str__(self) -> str:
        inputs = "each input at most once an inference" if self.once else f"each input at most {self.in_max} a step"
        return (
            f"{self.layer}: {self.bits} bits: {self.low} (neuron {self.low_neuron}) ≤ v − theta ≤ {self.high} "
            f"(neuron {self.high_neuron}) for every order of events in ≤ {self.steps} steps, {inputs}"
        )


def prove_widths(network: IntegerNetwork) -> tuple[WidthProof, ...]:
    """A proof for each layer.

    Raises
    ------
    CompileError
        A bias needs more bias rows than a core has.
    """
    proofs = []
    once = network.input_kind == "latency"
    in_max = 1 if once else network.in_max
    for index, layer in enumerate(network.layers):
        read = index == len(network.layers) - 1 and network.readout in ("first_spike", "potential")
        proofs.append(_prove_layer(layer, network.steps_max, in_max, once, read))
        once, in_max = layer.neuron.single_spike, 1
    return tuple(proofs)


def _prove_layer(layer: Layer, steps: int, in_max: int, once: bool, read: bool) -> WidthProof:
    """Interpret the marker program on one interval per neuron.

    Before the events of step t, u lies in a known interval. While they arrive, in any order, the sum stays within
    that interval widened by Σ of the negative weights × in_max downwards and of the positive ones upwards: any subset
    of the events adds no less and no more. Then the step program runs on the interval, where conditions on the
    spike exist on the firing part (u ≥ 0) and on the silent part (u < 0) apart; every sum is recorded before it is
    halved. The last step's end runs the final program, which starts anew from ``init``.
    """
    try:
        program = marker_program(layer)
        biases = bias_rows(layer)
    except ValueError as error:
        raise CompileError(str(error)) from None
    # Of a convolution, the neurons of a channel that all its weights reach. Pooling gathers pool² addresses in one.
    weights, in_max = np.asarray(layer.weights).reshape(layer.channels, -1), in_max * layer.connectivity.pool**2
    negative = np.minimum(weights, 0).sum(1, dtype=np.int64) * in_max
    positive = np.maximum(weights, 0).sum(1, dtype=np.int64) * in_max
    machine = _Intervals(program, biases)
    # Operands are held in membrane width.
    machine.record(np.minimum(weights.min(1), 0).astype(np.int64), np.maximum(weights.max(1), 0).astype(np.int64))
    for row in biases:
        machine.record(row, row)
    for op in program.step + program.final:
        if op.values is not None:
            machine.record(op.values, op.values)
    if read:
        machine.record(program.offset, program.offset)

    bound = _OnceBound(layer, negative, positive) if once else None
    low, high = machine.run(program.final, program.init, program.init)
    for step in range(steps):
        if bound is not None:
            low, high = bound.intersect(step, low, high)
        low_after, high_after = low + negative, high + positive
        if bound is not None:
            low_after, high_after = bound.intersect(step, low_after, high_after)
        machine.record(low_after, high_after)
        if step == steps - 1:
            break
        before = low, high
        low, high = machine.run(program.step, low_after, high_after)
        same = np.array_equal(low, before[0]) and np.array_equal(high, before[1])
        if same and (bound is None or bound.constant):
            break
    return WidthProof(
        layer=layer.name, lows=machine.lows, highs=machine.highs, steps=steps, in_max=in_max, once=once,
    )


class _OnceBound:
    """Where v must lie if each input address spikes at most once in an inference.

    Let P be the positive parts of all that was added to v so far (v_init, biases, weights), Q the negative parts.
    Without leak, clamp and reset, v is v_init + biases + a subset sum of the weights, whatever the steps.
    Otherwise −Q ≤ v ≤ P still holds, by induction over the operations:

    - adding d: P grows by max(d, 0), Q by max(−d, 0);
    - leak: 0 ≤ floor(λv) ≤ v for v ≥ 0, and v ≤ floor(λv) ≤ 0 for whole v < 0, as 0 ≤ λ ≤ 1;
    - clamps with v_min ≤ 0 ≤ v_max move v towards 0, or not at all;
    - reset to zero: 0 is in range; subtracting reset_step ≥ 0 only lowers v, and leaves v ≥ 0 if v ≥ theta ≥
      reset_step at that moment: not given if a leak or clamp may come between firing and a delayed reset.

    Where a condition fails, that side is not bounded.
    """

    def __init__(self, layer: Layer, negative: np.ndarray, positive: np.ndarray):
        neuron = layer.neuron
        self._zero = zero = np.zeros(layer.channels, dtype=np.int64)
        self._offset = zero if neuron.theta is None else np.asarray(neuron.theta, dtype=np.int64)
        self._bias_once = neuron.bias_once
        init, bias = np.asarray(neuron.v_init, dtype=np.int64), np.asarray(neuron.bias, dtype=np.int64)
        resets = neuron.theta is not None and not neuron.single_spike and neuron.reset != "none"
        self._bounds_low = np.ones(layer.channels, dtype=bool)
        self._bounds_high = np.ones(layer.channels, dtype=bool)
        if not neuron.leaky and not neuron.clamped and not resets:
            self._init_low = self._init_high = init
            self._bias_low = self._bias_high = bias
        else:
            self._init_low, self._init_high = np.minimum(init, 0), np.maximum(init, 0)
            self._bias_low, self._bias_high = np.minimum(bias, 0), np.maximum(bias, 0)
            if neuron.v_min is not None and neuron.v_min > 0:
                self._bounds_high[:] = False
            if neuron.v_max is not None and neuron.v_max < 0:
                self._bounds_low[:] = False
            if resets and neuron.reset == "subtract":
                if neuron.reset_delay and (neuron.leaky or neuron.clamped):
                    self._bounds_low[:] = False
                elif neuron.reset_step is not None:
                    self._bounds_low &= np.asarray(neuron.reset_step) <= self._offset
        self._negative, self._positive = negative, positive

    @property
    def constant(self) -> bool:
        """Whether the bound is the same in every step."""
        return self._bias_once or not (self._bias_low.any() or self._bias_high.any())

    def intersect(self, step: int, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Narrow an interval of u from before, during or after the events of a step; its bias is included."""
        biases = 1 if self._bias_once else step + 1
        lowest = self._init_low + biases * self._bias_low + self._negative - self._offset
        highest = self._init_high + biases * self._bias_high + self._positive - self._offset
        return (
            np.where(self._bounds_low, np.maximum(low, lowest), low),
            np.where(self._bounds_high, np.minimum(high, highest), high),
        )


class _Intervals:
    """Row operations on one interval per neuron; remembers the extremes of everything recorded."""

    def __init__(self, program: MarkerProgram, biases: np.ndarray):
        self._program, self._biases = program, biases
        self._zero = np.zeros(len(program.offset), dtype=np.int64)
        self.lows, self.highs = self._zero.copy(), self._zero.copy()

    def record(self, low: np.ndarray, high: np.ndarray, where: np.ndarray | bool = True) -> None:
        """Remember that values low … high occur, in the neurons ``where``."""
        np.minimum(self.lows, low, out=self.lows, where=where)
        np.maximum(self.highs, high, out=self.highs, where=where)

    def run(self, ops: tuple[RowOp, ...], low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The interval after ``ops``."""
        if not any(op.when == "spiked" for op in ops):
            return self._run_branch(ops, low, high, low <= high, spiked=False)
        fires, silent = high >= 0, low < 0
        fire_low, fire_high = self._run_branch(ops, np.maximum(low, 0), high, fires, spiked=True)
        rest_low, rest_high = self._run_branch(ops, low, np.minimum(high, -1), silent, spiked=False)
        return (
            np.where(fires, np.where(silent, np.minimum(fire_low, rest_low), fire_low), rest_low),
            np.where(fires, np.where(silent, np.maximum(fire_high, rest_high), fire_high), rest_high),
        )

    def _run_branch(self, ops, low, high, present, spiked: bool):
        shadow = self._zero, self._zero
        for op in ops:
            if op.when == "spiked" and not spiked:
                continue
            if op.when in ("negative", "nonnegative"):
                # The part that is acted on, the part that is kept, and the hull of both.
                if op.when == "negative":
                    acts, keeps = low < 0, high >= 0
                    acted = self._act(op, low, np.minimum(high, -1), shadow, present & acts)
                    kept = np.maximum(low, 0), high
                else:
                    acts, keeps = high >= 0, low < 0
                    acted = self._act(op, np.maximum(low, 0), high, shadow, present & acts)
                    kept = low, np.minimum(high, -1)
                low = np.where(acts, np.where(keeps, np.minimum(acted[0], kept[0]), acted[0]), kept[0])
                high = np.where(acts, np.where(keeps, np.maximum(acted[1], kept[1]), acted[1]), kept[1])
                continue
            if op.act == "save":
                shadow = low, high
            low, high = self._act(op, low, high, shadow, present)
        return low, high

    def _act(self, op: RowOp, low, high, shadow, present):
        if op.act in ("clear", "save"):
            return self._zero, self._zero
        if op.act == "init":
            low = high = self._program.init
        elif op.operand == "leak":
            # u + ~(u >> k) never decreases with u, for k ≥ 1.
            low, high = low + ~(low >> op.index), high + ~(high >> op.index)
        elif op.operand != "zero":
            if op.operand == "weight":
                least = most = self._biases[op.index]
            elif op.operand == "constant":
                least = most = op.values
            else:
                least, most = shadow
            low, high = low + least, high + most
        self.record(low, high, present)
        return (low >> 1, high >> 1) if op.halve else (low, high)
