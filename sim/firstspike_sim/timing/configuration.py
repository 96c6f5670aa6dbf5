# SPDX-License-Identifier: MIT
"""Settings of the twins, taken from a program.

No other file of the timing model reads the description of a core or the configuration of the array.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from firstspike_arch.connectivity import size_of
from firstspike_arch.core_spec import CoreInput, CoreSpec
from firstspike_arch.fixed import ceil_div
from firstspike_arch.layer_plan import GROUP_BITS, LayerPlan, readout_cycles
from firstspike_arch.program import Program
from firstspike_arch.work import event_rows, marker_cycles

from .core import new_cores
from .delay_line import Lines, new_lines
from .latency_encoder import new_latency_encoder
from .pair_packer import new_pair_packer
from .pixel_encoder import new_pixel_encoder
from .pool_merger import Mergers, new_mergers
from .readout import new_readout
from .sequencer import CORE_SETTINGS, EDGE_SETTINGS, SequencerSettings
from .spike_lists import VALUE_SHIFT
from .spike_queue import SpikeQueues, new_spike_queues
from .weight_fetcher import Fetchers, new_fetchers

__all__ = [
    "Wiring", "cores_of", "fetchers_of", "latency_encoder_of", "lines_of", "longest_tokens", "mergers_of", "packer_of",
    "pixel_encoder_of", "queues_of", "readout_of", "second_shifts", "sequencer_settings", "wiring_of",
]


class Wiring(NamedTuple):
    """The units of an accelerator and the edges between them.

    ``image``: the port takes images. ``direct``: the encoder behind the port is the pixel encoder. ``sender``
    int64[edges]: sender of each edge, 0 for the input, i + 1 for core i. ``sends`` bool[cores]: whether any core takes
    the spikes of core i. ``line``, ``merger``, ``fetcher`` int64[edges]: number of the delay line, the pool merger and
    the weight fetcher on each edge, in this order on the way to the core; −1: none. ``buffers`` int64[edges, 4]: the
    stream buffer in front of each of them, or of what is behind if there is none, and that in front of the core, which
    has the number of the edge. ``core_fetcher`` int64[cores]: that in front of each core.
    """

    image: bool
    direct: bool
    sender: np.ndarray
    sends: np.ndarray
    line: np.ndarray
    merger: np.ndarray
    fetcher: np.ndarray
    buffers: np.ndarray
    core_fetcher: np.ndarray


def wiring_of(program: Program) -> Wiring:
    """The units and edges of the accelerator."""
    inputs = [one for core in program.cores for one in core.inputs]
    line, merger, fetcher = (_numbered([there(one) is not None for one in inputs]) for there in (
        lambda one: one.delaying, lambda one: one.merging, lambda one: one.fetching))
    return Wiring(
        image=program.config.port == "image", direct=program.network.input_kind == "direct",
        sender=np.array([edge.source + 1 for edge in program.network.edges()]),
        sends=np.array([core.sends for core in program.cores]),
        line=line, merger=merger, fetcher=fetcher, buffers=_buffers_on_the_way([line, merger, fetcher]),
        core_fetcher=_numbered([core.fetching is not None for core in program.cores]),
    )


def _numbered(there: list[bool]) -> np.ndarray:
    """Number those that are there; −1 for the others."""
    return np.where(there, np.cumsum(there) - 1, -1)


def _buffers_on_the_way(units: list[np.ndarray]) -> np.ndarray:
    """`Wiring.buffers`: first those of all edges, then those in front of the units, kind by kind."""
    chain, count = [np.arange(len(units[0]))], len(units[0])
    for numbers in reversed(units):
        chain.insert(0, np.where(numbers < 0, chain[0], count + numbers))
        count += int(numbers.max()) + 1
    return np.stack(chain, axis=1)


def cores_of(program: Program) -> np.ndarray:
    """All cores after reset, `CORE` [cores]."""
    return new_cores(np.array([core.plan.word_lanes for core in program.cores]),
                     np.array([core.address_stage for core in program.cores]))


def queues_of(program: Program) -> SpikeQueues:
    """The spike queues of all cores after reset."""
    return new_spike_queues(np.array([core.queue_depth for core in program.cores]))


def mergers_of(program: Program) -> Mergers:
    """The pool mergers of all cores after reset."""
    mergings = [one.merging for core in program.cores for one in core.inputs if one.merging is not None]
    return new_mergers(
        windows=[one.window_of_spikes() for one in mergings], bands=[one.band_of_spikes() for one in mergings],
        sweeps=[one.places for one in mergings], graded=[one.spikes.value_bits > 0 for one in mergings])


def lines_of(program: Program, sent: np.ndarray) -> Lines:
    """The delay lines of all cores after reset; ``sent`` int64[edges]: tokens of each edge."""
    inputs = [one.delaying for core in program.cores for one in core.inputs]
    found = [(one, count) for one, count in zip(inputs, sent.tolist(), strict=True) if one is not None]
    return new_lines([one for one, _ in found], [count for _, count in found])


def fetchers_of(program: Program) -> Fetchers:
    """The weight fetchers of all cores after reset."""
    return new_fetchers([core.fetching for core in program.external if core.fetching is not None])


def readout_of(program: Program) -> np.ndarray:
    """The read-out after reset, `READOUT` [1]."""
    config, plan = program.config, program.cores[-1].plan
    return new_readout(
        early_exit=config.early_exit, scan=config.winner == "scan", earliest=program.network.earliest_decides,
        rows=plan.rows, comparing=readout_cycles(plan, config.winner),
    )


def latency_encoder_of(program: Program) -> np.ndarray:
    """The latency encoder after reset, `LATENCY_ENCODER` [1]."""
    return new_latency_encoder(ceil_div(program.network.inputs, GROUP_BITS), program.edge_layouts[0].slots)


def pixel_encoder_of(program: Program) -> np.ndarray:
    """The pixel encoder after reset, `PIXEL_ENCODER` [1]."""
    return new_pixel_encoder(ceil_div(program.network.inputs, GROUP_BITS), program.network.steps)


def packer_of(program: Program) -> np.ndarray:
    """The pair packer of the input after reset, `PAIR_PACKER` [1]."""
    layout = program.edge_layouts[0]
    return new_pair_packer(0 if _encodes_pairs(program) or layout.slots == 1 else layout.second_shift)


def second_shifts(program: Program) -> np.ndarray:
    """`TokenLayout.second_shift` of all emitters that send two events a token, 0 of others; int64[cores + 1], first
    that of the encoder behind the port."""
    layouts = [core.out_layout for core in program.cores]
    return np.array([program.edge_layouts[0].second_shift if _encodes_pairs(program) else 0, *(
        layout.second_shift if layout.slots == 2 else 0 for layout in layouts)])


def _encodes_pairs(program: Program) -> bool:
    """Whether the encoder behind the port sends two events a token: that of latencies does if the first core takes
    them."""
    wiring = wiring_of(program)
    return wiring.image and not wiring.direct and program.edge_layouts[0].slots == 2


def sequencer_settings(specs: Sequence[CoreSpec]) -> SequencerSettings:
    """Settings of the sequencers of these cores: microcode, edges and walks."""
    inputs = [(spec, one) for spec in specs for one in spec.inputs]
    rows, _, y_counts, x_counts = (
        np.concatenate(part) for part in
        zip(*(_visits(spec, one) for spec, one in inputs), strict=True))
    cores, edges = np.zeros(len(specs), CORE_SETTINGS), np.zeros(len(inputs), EDGE_SETTINGS)
    ends = np.cumsum([len(spec.inputs) for spec in specs])
    for index, spec in enumerate(specs):
        code, plan = spec.microcode, spec.plan
        cores[index] = (plan.rows, len(code.start), len(code.step), len(code.final),
                        ends[index] - len(spec.inputs), ends[index], plan.scattered, plan.forwards,
                        code.pools, code.recurs, _compares_banks(plan), plan.position_rows, plan.tiles[1], *plan.banks,
                        plan.options.skips, _locates(plan), spec.remote_rows)
    first_events = np.cumsum([0] + [size_of(one.connectivity.in_shape) for _, one in inputs])
    windows = [np.zeros((0, 3), np.int64)]
    for number, (spec, one) in enumerate(inputs):
        edges[number] = _edge_settings(spec, one, first_events[number], windows)
    return SequencerSettings(cores=cores, edges=edges, settles=_settling_passes(specs), row=rows, y_count=y_counts,
                             x_count=x_counts, windows=np.concatenate(windows))


def _compares_banks(plan: LayerPlan) -> bool:
    """Whether events wait for rows of single banks."""
    return plan.bank_count > 1 and not plan.forwards


def _locates(plan: LayerPlan) -> bool:
    """Whether it matters where an event visits the banks."""
    return _compares_banks(plan) or (plan.bank_count > 1 and plan.options.skips)


def _visits(spec: CoreSpec, one: CoreInput) -> tuple[np.ndarray, ...]:
    """`Walk.visits` of an edge, with rows that are not negative: here, −1 says that a row waits."""
    rows, *rest = one.walk.visits(one.connectivity.in_shape)
    before = -(min(0, int(rows.min())) // spec.plan.position_rows)
    return rows + before * spec.plan.position_rows, *rest


def _edge_settings(spec: CoreSpec, one: CoreInput, first_event: int, windows: list[np.ndarray]) -> tuple:
    """The fields of `EDGE_SETTINGS` for one input of a core, in order; its windows are added to the list."""
    walk, places = one.walk, (0,) * 6
    if _locates(spec.plan) and walk.x and walk.y:
        firsts = []
        for axis in (walk.y, walk.x):
            firsts.append(sum(map(len, windows)))
            windows.append(np.column_stack([axis.window.lowest, axis.window.reached]))
        places = *one.connectivity.in_shape[1:], *firsts, walk.y.window.distance, walk.x.window.distance
    return (first_event, walk.reach, walk.x.row_step if walk.x else 0, walk.y.row_step if walk.y else 0,
            walk.x is not None or len(spec.inputs) > 1, spec.plan.bit_serial, one.recurrent,
            (1 << (one.layout.address_bits if spec.pairs else VALUE_SHIFT)) - 1, *places)


def _settling_passes(specs: Sequence[CoreSpec]) -> np.ndarray:
    """The table ``settles`` of `SequencerSettings`."""
    both = [(code.start + code.step, code.start + code.final) for code in (spec.microcode for spec in specs)]
    settles = np.zeros((len(specs), 2, max(len(passes) for pair in both for passes in pair)), np.bool_)
    for index, (spec, pair) in enumerate(zip(specs, both, strict=True)):
        if spec.plan.in_one_row:
            for final, passes in enumerate(pair):
                settles[index, final, :len(passes)] = [op.settle for op in passes]
    return settles


def longest_tokens(program: Program) -> np.ndarray:
    """Bound on the cycles that a core works on one token of each edge, int64[edges]."""
    return np.array([
        sum(marker_cycles(core)) + int(event_rows(core, place).max()) * (8 if core.plan.bit_serial else 1)
        for core in program.cores for place in range(len(core.inputs))])
