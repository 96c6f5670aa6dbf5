# SPDX-License-Identifier: MIT
"""Timing model: the cycle of every transfer, decision and acceptance, from configuration and spikes alone.

It carries out what the docstrings of the hardware units promise (passes, stages, queues, promises), one clock cycle
after another (`cycle_loop`), on tokens instead of signals: which rows a core visits, which groups an extractor
holds, how many results wait. It reads no signal of the hardware and has no fitted constant. The values (which neuron
fires when, which step decides) come from the golden model.
"""

import numpy as np
from firstspike_arch.array import GROUP_BITS, readout_cycles, spike_queue_depth
from firstspike_arch.backend import Stimulus, Trace
from firstspike_arch.fixed import ceil_div
from firstspike_arch.microcode import Microcode
from firstspike_arch.program import Program
from firstspike_arch.walk import walks_of

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
        comparing=readout_cycles(config), scan=config.winner == "scan", earliest=network.earliest_decides,
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
    network, plans, edges = program.network, program.config.layers, program.network.edges()
    issue = np.array([
        [Microcode.issue_cycles(ops, plan) for ops in (marker.start, marker.step, marker.final)]
        for plan, marker in zip(plans, program.microcodes(), strict=True)
    ])
    targets = np.array([edge.target for edge in edges])
    return Cores(
        rows=np.array([plan.rows for plan in plans]), lanes=np.array([plan.word_lanes for plan in plans]), issue=issue,
        queue_depth=np.array([spike_queue_depth(plan) for plan in plans]),
        scattered=np.array([plan.scattered for plan in plans]), forwards=np.array([plan.forwards for plan in plans]),
        sends=np.array([any(edge.source == index for edge in edges) for index in range(len(plans))]),
        edge_first=np.searchsorted(targets, np.arange(len(plans) + 1)),
        edge_source=np.array([edge.source + 1 for edge in edges]),
        recurrent=np.array([edge.source == edge.target for edge in edges]),
        last=len(network.layers) - 1,
    )


def _walks(program: Program) -> Walks:
    """`Walk.visits` of all edges in a row, and what else a core needs to know to follow them."""
    walks, shapes = [], []
    for index, (layer, plan) in enumerate(zip(program.network.layers, program.config.layers, strict=True)):
        walks += walks_of(layer, plan)[0]
        shapes += [branch.connectivity.in_shape for branch in layer.synapses(index)]
    rows, _, y_counts, x_counts = (
        np.concatenate(part) for part in
        zip(*(walk.visits(shape) for walk, shape in zip(walks, shapes, strict=True)), strict=True))
    edges = program.network.edges()
    alone = [not program.network.layers[edge.target].branches for edge in edges]
    return Walks(
        offsets=np.cumsum([0] + [int(np.prod(shape)) for shape in shapes]), row=rows, y_count=y_counts,
        x_count=x_counts, row_steps=np.array([
            [walk.reach, walk.x.row_step if walk.x else 0, walk.y.row_step if walk.y else 0] for walk in walks]),
        decodes=np.array([walk.x is not None or not single for walk, single in zip(walks, alone, strict=True)]),
        serial=np.array([program.config.layers[edge.target].bit_serial for edge in edges]),
        longest=np.array([walk.longest * (8 if program.config.layers[edge.target].bit_serial else 1)
                          for walk, edge in zip(walks, edges, strict=True)]),
    )
