# SPDX-License-Identifier: MIT
"""Microcode: the end-of-step update of neurons as passes of the adder that also integrates.

A core stores u = v − theta, so that the sign bit is the comparison: a neuron fires where u ≥ 0. An event takes one pass
over all rows that adds a row of weights; a step marker takes a list of passes. Each pass is one `RowOp`. Hardware
executes the list, the timing model counts it, and the width proof runs it on intervals.

A layer with a direct input has a second number for each neuron, its current. Events add to the current, and every step
adds the current to u. A layer with a pool of currents has it, too: events add to sums, and markers take the largest sum
of each window as the current.

A layer whose currents last has a trace for each neuron: i of `NeuronDescription`. Events add to the trace; of a direct
input, or with a pool, the current does, in a pass. A pass adds the trace to u, and the leak of the trace is done beside
such a pass and those behind it, by an adder of its own.

A layer whose thresholds adapt has a rise for each neuron: a of `NeuronDescription`, which is never negative. The
capturing pass compares u with it. Its leak, and what spikes add to it, are done beside the passes of a step, by an
adder of its own.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from .fixed import leaked, shortest_leak
from .network import IntegerNetwork, Layer
from .neuron import Neuron

__all__ = [
    "BIAS_ROWS_MAX", "Microcode", "RowOp", "bias_rows", "has_constant_bias", "microcode_of", "microcodes_of",
]

BIAS_ROWS_MAX = 16

When = Literal["never", "spiked", "negative", "nonnegative", "always"]


@dataclass(frozen=True, kw_only=True, eq=False)
class RowOp:
    """One pass over all rows: u ← act(base + operand), where base is ``base`` in the neurons for which ``when`` holds,
    and u in all others.

    ``act``: "add" (the sum), "save" (shadow ← the sum; u ← 0 unless ``halve``), "init" (as "add", the first of an
    inference: the current becomes `Microcode.current`, and the trace 0), "load" (the operand), "max" (the larger of the
    number and the operand). With ``halve``, an arithmetic shift right by one follows; with ``toward_zero``, it rounds
    toward 0.
    ``store``: the number that the pass changes, the "membrane" u, the "current", the "trace", the "rise", or the "sum"
    that an event reaches. Trace and rise have a shadow of their own.
    ``operand``: "weight" (row ``index`` of the bias rows), "constant" (``values``, int64[C], or int64[L + 1, C] by the
    magnitude 0…L of this step's spike), "current", "decay" (−number / 2^``index`` rounded down, of the trace or rise;
    with ``toward_zero``, away from 0), "fall" (``values``[t] at the end of step t), "leak" (~(u >> ``index``); with
    ``toward_zero``, as "decay" of u), "rise" (−1 − rise where this step's spike has a magnitude, 0 elsewhere),
    "shadow", "sum" (tap ``index`` of the window, row by row of its kernel; the last pass that takes a sum clears it),
    "trace" or "zero".
    ``channels``: bool[C], those to which "leak", "decay" or "shadow" is added, and 0 to all others; None: to all.
    ``when``: "spiked" holds where this step's spike has a magnitude; "negative" and "nonnegative" test u itself.
    ``base``: int64[C].
    ``beside``: a pass over the trace at the same time, whose operand is "decay", "shadow" or "zero"; as an operand, the
    trace is that of before.
    ``rising``: a pass over the rise at the same time, whose operand is "decay", "shadow", "constant" or "zero"; as an
    operand, and for the comparison, the rise is that of before.
    """

    act: Literal["add", "init", "load", "max", "save"]
    operand: Literal[
        "weight", "constant", "current", "decay", "fall", "leak", "rise", "shadow", "sum", "trace", "zero"] = "zero"
    index: int = 0
    values: np.ndarray | None = None
    when: When = "never"
    base: np.ndarray | None = None
    store: Literal["membrane", "current", "rise", "sum", "trace"] = "membrane"
    halve: bool = False
    channels: np.ndarray | None = None
    toward_zero: bool = False
    beside: "RowOp | None" = None
    rising: "RowOp | None" = None
    settle: bool = False
    """The operand depends on what the previous pass wrote; if there is only one row, the core waits a cycle between
    them."""

    def __post_init__(self) -> None:
        if (self.values is not None) != (self.operand in ("constant", "fall")):
            raise ValueError(f"operand {self.operand!r}: values must be given for 'constant' and 'fall', and no other")
        if self.channels is not None and self.operand not in ("leak", "decay", "shadow"):
            raise ValueError(f"operand {self.operand!r}: channels must be given for 'leak', 'decay' and 'shadow' only")
        if (self.base is None) != (self.when == "never"):
            raise ValueError(f"when {self.when!r}: base must be given unless when is 'never'")

    def halved(self, total: np.ndarray) -> np.ndarray:
        """Half of a sum, rounded as the pass does."""
        return (total + (self.toward_zero & (total < 0))) >> 1

    def leak_of(self, u: np.ndarray) -> np.ndarray:
        """The operand "leak", or "decay" of the trace, without ``channels``; u + operand never decreases with u, if
        ``index`` ≥ 1, or it is "decay"."""
        if not self.toward_zero:
            return -u >> self.index if self.operand == "decay" else ~(u >> self.index)
        return np.where(u < 0, -(u >> self.index), -u >> self.index)

    @property
    def by_level(self) -> bool:
        """Whether the operand is a constant that depends on the magnitude of this step's spike."""
        return self.operand == "constant" and self.values is not None and self.values.ndim == 2

    @property
    def asks_spikes(self) -> bool:
        """Whether the pass depends on this step's spikes."""
        return self.by_level or self.when == "spiked" or self.operand == "rise"


@dataclass(frozen=True, kw_only=True, eq=False)
class Microcode:
    """The passes that a core runs for each token: event (``event``), step marker (``step``), end of inference
    (``final``).

    ``start`` runs before ``step`` or ``final`` at the first marker of an inference; at every marker if ``recurs``. The
    first pass of ``step`` and of ``final`` captures the spikes. ``step`` is empty if no inference has a second step.

    ``offset`` int64[C]: u = v − offset. ``current`` int64[C]: the current before the events of an inference, which
    includes what every step adds. ``levels`` int64[C, n]: the magnitude of a spike is the number of levels that u
    reaches; None: the layer never fires.
    """

    offset: np.ndarray
    current: np.ndarray
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
    def init(self) -> np.ndarray:
        """u at the beginning of an inference, before the bias of step 0, int64[C]."""
        first = self.final[0].base
        assert first is not None
        return first

    @property
    def has_current(self) -> bool:
        """Whether each neuron has a current beside its membrane."""
        return any(op.store == "current" for op in self.passes)

    @property
    def has_trace(self) -> bool:
        """Whether each neuron has a trace beside its membrane."""
        return any(op.store == "trace" for op in self.passes)

    @property
    def trace_leak(self) -> tuple[RowOp, ...]:
        """The passes over the trace in which it leaks, in their order."""
        takes = [op.beside for op in (*self.start, *self.step) if op.operand == "trace"][:1]
        others = [op.beside for op in self.step if op.operand != "trace"]
        return tuple(op for op in (*takes, *others) if op is not None)

    @property
    def has_rise(self) -> bool:
        """Whether each neuron has a rise of its thresholds beside its membrane."""
        return bool(self.rise_passes)

    @property
    def rise_passes(self) -> tuple[RowOp, ...]:
        """The passes over the rise in a step, in their order."""
        return tuple(op.rising for op in self.step if op.rising is not None)

    @property
    def asking(self) -> tuple[RowOp, ...]:
        """The passes, over any number, that ask for this step's spikes after the one that captures them."""
        return tuple(one for op in self.step[1:] for one in (op, op.rising) if one is not None and one.asks_spikes)

    @property
    def pools(self) -> bool:
        """Whether events add to sums, the largest of which in a window is the current."""
        return self.event.store == "sum"

    @property
    def pure_weights(self) -> bool:
        """Whether every operand comes from the weight memory, so that the operand register needs no multiplexer."""
        # Where the first pass of an inference adds nothing, it sets registers, and does not see the operand.
        return not self.has_trace and all(
            op.operand == "weight" or (op.act == "init" and op.operand == "zero") for op in self.passes)


def bias_rows(layer: Layer) -> np.ndarray:
    """Rows of weights that add up to the bias, int64[B, C], B ≥ 1, in steps of the weights; each fits the layer's
    weight bits.

    A bias is stored as the weight of an input that spikes in every step; a bias that does not fit is spread over
    several rows. The result is one row of zeros if the bias is not in the rows: it is a constant (`has_constant_bias`),
    or it is added once.
    """
    limit = _largest_weight(layer)
    left = np.asarray(layer.neuron.bias) // layer.weight_unit
    if layer.neuron.bias_once or has_constant_bias(layer):
        left = np.zeros(layer.channels, dtype=np.int64)
    rows = []
    while True:
        rows.append(np.clip(left, -limit, limit))
        left = left - rows[-1]
        if not left.any():
            return np.array(rows)


def has_constant_bias(layer: Layer) -> bool:
    """Whether a bias of every step would need more than `BIAS_ROWS_MAX` rows of weights, or fractions of a weight's
    step; it is then a constant of the RTL.

    The bias of a first layer with a direct input is often that large, because its unit is that of a grey level.
    """
    steps, rest = np.divmod(layer.neuron.bias, layer.weight_unit)
    largest = BIAS_ROWS_MAX * _largest_weight(layer)
    return not layer.neuron.bias_once and bool(rest.any() or (np.abs(steps) > largest).any())


def _largest_weight(layer: Layer) -> int:
    return (1 << (layer.weight_bits - 1)) - 1


def microcodes_of(network: IntegerNetwork, *, in_one_row: bool = False) -> tuple[Microcode, ...]:
    """The microcode of every layer, in order; for ``in_one_row`` see `microcode_of`."""
    return tuple(
        microcode_of(layer, static=network.is_static(index), steps_max=network.longest, in_one_row=in_one_row)
        for index, layer in enumerate(network.layers)
    )


@lru_cache(maxsize=64)  # a mapping asks for the same layers again and again
def microcode_of(
    layer: Layer, *, static: bool = False, steps_max: int | None = None, in_one_row: bool = False,
    in_registers: bool = False,
) -> Microcode:
    """The microcode of a layer: passes on u = v − theta that do exactly what `Neuron` defines for v.

    Parameters
    ----------
    static : bool
        The synapses give the same current in every step.
    steps_max : int, optional
        Longest inference, if known. If it is 1, no state is carried over, so there is no leak, reset or clamp.
    in_one_row : bool
        All neurons are in one row of registers (`LayerPlan.in_one_row`). An operand chosen by a spike would wait there
        for the spike, so the subtraction after a binary one is a pass of its own, in which all other neurons keep u.
    in_registers : bool
        All neurons are in rows of registers (`LayerPlan.in_registers`), as they are if they are in one row. The first
        pass of an inference adds no bias there, because flip-flops are then set without a multiplexer.
    """
    neuron, pool, lasts = layer.neuron, layer.current_pool, layer.neuron.lasts
    folds = static and not lasts  # what every step adds is a part of the current
    theta, biases, zeros = neuron.first_theta, bias_rows(layer), np.zeros(layer.channels, dtype=np.int64)
    # A bias of the current is a part of it, or of the trace, if events add to that.
    given = static or pool is not None
    store = "current" if folds else "membrane" if not neuron.current_bias else "current" if given else "trace"
    bias_ops = tuple(
        RowOp(act="add", operand="weight", index=k, store=store) for k in range(len(biases)) if biases[k].any())
    constant = np.asarray(neuron.bias, dtype=np.int64) if has_constant_bias(layer) else zeros
    init = leaked(np.asarray(neuron.v_init, dtype=np.int64), neuron.leak_num, neuron.leak_shift,
                  toward_zero=neuron.leak_toward_zero)
    if neuron.bias_once:
        init = init + neuron.bias
    step: tuple[RowOp, ...] = ()
    every_step = zeros  # what a step adds beside the current, as a part of it
    if steps_max != 1:
        update = _Update(neuron, layer.channels, in_one_row=in_one_row, nothing=_nothing(biases))
        update.run()
        if neuron.theta_fall is not None:
            update.append(RowOp(act="add", operand="fall", values=np.diff(neuron.theta_fall)))
        elif folds:
            every_step = update.take_constant()
            update.append(RowOp(act="add", operand="current"))
        elif store == "membrane":
            update.add(constant)
            update.add_rows(bias_ops)
        step = update.passes()
    first = RowOp(act="init", when="always",
                  base=init - theta + (constant if store == "membrane" else -every_step))
    final = (first,) if store == "trace" else (first, *bias_ops)
    if store == "membrane" and not in_registers and not in_one_row:
        final = (replace(first, operand="weight"), *bias_ops[1:])
    current = constant + every_step if store == "current" else zeros
    start: tuple[RowOp, ...] = ()
    if lasts:
        adds = (RowOp(act="add", operand="current", store="trace"),) * given
        if store == "trace":
            more = RowOp(act="add", operand="constant", values=constant, store="trace")
            adds = (*bias_ops, *((more,) if constant.any() else ()))
        start, step = _take_trace(neuron, layer.channels, step, adds, once=static)
    elif given:
        start = (RowOp(act="add", operand="current", settle=True),)
    if neuron.adapts and step:
        step = _with_rise(neuron, layer.channels, step, RowOp(act="add", **_nothing(biases)))
    if pool is not None:
        taps = tuple(RowOp(act="max" if tap else "load", operand="sum", index=tap, store="current")
                     for tap in range(pool.kernel[0] * pool.kernel[1]))
        if store == "current":
            # The first tap replaces the current, so what else is a part of it comes behind the taps.
            more = RowOp(act="add", operand="constant", values=current, store="current")
            taps, final, current = (*taps, *bias_ops, *((more,) if current.any() else ())), final[:1], zeros
        start = (*taps, *start)
    event = "sum" if pool is not None else "current" if static else "trace" if lasts else "membrane"
    return Microcode(
        offset=theta, current=current, levels=None if neuron.theta is None else neuron.theta - theta[:, None],
        event=RowOp(act="add", operand="weight", store=event),
        start=start, step=step, final=final, recurs=bool(start) and not static,
    )


def _nothing(biases: np.ndarray) -> dict[str, Any]:
    """The operand where nothing is added: the first bias row, if it holds zeros, as all operands may come from the
    weight memory."""
    return {"operand": "zero" if biases[0].any() else "weight"}


def _with_rise(neuron: Neuron, channels: int, step: tuple[RowOp, ...], more: RowOp) -> tuple[RowOp, ...]:
    """Passes of a step in which the rise of the thresholds is compared with, leaks, and gets what spikes add to it;
    with passes ``more`` that do nothing else, if there are too few."""
    num, shift = shortest_leak(np.broadcast_to(np.asarray(neuron.rise_leak_num), channels), neuron.rise_leak_shift)
    idle = RowOp(act="add", store="rise")
    # As an operand, it is that of before the spike, so that nothing may change it in earlier passes.
    before = next((number for number, op in enumerate(step) if op.operand == "rise"), 0)
    ops = [*[idle] * before, *_leak_beside(num, shift, toward_zero=False, store="rise")]
    ops += [idle] * (not ops)  # the spike is remembered only in passes behind the one that captures it
    adds = np.arange(neuron.levels + 1)[:, None] * np.asarray(neuron.theta_rise, dtype=np.int64)
    ops.append(RowOp(act="add", operand="constant", values=adds, store="rise"))
    passes = (*step, *(more,) * (len(ops) - len(step)))
    return tuple(replace(one, rising=ops[number] if number < len(ops) else None) for number, one in enumerate(passes))


def _take_trace(
    neuron: Neuron, channels: int, step: tuple[RowOp, ...], adds: tuple[RowOp, ...], *, once: bool,
) -> tuple[tuple[RowOp, ...], tuple[RowOp, ...]]:
    """Passes of the start and of a step in which membranes take their trace, and the trace leaks, around the passes
    ``step`` of all else.

    Parameters
    ----------
    adds : tuple of RowOp
        Passes in which the current adds to the trace, in place of events, or a bias does.
    once : bool
        The passes of the start run once an inference.
    """
    first, *others = _trace_leak(neuron, channels) or (None,)
    takes = RowOp(act="add", operand="trace", beside=first)
    if neuron.current_delay:
        rest = _beside((), others)
        # At the end of the step, so that the next one finds it on the membrane.
        if once:
            return (), step and (*step, *adds, takes, *rest)
        return adds, step and (*step, takes, *rest)
    start = tuple(replace(op, settle=op.operand == "current") for op in adds)
    if step:
        step = (*_beside(step, others), *((*adds, takes) if once else ()))
    return (*start, takes), step


def _beside(passes: tuple[RowOp, ...], ops: list[RowOp]) -> tuple[RowOp, ...]:
    """The passes with ``ops`` on the trace beside them, one each; with more passes if there are too few."""
    more = max(0, len(ops) - len(passes))
    passes = (*passes, *(RowOp(act="add"),) * more)
    return (*(replace(one, beside=op) for one, op in zip(passes, ops, strict=False)), *passes[len(ops):])


def _trace_leak(neuron: Neuron, channels: int) -> tuple[RowOp, ...]:
    """Passes over the trace in which it leaks."""
    num, shift = shortest_leak(np.broadcast_to(np.asarray(neuron.current_leak_num), channels),
                               neuron.current_leak_shift)
    return _leak_beside(num, shift, toward_zero=neuron.leak_toward_zero, store="trace")


def _leak_beside(num: np.ndarray, shift: int, *, toward_zero: bool, store: Literal["trace", "rise"]) -> tuple[
        RowOp, ...]:
    """Passes over a number beside the membrane in which it leaks to num / 2^shift, for num int64[C], as membranes do in
    `_Update`; with 1 − 2^−k, it need not be moved before and after."""
    leaks = num != 1 << shift
    if not leaks.any():
        return ()
    if (num[leaks] == (1 << shift) - 1).all():
        return (RowOp(act="add", operand="decay", index=shift, channels=_some(leaks), store=store,
                      toward_zero=toward_zero),)
    return _horner(num, shift, toward_zero=toward_zero, store=store)


def _horner(num: np.ndarray, shift: int, *, toward_zero: bool, **first: Any) -> tuple[RowOp, ...]:
    """Passes of x ← x·num / 2^shift, for num int64[C]; ``first`` are options of the first, which saves x.

    Horner from the lowest digit: floors of floors are exact, so after ``shift`` halvings x = (x·num) >> shift, but for
    the channels without a leak, of which only the last digit is 1. Roundings toward 0 are, too: a number and what is
    added to it have one sign, by which the sum is rounded. That is not known of the sum that is saved.
    """
    odd = bool((num & 1).all()) and not toward_zero  # the lowest digit then needs no pass of its own
    ops = [RowOp(act="save", halve=odd, **first)]
    for digit in range(odd, shift + int((num == 1 << shift).any())):
        ones = num >> digit & 1 == 1
        ops.append(RowOp(
            act="add", operand="shadow" if ones.any() else "zero", channels=_some(ones), halve=digit < shift,
            toward_zero=toward_zero and digit < shift, settle=digit == odd, store=ops[0].store))
    return tuple(ops)


class _Update:
    """Passes of a step: reset, clamp and leak of `Neuron`, then what is added in every step.

    Constants are not added by passes of their own. They are collected in the open pass, which is closed by the first
    operation that needs its result.

    Parameters
    ----------
    neuron : Neuron
    channels : int
    in_one_row : bool
        See `microcode_of`.
    nothing : dict
        The operand where nothing is added, see `_nothing`.
    """

    def __init__(self, neuron: Neuron, channels: int, *, in_one_row: bool, nothing: dict[str, Any]):
        self._neuron, self._in_one_row, self._nothing = neuron, in_one_row, nothing
        self._zeros = np.zeros((neuron.levels + 1, channels), dtype=np.int64)  # for each magnitude of the spike
        self._ops: list[RowOp] = []
        self._open: dict[str, Any] = {}
        self._constant = self._zeros

    def run(self) -> None:
        """Append the passes of reset, clamp and leak, which start and end with u = v − theta."""
        neuron, theta = self._neuron, self._neuron.first_theta
        self.add(theta)
        if not neuron.reset_delay:
            self._reset()
        clamps: tuple[tuple[int | None, When], ...] = (neuron.v_min, "negative"), (neuron.v_max, "nonnegative")
        for bound, beyond in clamps:
            if bound is not None:
                self.add(-bound)
                self._replace(beyond)
                self.add(bound)
        if neuron.leaky:
            self._leak()
        if neuron.reset_delay:
            self._reset()
        self.add(-theta)

    def add(self, values: np.ndarray | int) -> None:
        """Add constants to the neurons of each channel, int64[C], which may depend on the magnitude of the spike."""
        self._constant = self._constant + values

    def append(self, *ops: RowOp) -> None:
        """Append passes that need the result of those before."""
        self._close()
        self._ops.extend(ops)

    def add_rows(self, ops: tuple[RowOp, ...]) -> None:
        """Append passes that add rows of weights. A pass that adds nothing adds the first of them."""
        self._close()
        last = self._ops[-1] if self._ops else None
        if ops and last and last.act == "add" and last.operand == "zero" and not last.halve and not self._in_one_row:
            self._ops[-1] = replace(last, operand="weight", index=ops[0].index)
            ops = ops[1:]
        self._ops.extend(ops)

    def take_constant(self) -> np.ndarray:
        """Return the constants at the end, int64[C], to be added elsewhere; 0 if they belong to a pass."""
        if self._open or self._by_level():
            self._close()
        taken, self._constant = self._constant[0], self._zeros
        return taken

    def passes(self) -> tuple[RowOp, ...]:
        """All passes, at least the one that captures."""
        self._close()
        return tuple(self._ops) or (RowOp(act="add", **self._nothing),)

    def _by_level(self) -> bool:
        return bool((self._constant != self._constant[0]).any())

    def _operand(self) -> dict[str, Any]:
        """Take the constants as the operand of a pass, with the rest of the open pass."""
        options, values, by_level = self._open, self._constant, self._by_level()
        self._open, self._constant = {}, self._zeros
        if options.get("when") == "always" and not by_level:
            options, values = {**options, "base": options["base"] + values[0]}, self._zeros
        if not values.any():
            return {**options, **self._nothing}
        # The spike is known when its row is captured, which the first pass does, and remembered afterwards.
        return {**options, "operand": "constant", "values": values if by_level else values[0],
                "settle": by_level and len(self._ops) < 2}

    def _close(self) -> None:
        if self._open or self._constant.any():
            self._ops.append(RowOp(act="add", **self._operand()))

    def _replace(self, when: When) -> None:
        """Set u to 0 where ``when`` holds."""
        if when == "always":
            self._ops, self._open, self._constant = [], {}, self._zeros  # nothing before is seen
        elif self._open or (when != "spiked" and self._constant.any()):
            self._close()
        self._open = {"when": when, "base": -self._constant[0]}

    def _reset(self) -> None:
        neuron = self._neuron
        if neuron.theta is None or neuron.single_spike or neuron.reset == "none":
            return  # a neuron that fires once is silent afterwards: its reset changes nothing that can be seen
        if neuron.reset == "zero":
            value = 0 if neuron.v_reset is None else neuron.v_reset
            self.add(-value)
            self._replace("spiked")
            self.add(value)
            return
        step = neuron.first_theta if neuron.reset_step is None else np.asarray(neuron.reset_step, dtype=np.int64)
        # The operand "rise" takes the rise and 1.
        subtracted = -np.arange(neuron.levels + 1)[:, None] * (step - neuron.reset_rise)
        if self._in_one_row and self._open:
            self._close()  # the sum is replaced there, by one that the spike does not choose
        if not self._in_one_row or neuron.levels > 1:
            self.add(subtracted)
        elif subtracted.any():
            self._ops.append(RowOp(act="add", operand="constant", values=subtracted))
        if neuron.reset_rise:
            if not self._in_one_row:
                self._close()  # a constant that the spike chooses
            if not self._ops:  # the rise is known when the row is captured
                self._ops.append(RowOp(act="add", **self._nothing))
            self._ops.append(RowOp(act="add", operand="rise"))

    def _leak(self) -> None:
        neuron, toward_zero = self._neuron, self._neuron.leak_toward_zero
        num, shift = shortest_leak(np.broadcast_to(neuron.leak_num, self._zeros.shape[1]), neuron.leak_shift)
        leaks = num != 1 << shift
        if not num.any():
            self._replace("always")
        elif (num[leaks] == (1 << shift) - 1).all() and shift and toward_zero:
            self.append(RowOp(act="add", operand="leak", index=shift, channels=_some(leaks), toward_zero=True))
        elif (num[leaks] == (1 << shift) - 1).all() and shift:
            # v − ceil(v/2^k) = x + 1 + ~(x >> k) with x = v − 1
            self.add(-leaks.astype(np.int64))
            self.append(RowOp(act="add", operand="leak", index=shift, channels=_some(leaks)))
            self.add(leaks)
        else:
            self._ops += _horner(num, shift, toward_zero=toward_zero, **self._operand())


def _some(channels: np.ndarray) -> np.ndarray | None:
    """The channels, bool[C], as `RowOp` takes them: None for all, or for none, where the operand is 0."""
    return None if channels.all() or not channels.any() else channels
