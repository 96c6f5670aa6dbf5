# SPDX-License-Identifier: MIT
"""Microcode: the end-of-step update of neurons as passes of the adder that also integrates.

A core stores u = v − theta, so that the sign bit is the comparison: a neuron fires where u ≥ 0. An event takes one pass
over all rows that adds a row of weights; a step marker takes a list of passes. Each pass is one `RowOp`. Hardware
executes the list, the timing model counts it, and the width proof runs it on intervals.

A layer with a direct input has a second number for each neuron, its current. Events add to the current, and every step
adds the current to u. A layer with a pool of currents has it, too: events add to sums, and markers take the largest sum
of each window as the current.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from .fixed import shortest_leak
from .network import IntegerNetwork, Layer
from .neuron import Neuron

__all__ = [
    "BIAS_ROWS_MAX", "Microcode", "RowOp", "bias_rows", "has_constant_bias", "microcode_of", "microcodes_of",
]

BIAS_ROWS_MAX = 16

When = Literal["always", "spiked", "negative", "nonnegative"]


@dataclass(frozen=True, kw_only=True, eq=False)
class RowOp:
    """One pass over all rows: u ← act(u, operand) for the neurons where ``when`` holds; all others keep u.

    ``act``: "add" (u + operand, then an arithmetic shift right by one if ``halve``), "clear" (0),
    "init" (the first value of an inference; the current becomes 0), "save" (shadow ← u, u ← 0), "load" (the operand),
    "max" (the larger of the number and the operand).
    ``store``: the number that the pass changes, the "membrane" u, the "current", or the "sum" that an event reaches.
    ``operand``: "weight" (row ``index`` of the bias rows), "constant" (int64[C], ``values``), "current",
    "fall" (``values``[t] at the end of step t), "leak" (~(u >> ``index``)), "shadow", "sum" (tap ``index`` of the
    window, row by row of its kernel; the last pass that takes a sum clears it) or "zero".
    ``channels``: bool[C], those to which "leak" or "shadow" is added, and 0 to all others; None: to all.
    ``when``: "spiked" holds where this step's spike has at least magnitude ``level``; "negative" and "nonnegative" test
    u itself.
    """

    act: Literal["add", "clear", "init", "load", "max", "save"]
    operand: Literal["weight", "constant", "current", "fall", "leak", "shadow", "sum", "zero"] = "zero"
    index: int = 0
    values: np.ndarray | None = None
    when: When = "always"
    level: int = 1
    store: Literal["membrane", "current", "sum"] = "membrane"
    halve: bool = False
    channels: np.ndarray | None = None
    settle: bool = False
    """The operand is a number that the previous pass wrote; if there is only one row, the core waits a cycle between
    them."""

    def __post_init__(self) -> None:
        if (self.values is not None) != (self.operand in ("constant", "fall")):
            raise ValueError(f"operand {self.operand!r}: values must be given for 'constant' and 'fall', and no other")
        if self.channels is not None and self.operand not in ("leak", "shadow"):
            raise ValueError(f"operand {self.operand!r}: channels must be given for 'leak' and 'shadow' only")


@dataclass(frozen=True, kw_only=True, eq=False)
class Microcode:
    """The passes that a core runs for each token: event (``event``), step marker (``step``), end of inference
    (``final``).

    ``start`` runs before ``step`` or ``final`` at the first marker of an inference; at every marker if ``recurs``. The
    first pass of ``step`` and of ``final`` captures the spikes. ``step`` is empty if no inference has a second step.

    ``offset`` int64[C]: u = v − offset. ``init`` int64[C]: u before the bias of step 0. ``levels`` int64[C, n]: the
    magnitude of a spike is the number of levels that u reaches; None: the layer never fires.
    """

    offset: np.ndarray
    init: np.ndarray
    levels: np.ndarray | None
    event: RowOp
    start: tuple[RowOp, ...]
    step: tuple[RowOp, ...]
    final: tuple[RowOp, ...]
    recurs: bool = False

    @property
    def passes(self) -> tuple[RowOp, ...]:
        """All passes in the order of their numbers: that of ``event``, then those of ``start``, ``step`` and
        ``final``."""
        return (self.event, *self.start, *self.step, *self.final)

    @property
    def has_current(self) -> bool:
        """Whether each neuron has a current beside its membrane."""
        return any(op.store == "current" for op in self.passes)

    @property
    def pools(self) -> bool:
        """Whether events add to sums, the largest of which in a window is the current."""
        return self.event.store == "sum"

    @property
    def pure_weights(self) -> bool:
        """Whether every operand comes from the weight memory, so that the operand register needs no multiplexer."""
        return all(op.operand in ("weight", "zero") for op in self.passes)


def bias_rows(layer: Layer) -> np.ndarray:
    """Rows of weights that add up to the bias, int64[B, C], B ≥ 1; each fits the layer's weight bits.

    A bias is stored as the weight of an input that spikes in every step; a bias that does not fit is spread over
    several rows. The result is one row of zeros if the bias is not in the rows: it is a constant (`has_constant_bias`),
    or it is added once.
    """
    limit = _largest_weight(layer)
    left = np.asarray(layer.neuron.bias)
    if layer.neuron.bias_once or has_constant_bias(layer):
        left = np.zeros(layer.channels, dtype=np.int64)
    rows = []
    while True:
        rows.append(np.clip(left, -limit, limit))
        left = left - rows[-1]
        if not left.any():
            return np.array(rows)


def has_constant_bias(layer: Layer) -> bool:
    """Whether a bias of every step would need more than `BIAS_ROWS_MAX` rows of weights; it is then a constant of the
    RTL.

    The bias of a first layer with a direct input is often that large, because its unit is that of a grey level.
    """
    largest = BIAS_ROWS_MAX * _largest_weight(layer)
    return not layer.neuron.bias_once and bool((np.abs(layer.neuron.bias) > largest).any())


def _largest_weight(layer: Layer) -> int:
    return (1 << (layer.weight_bits - 1)) - 1


def microcodes_of(network: IntegerNetwork) -> tuple[Microcode, ...]:
    """The microcode of every layer, in order."""
    return tuple(
        microcode_of(layer, static=network.is_static(index), steps_max=network.longest)
        for index, layer in enumerate(network.layers)
    )


def microcode_of(layer: Layer, *, static: bool = False, steps_max: int | None = None) -> Microcode:
    """The microcode of a layer: passes on u = v − theta that do exactly what `Neuron` defines for v.

    ``static``: the synapses give the same current in every step. ``steps_max``: longest inference, if known. If it is
    1, no state is carried over, so there is no leak, reset or clamp.
    """
    neuron = layer.neuron
    theta = neuron.first_theta
    biases = bias_rows(layer)
    pool = layer.current_pool
    store = "current" if static else "membrane"
    bias_ops = tuple(
        RowOp(act="add", operand="weight", index=k, store=store) for k in range(len(biases)) if biases[k].any())
    if has_constant_bias(layer):
        bias_ops = (RowOp(act="add", operand="constant", values=np.asarray(neuron.bias), store=store),)
    init = (np.asarray(neuron.v_init, dtype=np.int64) * neuron.leak_num) >> neuron.leak_shift
    if neuron.bias_once:
        init = init + neuron.bias
    adds = (RowOp(act="add", operand="current"),) if static else bias_ops
    step: tuple[RowOp, ...] = ()
    if steps_max != 1:
        if neuron.theta_fall is not None:
            adds = (RowOp(act="add", operand="fall", values=np.diff(neuron.theta_fall)),)
        step = (*_update(neuron, theta, layer.channels), *adds)
        if not step:
            step = (RowOp(act="add", operand="weight", index=0),)  # a row of zeros: the pass that captures
    start: tuple[RowOp, ...] = ()
    if static or pool is not None:
        start = (RowOp(act="add", operand="current", settle=True),)
    final = (RowOp(act="init"), *bias_ops)
    if pool is not None:
        taps = tuple(RowOp(act="max" if tap else "load", operand="sum", index=tap, store="current")
                     for tap in range(pool.kernel[0] * pool.kernel[1]))
        # The first tap replaces the current, so a bias that is a part of it comes behind the taps.
        start = (*taps, *bias_ops, *start) if static else (*taps, *start)
        final = final[:1] if static else final
    return Microcode(
        offset=theta, init=init - theta, levels=None if neuron.theta is None else neuron.theta - theta[:, None],
        event=RowOp(act="add", operand="weight", store=store if pool is None else "sum"),
        start=start, step=step, final=final, recurs=pool is not None and not static,
    )


def _update(neuron: Neuron, theta: np.ndarray, count: int):
    """Yield the passes of reset, clamp and leak, which start and end with u = v − theta; none if there is nothing to
    do."""
    # A neuron that fires once is silent afterwards: its reset changes nothing that can be seen.
    fires_again = neuron.theta is not None and not neuron.single_spike
    reset = neuron.reset if fires_again else "none"
    step = theta if neuron.reset_step is None else np.asarray(neuron.reset_step, dtype=np.int64)
    # One threshold after the other, as often as the magnitude says.
    subtract = [RowOp(act="add", operand="constant", values=-step, when="spiked", level=level)
                for level in range(1, neuron.levels + 1)]
    clear = RowOp(act="clear", when="spiked")
    if reset == "subtract" and not neuron.leaky and not neuron.clamped:
        yield from subtract
        return
    if reset == "none" and not neuron.leaky and not neuron.clamped:
        return
    ops: list[RowOp] = []
    pending = theta.copy()  # to be added everywhere before a pass that needs v itself

    def flush() -> None:
        nonlocal pending
        if pending.any() or not ops:
            ops.append(RowOp(act="add", operand="constant", values=pending))
        pending = np.zeros(count, dtype=np.int64)

    def apply_reset() -> None:
        nonlocal pending
        if reset == "subtract":
            ops.extend(subtract)
        elif reset == "zero":
            # Shift to v − v_reset, which the reset sets to 0; as with clamps, the shift needs no pass of its own.
            value = np.zeros(count, dtype=np.int64) if neuron.v_reset is None else neuron.v_reset
            pending -= value
            flush()
            ops.append(clear)
            pending += value

    if not neuron.reset_delay:
        apply_reset()
    if neuron.v_min is not None:
        pending -= neuron.v_min
        flush()
        ops.append(RowOp(act="clear", when="negative"))
        pending += neuron.v_min
    if neuron.v_max is not None:
        pending -= neuron.v_max
        flush()
        ops.append(RowOp(act="clear", when="nonnegative"))
        pending += neuron.v_max
    num, shift = shortest_leak(np.broadcast_to(neuron.leak_num, count), neuron.leak_shift)
    leaks = num != 1 << shift
    if not num.any():
        flush()
        ops.append(RowOp(act="clear"))
    elif neuron.leaky and (num[leaks] == (1 << shift) - 1).all() and shift:
        # v − ceil(v/2^k) = x + 1 + ~(x >> k) with x = v − 1
        pending -= leaks
        flush()
        ops.append(RowOp(act="add", operand="leak", index=shift, channels=_some(leaks), settle=True))
        pending += leaks
    elif neuron.leaky:
        # Horner from the lowest digit: floors of floors are exact, so after `shift` halvings u = (v·num) >> shift, but
        # for the channels without a leak, of which only the last digit is 1.
        flush()
        ops.append(RowOp(act="save"))
        for digit in range(shift + (not leaks.all())):
            ones = num >> digit & 1 == 1
            ops.append(RowOp(act="add", operand="shadow" if ones.any() else "zero", channels=_some(ones),
                             halve=digit < shift, settle=digit == 0))
    if neuron.reset_delay:
        apply_reset()
    pending -= theta
    flush()
    yield from ops


def _some(channels: np.ndarray) -> np.ndarray | None:
    """The channels, bool[C], as `RowOp` takes them: None for all, or for none, where the operand is 0."""
    return None if channels.all() or not channels.any() else channels
