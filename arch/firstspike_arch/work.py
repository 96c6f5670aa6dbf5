# SPDX-License-Identifier: MIT
"""The work of a core: cycles in which its sequencer is busy with the events and markers of an inference."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .core_spec import CoreSpec
from .microcode import RowOp

__all__ = ["MarkerCycles", "Workload", "event_rows", "marker_cycles", "work_cycles", "workload"]


class MarkerCycles(NamedTuple):
    """Cycles in which the passes of a marker occupy the sequencer: those of ``start`` come before the first marker's of
    an inference, ``step`` is a step marker's, ``final`` the last one's."""

    start: int
    step: int
    final: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Workload:
    """What inferences ask of a layer's core, however it is mapped.

    Parameters
    ----------
    steps : int
        Of each inference.
    events : tuple of int64[B, N]
        Events with effect at each address, in torch's order, for each stream that comes in.
    ones : tuple of int64[B, N]
        Bits that are 1 in the values of these events.
    idle : int64[B]
        Events that are taken without effect: a recurrent layer's own of the last step.
    """

    steps: int
    events: tuple[np.ndarray, ...]
    ones: tuple[np.ndarray, ...]
    idle: np.ndarray


def marker_cycles(core: CoreSpec) -> MarkerCycles:
    """Cycles of a core's markers.

    Each pass visits all rows. Of a single row in registers, a pass whose operand is what the pass before wrote waits
    for one cycle.
    """
    waits = core.plan.rows == 1 and core.plan.in_registers

    def cycles(ops: tuple[RowOp, ...]) -> int:
        return sum(core.plan.rows + (waits and op.settle) for op in ops)

    return MarkerCycles(*(cycles(ops) for ops in (core.microcode.start, core.microcode.step, core.microcode.final)))


def event_rows(core: CoreSpec, place: int) -> np.ndarray:
    """Rows that an event of stream ``place`` visits, one a cycle, by its address in torch's order, int64[N].

    A bit-serial core visits them once for each bit of the event's value that is 1. An event that visits none costs one
    cycle all the same.
    """
    one = core.inputs[place]
    _, _, y_count, x_count = one.walk.visits(one.connectivity.in_shape)
    return y_count * x_count * one.walk.reach


def workload(core: CoreSpec, spikes: Sequence[np.ndarray]) -> Workload:
    """The workload that spikes mean for a core.

    Parameters
    ----------
    spikes : sequence of integer or bool[B, T, N]
        Magnitudes at the input, then of every layer, as the golden model gives them.
    """
    count, steps = spikes[0].shape[:2]
    events, ones, idle = [], [], np.zeros(count, dtype=np.int64)
    for one in core.inputs:
        values = np.abs(np.asarray(spikes[one.source + 1]).astype(np.int64))
        # A count beyond what one event can say becomes several events.
        tokens = -(-values // max(one.layout.high, -one.layout.low))
        if one.recurrent:
            idle += tokens[:, -1].sum(1)
            values, tokens = values[:, :-1], tokens[:, :-1]
        events.append(tokens.sum(1))
        ones.append(np.bitwise_count(values).astype(np.int64).sum(1))
    return Workload(steps=steps, events=tuple(events), ones=tuple(ones), idle=idle)


def work_cycles(core: CoreSpec, load: Workload) -> np.ndarray:
    """Cycles in which a core's sequencer is busy with each inference, int64[B], if nothing of it is dropped.

    It does not count what the sequencer waits: for events, for room behind it, or for a row that is still on its way
    through the core. So it is the least that an inference takes.
    """
    markers = marker_cycles(core)
    cycles = load.idle + markers.start + (load.steps - 1) * markers.step + markers.final
    for place, (events, ones) in enumerate(zip(load.events, load.ones, strict=True)):
        rows = event_rows(core, place)
        cycles = cycles + events @ (rows == 0) + (ones if core.plan.bit_serial else events) @ rows
    return cycles
