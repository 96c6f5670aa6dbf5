# SPDX-License-Identifier: MIT
"""Timing model: the cycle of every transfer, decision and acceptance, from configuration and spikes alone.

It carries out what the docstrings of the hardware units promise (passes, stages, queues, promises), one clock cycle
after another (`firstspike_sim.cycle_loop`), on tokens instead of signals: which rows a core visits, which groups of
spikes an extractor holds, how many results wait. It reads no signal of the hardware and has no fitted constant. The
values (which neuron fires when, which step decides) come from the golden model.
"""

import numpy as np
from firstspike_arch.array import GROUP_BITS, readout_cycles, spike_queue_depth
from firstspike_arch.backend import Stimulus, Trace
from firstspike_arch.fixed import ceil_div
from firstspike_arch.program import Program
from firstspike_arch.rows import MarkerProgram
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
    image, count, links = config.port == "image", stimulus.inferences, network.links()
    words = np.zeros(len(stimulus.words), dtype=np.int64) if image else codes_of_tokens(
        stimulus.words, network.input_layout)
    gaps, stalls = (np.zeros(size, dtype=np.int64) if waits is None else np.asarray(waits, dtype=np.int64)
                    for size, waits in ((len(words), stimulus.gaps), (count, stimulus.sink_stalls)))
    cores, walks = _cores(program), _walks(program)
    sent = lists.offsets[:, -1] - lists.offsets[:, 0] + (lists.offsets.shape[1] - 1)
    if not image:
        sent[0] = len(words)
    sent = sent[cores.link_source]
    log = Log(
        accepted=np.full(len(words), -1, dtype=np.int64), decided=np.full(count, -1, dtype=np.int64),
        taken=np.full(count, -1, dtype=np.int64), link_start=np.concatenate([[0], np.cumsum(sent)]),
        link_used=np.zeros(len(links), dtype=np.int64), link_tokens=np.empty(sent.sum(), dtype=np.int64),
        link_cycles=np.empty(sent.sum(), dtype=np.int64),
    )
    tokens = sent + len(lists.first_step)
    longest = walks.longest + np.array([cores.issue[link.target].sum() for link in links])
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
    spans = [slice(start, start + used) for start, used in zip(log.link_start[:-1], log.link_used, strict=True)]
    return Trace(
        accepted=log.accepted, classes=classes, steps=steps, decided_by=decided_by, scores=scores, decided=log.decided,
        taken=log.taken, link_tokens=tuple(
            tokens_of_codes(log.link_tokens[span], network.layout_of(link.source))
            for link, span in zip(links, spans, strict=True)),
        link_cycles=tuple(log.link_cycles[span] for span in spans),
    )


def _cores(program: Program) -> Cores:
    network, plans, links = program.network, program.config.layers, program.network.links()
    issue = np.array([
        [MarkerProgram.issue_cycles(ops, plan) for ops in (marker.start, marker.step, marker.final)]
        for plan, marker in zip(plans, program.markers(), strict=True)
    ])
    targets = np.array([link.target for link in links])
    return Cores(
        rows=np.array([plan.rows for plan in plans]), lanes=np.array([plan.word_lanes for plan in plans]), issue=issue,
        queue_depth=np.array([spike_queue_depth(plan) for plan in plans]),
        scattered=np.array([plan.scattered for plan in plans]), forwards=np.array([plan.forwards for plan in plans]),
        sends=np.array([any(link.source == index for link in links) for index in range(len(plans))]),
        link_first=np.searchsorted(targets, np.arange(len(plans) + 1)),
        link_source=np.array([link.source + 1 for link in links]),
        recurrent=np.array([link.source == link.target for link in links]),
        last=len(network.layers) - 1,
    )


def _walks(program: Program) -> Walks:
    """`Walk.visits` of all links in a row, and what else a core needs to know to follow them."""
    walks, shapes = [], []
    for index, (layer, plan) in enumerate(zip(program.network.layers, program.config.layers, strict=True)):
        walks += walks_of(layer, plan)[0]
        shapes += [branch.connectivity.in_shape for branch in layer.synapses(index)]
    rows, _, y_counts, x_counts = (
        np.concatenate(part) for part in
        zip(*(walk.visits(shape) for walk, shape in zip(walks, shapes, strict=True)), strict=True))
    links = program.network.links()
    alone = [not program.network.layers[link.target].branches for link in links]
    return Walks(
        offsets=np.cumsum([0] + [int(np.prod(shape)) for shape in shapes]), row=rows, y_count=y_counts,
        x_count=x_counts, row_steps=np.array([
            [walk.reach, walk.x.row_step if walk.x else 0, walk.y.row_step if walk.y else 0] for walk in walks]),
        decodes=np.array([walk.x is not None or not single for walk, single in zip(walks, alone, strict=True)]),
        serial=np.array([program.config.layers[link.target].bit_serial for link in links]),
        longest=np.array([walk.longest * (8 if program.config.layers[link.target].bit_serial else 1)
                          for walk, link in zip(walks, links, strict=True)]),
    )
