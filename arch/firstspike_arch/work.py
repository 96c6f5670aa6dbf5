# SPDX-License-Identifier: MIT
"""Work of a core: the cycles in which its sequencer is busy with the events and markers of an inference."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .backend import IDEAL_MEMORY, MemoryTiming
from .connectivity import Conv2d, size_of
from .core_spec import CoreInput, CoreSpec
from .delaying import delayed
from .merging import BAND_CYCLES
from .program import Program
from .row_op import RowOp

__all__ = [
    "MarkerCycles", "Workload", "drain_cycles", "event_rows", "marker_cycles", "memory_cycles", "quiet_cycles",
    "row_waits", "rows_visited", "spread_workload", "work_cycles", "workload",
]


class MarkerCycles(NamedTuple):
    """Cycles for which the passes of a marker occupy the sequencer.

    ``step`` is for a step marker, ``final`` for the last marker of an inference; ``start`` is for the passes that run
    before those of an inference's first marker only.
    """

    start: int
    step: int
    final: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Workload:
    """The events of B inferences that a layer's core must process, independent of its lanes and banks.

    Parameters
    ----------
    steps : int
        Steps of each inference.
    events : tuple of int64[B, N]
        Number of effective events at each address, in torch's order, for each input stream.
    ones : tuple of int64[B, N]
        Number of bits that are 1 in the values of these events.
    idle : int64[B]
        Number of events taken without effect: those that a recurrent layer sends itself in the last step.
    joined : int64[B]
        Number of events taken together with another one: all but the odd one of each step, if the core takes two at
        once. It is fewer where events do not come in pairs.
    tokens : int64[B]
        Cycles that the longest of the streams takes, at a token a cycle: before any merging, which takes a few more for
        each band of its map.
    present : tuple of bool[B, T, G, H, W]
        Where events are, step by step, for each input stream of a core that skips rows: at which pixels, for each of
        the groups of channels that reach the same rows. Those of all inferences whose mean this is. Empty for other
        cores, and where the steps are not known.
    """

    steps: int
    events: tuple[np.ndarray, ...]
    ones: tuple[np.ndarray, ...]
    idle: np.ndarray
    joined: np.ndarray
    tokens: np.ndarray
    present: tuple[np.ndarray, ...] = ()

    def mean(self) -> "Workload":
        """Return the mean of the inferences, float64, as the only one."""
        events, ones = (tuple(one.mean(0, keepdims=True) for one in some) for some in (self.events, self.ones))
        return Workload(steps=self.steps, events=events, ones=ones, idle=self.idle.mean(keepdims=True),
                        joined=self.joined.mean(keepdims=True), tokens=self.tokens.mean(keepdims=True),
                        present=self.present)


def marker_cycles(core: CoreSpec) -> MarkerCycles:
    """Count the cycles of a core's markers.

    Each pass visits all rows; where rows are skipped, those of a step visit fewer. With a single row in registers, a
    pass whose operand depends on the result of the previous pass waits for one cycle.
    """
    waits = core.plan.in_one_row

    def cycles(ops: tuple[RowOp, ...]) -> int:
        return sum(core.plan.rows + (waits and op.settle) for op in ops)

    code = core.microcode
    start, step, final = (cycles(ops) for ops in (code.start, code.step, code.final))
    if code.recurs:
        return MarkerCycles(start=0, step=start + step, final=start + final)
    return MarkerCycles(start=start, step=step, final=final)


def event_rows(core: CoreSpec, place: int) -> np.ndarray:
    """Count the rows that an event of stream ``place`` visits, for each address in torch's order, int64[N].

    The core visits one row a cycle. A bit-serial core visits all of them once for each bit of the event's value that is
    1. An event that visits no row still costs one cycle.
    """
    one = core.inputs[place]
    _, _, y_count, x_count = one.walk.visits(one.connectivity.in_shape)
    return y_count * x_count * one.walk.reach


def workload(core: CoreSpec, spikes: Sequence[np.ndarray]) -> Workload:
    """Derive the workload of a core from spikes.

    Parameters
    ----------
    spikes : sequence of integer or bool[B, T, N]
        Magnitudes of the spikes at the input, then of every layer, as the golden model gives them. Where they come
        merged, the events are those that the core takes.
    """
    count, steps = spikes[0].shape[:2]
    events, ones, shown, (idle, joined, tokens) = [], [], [], np.zeros((3, count), dtype=np.int64)
    for one in core.inputs:
        values = delayed(np.asarray(spikes[one.source + 1]), one.delaying and one.delaying.delays)
        tokens = np.maximum(tokens, _stream_cycles(one, steps, (values != 0).sum((1, 2))))
        if one.recurrent:
            idle += (values[:, -1] != 0).sum(1)
            values = values[:, :-1]
        present = values != 0
        if one.merging is not None:
            present, values = one.merging.merged(values)
        if core.pairs:
            joined += (present.sum(2) // 2).sum(1)
        if core.plan.options.skips:
            synapses = one.connectivity
            assert isinstance(synapses, Conv2d)
            shown.append(present.reshape(count, steps, synapses.groups, -1, *synapses.in_shape[1:]).any(3))
        events.append(present.sum(1))
        ones.append(np.bitwise_count(values.astype(np.int64)).astype(np.int64).sum(1))
    return Workload(steps=steps, events=tuple(events), ones=tuple(ones), idle=idle, joined=joined,
                    tokens=tokens - joined, present=tuple(shown))


def rows_visited(core: CoreSpec, present: Sequence[np.ndarray]) -> np.ndarray:
    """Count the rows that step markers visit in one pass each, in all steps but the last, int64[B]: of a core that
    skips rows, row 0 and those that an event of the step reached; ``present`` as in `Workload`."""
    plan = core.plan
    count, steps = present[0].shape[:2]
    hit = np.zeros((count, steps - 1, *plan.tiles, plan.position_rows), dtype=bool)
    hit[:, :, 0, 0, 0] = True
    for one, maps in zip(core.inputs, present, strict=True):
        walk, groups = one.walk, maps.shape[2]
        assert walk.y is not None and walk.x is not None
        down, across = ((axis.window.tiles_reached(banks, tiles) & (axis.count > 0)[:, None]).astype(np.float32)
                        for axis, banks, tiles in zip((walk.y, walk.x), plan.banks, plan.tiles, strict=True))
        for group, first in enumerate(walk.channel_row[::len(walk.channel_row) // groups].tolist()):
            tiles = down.T @ (maps[:, :-1, group].astype(np.float32) @ across) > 0
            hit[..., first:first + walk.reach] |= tiles[..., None]
    return hit.sum((1, 2, 3, 4))


def spread_workload(core: CoreSpec, steps: int, sent: Sequence[float]) -> Workload:
    """Return the workload of a core of one inference, float64, with events spread evenly over addresses and steps.

    Parameters
    ----------
    sent : sequence of float
        Number of events of the network's input, then of every layer.
    """
    events, ones, idle, tokens = [], [], 0.0, np.zeros(1)
    for one in core.inputs:
        count, inputs = sent[one.source + 1], size_of(one.connectivity.in_shape)
        tokens = np.maximum(tokens, _stream_cycles(one, steps, np.array([count])))
        if one.recurrent:
            idle += count / steps
            count -= count / steps
        if one.merging is not None:
            count = one.merging.expected(count / steps, steps) * steps
        events.append(np.full((1, inputs), count / inputs))
        ones.append(events[-1] * max(one.layout.value_bits / 2, 1))  # half of the bits of a random value
    joined = sent[core.inputs[0].source + 1] / 2 if core.pairs else 0.0
    return Workload(steps=steps, events=tuple(events), ones=tuple(ones), idle=np.array([idle]),
                    joined=np.array([joined]), tokens=tokens - joined)


def _stream_cycles(one: CoreInput, steps: int, events: np.ndarray) -> np.ndarray:
    """Return the cycles in which a stream of so many events an inference reaches a core, [B]."""
    bands = 0 if one.merging is None else np.minimum(steps * one.merging.bands, events)
    return steps + events + BAND_CYCLES * bands


def work_cycles(core: CoreSpec, load: Workload) -> np.ndarray:
    """Count the cycles in which a core's sequencer is busy with each inference, int64[B], if nothing is dropped.

    Cycles in which the sequencer waits are not counted: for events, for room in the stages after it, or for a row that
    these stages still process; and events are taken to come in pairs to a core that takes two at once. The result is
    therefore a lower bound of the interval; but of a core that skips rows, all rows are counted for every marker if the
    workload does not say in which steps the events are.
    """
    markers = marker_cycles(core)
    steps = (load.steps - 1) * markers.step
    if load.present and core.plan.options.skips:
        steps = rows_visited(core, load.present) * len(core.microcode.step)
        if len(steps) != len(load.idle):
            steps = steps.mean(keepdims=True)
    cycles = load.idle - load.joined * core.plan.rows + markers.start + steps + markers.final
    for place, (events, ones) in enumerate(zip(load.events, load.ones, strict=True)):
        rows = event_rows(core, place)
        cycles = cycles + events @ (rows == 0) + (ones if core.plan.bit_serial else events) @ rows
    return cycles


def row_waits(core: CoreSpec, load: Workload) -> np.ndarray:
    """Estimate the cycles, int64[B], in which the sequencer waits for rows that the stages after it still process, if
    every event visits rows that the one before it visited.

    It is so where spikes come position by position. A row is taken again after `CoreSpec.row_cycles`, in which an
    event that visits fewer rows is followed by no other; if sums are forwarded, at once.
    """
    waits = np.zeros_like(load.idle)
    if core.plan.forwards or not core.plan.scattered:
        return waits
    for place, (events, ones) in enumerate(zip(load.events, load.ones, strict=True)):
        rows = event_rows(core, place)
        short = np.where(rows, np.maximum(core.row_cycles - rows, 0), 0)
        waits = waits + (ones if core.plan.bit_serial else events) @ short
    return waits


def memory_cycles(program: Program, memory: MemoryTiming) -> int:
    """Return a bound on the cycles in which each slice of external weights is read twice."""
    return sum(2 * (one.slices + one.buffers) * (one.beats * (1 + int(memory.gaps.max())) + memory.longest + 8)
               for one in (core.fetching for core in program.external) if one is not None)


def quiet_cycles(program: Program, memory: MemoryTiming = IDEAL_MEMORY) -> int:
    """Return after how many cycles without a transfer no more can follow, once all words and results are taken.

    A core is silent during its passes over the rows, its extractor while it searches for spikes, a pool merger while it
    is emptied, a delay line while it is read, and all while weights are fetched. After an early exit each core before
    the read-out may still be doing that.
    """
    total = 64 + memory_cycles(program, memory)
    for core in program.cores:
        start, step, final = marker_cycles(core)
        total += 2 * (start + max(step, final) + core.plan.rows) + core.plan.rows * core.plan.elements
        total += sum(4 * one.merging.windows + one.merging.places for one in core.inputs if one.merging is not None)
        total += sum(2 * one.delaying.clear_cycles for one in core.inputs if one.delaying is not None)
    return total


def drain_cycles(program: Program) -> int:
    """Return a number of cycles in which a result comes out if an inference is inside, no more words enter and results
    are taken.

    It is twice what all cores take, one after the other, for an inference in which every neuron fires in every step.
    """
    network, steps = program.network, program.network.steps_max
    layouts = [network.input_layout, *(layer.out_layout for layer in network.layers)]
    spikes = [np.full((1, steps, size_of(layout.shape)), layout.high) for layout in layouts]
    work = quiet_cycles(program) + network.inputs * steps
    for core, sent in zip(program.cores, spikes[1:], strict=True):
        load = workload(core, spikes)
        work += int((work_cycles(core, load) + load.tokens)[0]) + sent.size
    return 2 * work
