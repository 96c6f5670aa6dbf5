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
from typing import Any

import numpy as np

from .beside_passes import with_rise, with_trace
from .bias_rows import bias_rows, has_constant_bias
from .fixed import leaked
from .layer import Layer
from .network import IntegerNetwork
from .row_op import RowOp, Store
from .update_passes import UpdatePasses

__all__ = ["Microcode", "RowOp", "microcode_of", "microcodes_of"]


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
    def leak_products(self) -> dict[Store, RowOp]:
        """The pass in which a leak is a multiplication, for each number that has such a leak."""
        found = [one for op in self.passes for one in (op, op.beside, op.rising)]
        return {one.store: one for one in found if one is not None and one.operand == "product"}

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


def microcodes_of(
    network: IntegerNetwork, *, in_one_row: bool = False, multiplies_leaks: bool = False,
) -> tuple[Microcode, ...]:
    """The microcode of every layer, in order; for the options see `microcode_of`."""
    return tuple(
        microcode_of(layer, static=network.is_static(index), steps_max=network.longest, in_one_row=in_one_row,
                     multiplies_leaks=multiplies_leaks)
        for index, layer in enumerate(network.layers)
    )


@lru_cache(maxsize=64)  # a mapping asks for the same layers again and again
def microcode_of(
    layer: Layer, *, static: bool = False, steps_max: int | None = None, in_one_row: bool = False,
    in_registers: bool = False, multiplies_leaks: bool = False,
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
    multiplies_leaks : bool
        A leak that takes several passes is a multiplication in one (`LayerOptions.multiplies_leaks`).
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
        update = UpdatePasses(neuron, layer.channels, in_one_row=in_one_row, multiplies_leaks=multiplies_leaks,
                              nothing=_nothing(biases))
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
        start, step = with_trace(neuron, layer.channels, step, adds, once=static, multiplies_leaks=multiplies_leaks)
    elif given:
        start = (RowOp(act="add", operand="current", settle=True),)
    if neuron.adapts and step:
        step = with_rise(neuron, layer.channels, step, RowOp(act="add", **_nothing(biases)),
                         multiplies_leaks=multiplies_leaks)
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
