# SPDX-License-Identifier: MIT
"""Timing model: the cycle of every transfer, decision and acceptance, from configuration and spikes alone.

It carries out what the docstrings of the hardware units promise (passes, stages, queues, promises), one clock cycle
after another (`cycle_loop`), on tokens instead of signals: which rows a core visits, which groups an extractor
holds, how many results wait. It reads no signal of the hardware and has no fitted constant. The values (which neuron
fires when, which step decides) come from the golden model.
"""

import numpy as np
from firstspike_arch.array import GROUP_BITS, readout_cycles
from firstspike_arch.backend import Stimulus, Trace
from firstspike_arch.connectivity import size_of
from firstspike_arch.fixed import ceil_div
from firstspike_arch.program import Program
from firstspike_arch.work import event_rows, marker_cycles

from .cycle_loop import Cores, Log, Machine, Offer, Spikes, Walks, run
from .spike_lists import SpikeLists, codes_of_tokens, tokens_of_codes

__all__ = ["predict"]


def predict(
    program: Program, stimulus: Stimulus, lists: SpikeLists, *, classes: np.ndarray, steps: np.ndarray,
    decided_by: np.ndarray, scores: np.ndarray,
) -> Trace:
    """Trace of the stimulus, given the golden model's spikes and results.

    Parameters
    ----------
    lists : SpikeLists
        Of complete inferences (no early exit).
    classes, steps, decided_by : int64[B]
    scores : int64[B, C]
        Results, passed on; ``steps`` also says when a decision falls.
    """
    network, config = program.network, program.config
    image, count, edges = config.port == "image", stimulus.inferences, network.edges()
    words = np.zeros(len(stimulus.words), dtype=np.int64) if image else codes_of_tokens(
        stimulus.words, network.input_layout)
    gaps, stalls = (np.zeros(size, dtype=np.int64) if waits is None else np.asarray(waits, dtype=np.int64)
                    for size, waits in ((len(words), stimulus.gaps), (count, stimulus.sink_stalls)))
    cores, walks = _cores(program), _walks(program)
    sent = lists.offsets[:, -1] - lists.offsets[:, 0] + (lists.offsets.shape[1] - 1)
    if not image:
        sent[0] = len(words)
    sent = sent[cores.edge_source]
    log = Log(
        accepted=np.full(len(words), -1, dtype=np.int64), decided=np.full(count, -1, dtype=np.int64),
        taken=np.full(count, -1, dtype=np.int64), edge_start=np.concatenate([[0], np.cumsum(sent)]),
        edge_used=np.zeros(len(edges), dtype=np.int64), edge_tokens=np.empty(sent.sum(), dtype=np.int64),
        edge_cycles=np.empty(sent.sum(), dtype=np.int64),
    )
    tokens = sent + len(lists.first_step)
    longest = walks.longest + np.array([cores.issue[edge.target].sum() for edge in edges])
    limit = 10_000 + 4 * (len(words) + int(gaps.sum() + stalls.sum()) + int((tokens * longest).sum()))
    machine = Machine(
        image=image, direct=network.input_kind == "direct", steps=network.steps, early_exit=config.early_exit,
        comparing=readout_cycles(program.cores[-1].plan, config.winner), scan=config.winner == "scan",
        earliest=network.earliest_decides,
        beats=ceil_div(network.inputs, GROUP_BITS), limit=limit,
    )
    finished = run(
        machine, cores, walks, Offer(words=words, gaps=gaps, stalls=stalls),
        Spikes(codes=lists.codes, places=lists.places, offsets=lists.offsets, first_step=lists.first_step,
               decision_steps=np.asarray(steps, dtype=np.int64)), log,
    )
    if not finished:
        raise RuntimeError(f"the timing model found no end within {limit} cycles")
    spans = [slice(start, start + used) for start, used in zip(log.edge_start[:-1], log.edge_used, strict=True)]
    return Trace(
        accepted=log.accepted, classes=classes, steps=steps, decided_by=decided_by, scores=scores, decided=log.decided,
        taken=log.taken, edge_tokens=tuple(
            tokens_of_codes(log.edge_tokens[span], network.layout_of(edge.source))
            for edge, span in zip(edges, spans, strict=True)),
        edge_cycles=tuple(log.edge_cycles[span] for span in spans),
    )


def _cores(program: Program) -> Cores:
    cores, edges = program.cores, program.network.edges()
    targets = np.array([edge.target for edge in edges])
    return Cores(
        rows=np.array([core.plan.rows for core in cores]), lanes=np.array([core.plan.word_lanes for core in cores]),
        issue=np.array([marker_cycles(core) for core in cores]),
        queue_depth=np.array([core.queue_depth for core in cores]),
        scattered=np.array([core.plan.scattered for core in cores]),
        forwards=np.array([core.plan.forwards for core in cores]), sends=np.array([core.sends for core in cores]),
        edge_first=np.searchsorted(targets, np.arange(len(cores) + 1)),
        edge_source=np.array([edge.source + 1 for edge in edges]),
        recurrent=np.array([one.recurrent for core in cores for one in core.inputs]), last=len(cores) - 1,
    )


def _walks(program: Program) -> Walks:
    """`Walk.visits` of all edges in a row, and what else a core needs to know to follow them."""
    takers = [(core, place, one) for core in program.cores for place, one in enumerate(core.inputs)]
    rows, _, y_counts, x_counts = (
        np.concatenate(part) for part in
        zip(*(one.walk.visits(one.connectivity.in_shape) for _, _, one in takers), strict=True))
    return Walks(
        offsets=np.cumsum([0] + [size_of(one.connectivity.in_shape) for _, _, one in takers]), row=rows,
        y_count=y_counts, x_count=x_counts, row_steps=np.array([
            [one.walk.reach, one.walk.x.row_step if one.walk.x else 0, one.walk.y.row_step if one.walk.y else 0]
            for _, _, one in takers]),
        decodes=np.array([one.walk.x is not None or len(core.inputs) > 1 for core, _, one in takers]),
        serial=np.array([core.plan.bit_serial for core, _, _ in takers]),
        longest=np.array([int(event_rows(core, place).max()) * (8 if core.plan.bit_serial else 1)
                          for core, place, _ in takers]),
    )
