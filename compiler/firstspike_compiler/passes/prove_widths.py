# SPDX-License-Identifier: MIT
"""Prove how many bits a membrane, a lasting current and the rise of adaptive thresholds need, by running the microcode
on intervals."""

from dataclasses import dataclass

import numpy as np
from firstspike_arch.bias_rows import bias_rows, has_constant_bias
from firstspike_arch.fixed import bits_for_signed
from firstspike_arch.microcode import Microcode, microcodes_of
from firstspike_arch.network import INPUT, Branch, IntegerNetwork, Layer

from ..errors import CompileError
from .intervals import Intervals
from .intervals_beside import RiseInterval, TraceInterval

__all__ = ["WidthProof", "prove_widths"]

ITERATIONS = 1 << 12
"""Steps after which the interval of an inference without end is no longer waited for, but guessed and checked."""

MEMBRANE_BITS_MAX = 48


@dataclass(frozen=True, kw_only=True, eq=False)
class WidthProof:
    """Proven range of a layer's stored membranes u = v − theta, its currents, and every operand and intermediate sum.

    Parameters
    ----------
    layer : str
    lows, highs : int64[M]
        Proven range of each neuron.
    trace_lows, trace_highs : int64[M]
        Proven range of each neuron's trace, the current of a layer whose currents last, and of all sums on the way to
        it; part of ``lows`` and ``highs``, too. None: there is none.
    steps : int or None
        Longest inference that the proof covers, in steps; None: inferences without end.
    inputs : str
        Assumption of the proof about the input, in words.
    rise_highs : int64[M]
        Proven largest rise of each neuron's thresholds, and of all sums on the way to it, if thresholds adapt; part of
        ``highs``, too. The least is 0.
    current_bits : int
        Fewest bits that hold the current of a direct input that no pool takes, or currents that last, and the rise of
        thresholds, at least 2; 0: there is none.
    """

    layer: str
    lows: np.ndarray
    highs: np.ndarray
    steps: int | None
    inputs: str
    trace_lows: np.ndarray | None = None
    trace_highs: np.ndarray | None = None
    rise_highs: np.ndarray | None = None
    current_bits: int = 0

    @property
    def low(self) -> int:
        return int(self.lows.min())

    @property
    def high(self) -> int:
        return int(self.highs.max())

    @property
    def low_neuron(self) -> int:
        """Index of the neuron with the lowest bound."""
        return int(self.lows.argmin())

    @property
    def high_neuron(self) -> int:
        """Index of the neuron with the highest bound."""
        return int(self.highs.argmax())

    @property
    def bits(self) -> int:
        """Fewest bits of a two's complement number that holds the range, at least 2."""
        return max(2, bits_for_signed(self.low, self.high))

    def __str__(self) -> str:
        steps = "any number of" if self.steps is None else f"≤ {self.steps}"
        current = "" if self.trace_lows is None or self.trace_highs is None else (
            f", and {self.current_bits} bits: {self.trace_lows.min()} (neuron {self.trace_lows.argmin()}) ≤ i ≤ "
            f"{self.trace_highs.max()} (neuron {self.trace_highs.argmax()})")
        if self.rise_highs is not None:
            bits = "" if current else f"{self.current_bits} bits: "
            current += f", and {bits}0 ≤ a ≤ {self.rise_highs.max()} (neuron {self.rise_highs.argmax()})"
        current += "," * bool(current)
        return (
            f"{self.layer}: {self.bits} bits: {self.low} (neuron {self.low_neuron}) ≤ v − theta ≤ {self.high} "
            f"(neuron {self.high_neuron}){current} for every order of events in {steps} steps, {self.inputs}"
        )


def prove_widths(network: IntegerNetwork) -> tuple[WidthProof, ...]:
    """Prove the width of each layer."""
    microcodes = zip(microcodes_of(network, in_one_row=True), microcodes_of(network), strict=True)
    return tuple(_prove_layer(network, index, *pair) for index, pair in enumerate(microcodes))


def _prove_layer(network: IntegerNetwork, index: int, microcode: Microcode, merged: Microcode) -> WidthProof:
    """Run the microcode on one interval per neuron.

    It is that for neurons in one row. In several rows, fewer passes (``merged``) give the same numbers or skip some;
    only their constants are others, and a leak that is a multiplication makes no number but one between the leaking
    number and 0. But what is merged with the pass in front of one that takes a rise, which adds nothing known, makes
    other sums on the way: there both run.

    Before the events of step t, u lies in a known interval. While they arrive, in any order, the sum stays within that
    interval widened downwards by Σ of the negative weights × largest magnitude and upwards by Σ of the positive ones,
    because no subset of the events adds less or more. Then the passes of ``step`` run on the interval. Those that ask
    for the spike are run separately on the silent part and on the part that fires with each magnitude; every sum is
    recorded before it is halved. The last step ends with the passes of ``final``, which start again from a constant.
    The current of a direct input lies in one interval from the end of step 0 on. The largest sum of a window lies in
    the interval of a sum. The trace has an interval of its own, which the membranes take whatever they are.
    """
    layer, steps, static = network.layers[index], network.longest or ITERATIONS, network.is_static(index)
    neuron, biases, sets = layer.neuron, bias_rows(layer) * layer.weight_unit, layer.synapses(index)
    direct = index == 0 and network.input_kind == "direct"
    negative, positive = np.zeros((2, layer.channels), dtype=np.int64)
    for branch in sets:
        low, high = _reach(network, branch, layer.weight_unit)
        negative, positive = negative + low, positive + high
    machine = Intervals(microcode, biases)
    # Operands have the width of membranes; they are weights times the value of an event.
    for branch in sets:
        weights, layout = branch.weights.astype(np.int64) * layer.weight_unit, network.layout_of(branch.source)
        for value in (layout.low, layout.high):
            products = (weights * value).reshape(layer.channels, -1)
            machine.record(np.minimum(products.min(1), 0), np.maximum(products.max(1), 0))
    for row in biases:
        machine.record(row, row)
    for op in (*microcode.passes, *merged.passes):
        for constants in (op.base, op.values if op.operand == "constant" else None):
            for row in [] if constants is None else np.atleast_2d(constants):
                machine.record(row, row)
    if microcode.levels is not None:
        machine.record(microcode.levels[:, 0], microcode.levels[:, -1])
    if index == len(network.layers) - 1 and network.readout in ("first_spike", "potential"):
        machine.record(microcode.offset, microcode.offset)

    # A pool may take another sum in each step, so that currents add up to more than any sum over all steps.
    pools = layer.current_pool is not None
    once = not static and not pools and all(_fires_once(network, branch.source) for branch in sets)
    bound = _OnceBound(layer, negative, positive) if once and not neuron.lasts else None
    current_bits = 0
    if static and not pools:
        current_bits = max(_current_bits(code, biases, negative, positive) for code in (microcode, merged))
    if neuron.theta_fall is not None:
        bound = None
    trace = None
    if neuron.lasts:
        rows = np.zeros_like(biases[:0])
        if neuron.current_bias:
            rows = np.asarray(neuron.bias)[None] if has_constant_bias(layer) else biases
        trace = TraceInterval(microcode, neuron, negative, positive, rows, once=once)
    rise = RiseInterval(microcode, neuron) if microcode.has_rise else None
    if pools:
        machine.record(negative, positive)
    low, high = machine.run(microcode.final, negative * 0, negative * 0)
    if static:
        machine.run_current(microcode.final, negative, positive)
        if not pools:
            machine.add_to_current(negative, positive)
        machine.run_current(microcode.start, negative, positive)
        low, high = machine.run(microcode.start, low, high)
        negative = positive = np.zeros_like(negative)
    for step in range(steps):
        if bound is not None:
            low, high = bound.intersect(step, low, high)
        if direct and step:
            negative = positive = np.zeros_like(negative)
        if trace is not None:
            negative, positive = trace.take()
        low_after, high_after = low + negative, high + positive
        if bound is not None:
            low_after, high_after = bound.intersect(step, low_after, high_after)
        machine.record(low_after, high_after)
        if step == steps - 1:
            if network.endless:
                where = f"layer {index} ({layer.name})"
                negative, positive = (negative, positive) if trace is None else trace.take_forever(where)
                machine.rise = machine.rise if rise is None else rise.take_forever(where)
                _prove_forever(where, machine, merged, negative, positive)
            break
        before = low, high
        machine.rise = machine.rise if rise is None else rise.take()
        machine.record_merged(merged, low_after, high_after, step)
        low, high = machine.run(microcode.step, low_after, high_after, step)
        same = np.array_equal(low, before[0]) and np.array_equal(high, before[1])
        if same and (bound is None or bound.constant) and neuron.theta_fall is None and (
            trace is None or trace.constant) and (rise is None or rise.constant
        ):
            break
    traces = {}
    if trace is not None:
        machine.record(trace.lows, trace.highs)  # the membranes take it as an operand of their width
        # The current of a direct input, or of a pool, is all that the first step adds.
        current_bits = max(2, bits_for_signed(int(trace.lows.min()), int(trace.highs.max())))
        traces = {"trace_lows": trace.lows, "trace_highs": trace.highs}
    if rise is not None:
        machine.record(np.zeros_like(rise.highs), rise.highs)
        if not pools:  # whose currents are as wide as membranes
            current_bits = max(2, current_bits, bits_for_signed(0, int(rise.highs.max())))
        traces["rise_highs"] = rise.highs
    return WidthProof(layer=layer.name, lows=machine.lows, highs=machine.highs, steps=network.longest,
                      inputs=_assumption(network, index, once), current_bits=current_bits, **traces)


def _current_bits(microcode: Microcode, biases: np.ndarray, negative: np.ndarray, positive: np.ndarray) -> int:
    """Return the bits of the current of a direct input: whatever was added to it so far, in any order, it lies between
    the sums of all that is negative and of all that is positive."""
    added = [biases[op.index] for op in (*microcode.start, *microcode.final)
             if op.store == "current" and op.operand == "weight"]
    low, high = (microcode.current + clip(events, 0) + sum(clip(row, 0) for row in added)
                 for clip, events in ((np.minimum, negative), (np.maximum, positive)))
    return max(2, bits_for_signed(int(low.min()), int(high.max())))


def _prove_forever(
    where: str, machine: Intervals, merged: Microcode, negative: np.ndarray, positive: np.ndarray,
) -> None:
    """Record an interval that contains all that was recorded so far, and that no step leaves, if there is one.

    Raises
    ------
    CompileError
        There is none of 48 bits.
    """
    bits = max(2, bits_for_signed(int(machine.lows.min()), int(machine.highs.max())))
    for wider in range(bits, MEMBRANE_BITS_MAX + 1):
        low, high = (np.full_like(negative, edge) for edge in (-(1 << wider - 1), (1 << wider - 1) - 1))
        trial = machine.copy()
        low_after, high_after = low + negative, high + positive
        trial.record(low_after, high_after)
        trial.record_merged(merged, low_after, high_after, 0)
        low_next, high_next = trial.run(trial.microcode.step, low_after, high_after)
        if (low_next >= low).all() and (high_next <= high).all():
            machine.record(trial.lows, trial.highs)
            return
    raise CompileError(f"{where}: membranes must stay bounded in an inference without end: every neuron must have a "
                       "leak, or be reset to a value and clamped by v_min")


def _reach(network: IntegerNetwork, branch: Branch, unit: int) -> tuple[np.ndarray, np.ndarray]:
    """The least and the most that any subset of the events of one step can add to a neuron, int64[C] each.

    For a convolution these are the bounds of neurons that all weights reach. A pool sends all pixels of a window
    to the same weight. A step of the weights is ``unit`` steps of the membranes.
    """
    weights = np.asarray(branch.weights, dtype=np.int64).reshape(branch.connectivity.channels, -1) * unit
    most = network.largest(branch.source)
    least = 0
    if branch.source == INPUT and network.input_kind != "latency":
        least, most = network.in_min, network.in_max
    pool = branch.connectivity.pool_size
    low = np.minimum(weights * least, weights * most).sum(1) * pool
    high = np.maximum(weights * least, weights * most).sum(1) * pool
    return low, high


def _fires_once(network: IntegerNetwork, source: int) -> bool:
    """Whether each address of a layer or the input sends at most one event in an inference."""
    if source == INPUT:
        return network.input_kind != "events"
    return network.layers[source].neuron.single_spike


def _assumption(network: IntegerNetwork, index: int, once: bool) -> str:
    if index == 0 and network.input_kind == "direct":
        return f"each input in {network.in_min}…{network.in_max}"
    if once:
        return "each input at most once an inference"
    layouts = [network.layout_of(branch.source) for branch in network.layers[index].synapses(index)]
    lowest, largest = min(layout.low for layout in layouts), max(layout.high for layout in layouts)
    return f"each input {f'in {lowest}…' if lowest < 0 else 'at most '}{largest} a step"


class _OnceBound:
    """Bounds on v if each input address spikes at most once in an inference.

    Let P be the positive parts of all that was added to v so far (v_init, biases, weights), Q the negative parts.
    Without leak, clamp and reset, v is v_init + biases + a sum over a subset of the weights, whatever the steps are.
    Otherwise −Q ≤ v ≤ P still holds, by induction over the operations:

    - adding d: P grows by max(d, 0), Q by max(−d, 0);
    - leak: 0 ≤ floor(λv) ≤ v for v ≥ 0, and v ≤ floor(λv) ≤ 0 for whole v < 0, as 0 ≤ λ ≤ 1; rounded toward 0, too;
    - clamps with v_min ≤ 0 ≤ v_max move v towards 0, or not at all;
    - a reset that leaves v ≥ min(v_init, 0) keeps v ≥ −Q, and one that leaves v no higher than the threshold that it
      reached keeps v ≤ P. A reset that subtracts leaves the least v if v was at a threshold itself; this does not hold
      if a leak or clamp may come between firing and a delayed reset.

    Where a condition fails, that side is not bounded.
    """

    def __init__(self, layer: Layer, negative: np.ndarray, positive: np.ndarray):
        neuron = layer.neuron
        self._offset = neuron.first_theta
        self._bias_once = neuron.bias_once
        init, bias = np.asarray(neuron.v_init, dtype=np.int64), np.asarray(neuron.bias, dtype=np.int64)
        after = neuron.after_reset
        self._bounds_low = np.ones(layer.channels, dtype=bool)
        self._bounds_high = np.ones(layer.channels, dtype=bool)
        if not neuron.leaky and not neuron.clamped and after is None:
            self._init_low = self._init_high = init
            self._bias_low = self._bias_high = bias
        else:
            self._init_low, self._init_high = np.minimum(init, 0), np.maximum(init, 0)
            self._bias_low, self._bias_high = np.minimum(bias, 0), np.maximum(bias, 0)
            if neuron.v_min is not None and neuron.v_min > 0:
                self._bounds_high[:] = False
            if neuron.v_max is not None and neuron.v_max < 0:
                self._bounds_low[:] = False
            if after is not None:
                self._bounds_low &= (after >= np.minimum(init, 0)[:, None]).all(1)
                self._bounds_high &= (after <= np.asarray(neuron.theta)).all(1)
                if neuron.reset == "subtract" and neuron.reset_delay and (neuron.leaky or neuron.clamped):
                    self._bounds_low[:] = False
        self._negative, self._positive = negative, positive

    @property
    def constant(self) -> bool:
        """Whether the bound is the same in every step."""
        return self._bias_once or not (self._bias_low.any() or self._bias_high.any())

    def intersect(self, step: int, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Narrow an interval of u before, during or after the events of a step, whose bias has been added."""
        biases = 1 if self._bias_once else step + 1
        lowest = self._init_low + biases * self._bias_low + self._negative - self._offset
        highest = self._init_high + biases * self._bias_high + self._positive - self._offset
        return (
            np.where(self._bounds_low, np.maximum(low, lowest), low),
            np.where(self._bounds_high, np.minimum(high, highest), high),
        )
