# SPDX-License-Identifier: MIT
"""The passes over numbers beside the membrane: the trace of lasting currents, and the rise of adaptive thresholds."""

from dataclasses import replace

import numpy as np

from .leak_passes import leak_beside
from .neuron import Neuron
from .row_op import RowOp

__all__ = ["with_rise", "with_trace"]


def with_trace(
    neuron: Neuron, channels: int, step: tuple[RowOp, ...], adds: tuple[RowOp, ...], *, once: bool,
    multiplies_leaks: bool,
) -> tuple[tuple[RowOp, ...], tuple[RowOp, ...]]:
    """Passes of the start and of a step in which membranes take their trace, and the trace leaks, around the passes
    ``step`` of all else.

    Parameters
    ----------
    adds : tuple of RowOp
        Passes in which the current adds to the trace, in place of events, or a bias does.
    once : bool
        The passes of the start run once an inference.
    multiplies_leaks : bool
        See `microcode_of`.
    """
    first, *others = leak_beside(
        neuron.current_leak_num, neuron.current_leak_shift, channels, toward_zero=neuron.leak_toward_zero,
        store="trace", multiplies=multiplies_leaks) or (None,)
    takes, more = RowOp(act="add", operand="trace", beside=first), RowOp(act="add")
    if neuron.current_delay:
        rest = _beside("beside", (), others, more)
        # At the end of the step, so that the next one finds it on the membrane.
        if once:
            return (), step and (*step, *adds, takes, *rest)
        return adds, step and (*step, takes, *rest)
    start = tuple(replace(op, settle=op.operand == "current") for op in adds)
    if step:
        step = (*_beside("beside", step, others, more), *((*adds, takes) if once else ()))
    return (*start, takes), step


def with_rise(
    neuron: Neuron, channels: int, step: tuple[RowOp, ...], more: RowOp, *, multiplies_leaks: bool,
) -> tuple[RowOp, ...]:
    """Passes of a step in which the rise of the thresholds is compared with, leaks, and gets what spikes add to it;
    with passes ``more`` that do nothing else, if there are too few. For ``multiplies_leaks`` see `microcode_of`."""
    idle = RowOp(act="add", store="rise")
    # As an operand, it is that of before the spike, so that nothing may change it in earlier passes.
    before = next((number for number, op in enumerate(step) if op.operand == "rise"), 0)
    ops = [*[idle] * before, *leak_beside(neuron.rise_leak_num, neuron.rise_leak_shift, channels, toward_zero=False,
                                          store="rise", multiplies=multiplies_leaks)]
    ops += [idle] * (not ops)  # the spike is remembered only in passes behind the one that captures it
    adds = np.arange(neuron.levels + 1)[:, None] * np.asarray(neuron.theta_rise, dtype=np.int64)
    ops.append(RowOp(act="add", operand="constant", values=adds, store="rise"))
    return _beside("rising", step, ops, more)


def _beside(name: str, passes: tuple[RowOp, ...], ops: list[RowOp], more: RowOp) -> tuple[RowOp, ...]:
    """The passes with ``ops`` as their field ``name``, one each; with passes ``more`` if there are too few."""
    passes = (*passes, *(more,) * (len(ops) - len(passes)))
    return (*(replace(one, **{name: op}) for one, op in zip(passes, ops, strict=False)), *passes[len(ops):])
