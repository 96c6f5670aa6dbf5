# SPDX-License-Identifier: MIT
"""Timing model: the cycle of every transfer, decision and acceptance, from configuration and spikes alone.

It carries out what the docstrings of the hardware units promise (passes, stages, queues, promises), one clock cycle
after another, on tokens instead of signals: which rows a core visits, which groups of spikes an extractor holds, how
many results wait. It reads no signal of the hardware and has no fitted constant. The values (which neuron fires when,
which step decides) come from the golden model.
"""

from dataclasses import dataclass

import numba
import numpy as np
from firstspike_arch.array import GROUP_BITS, readout_cycles, spike_queue_depth
from firstspike_arch.backend import Stimulus, Trace
from firstspike_arch.events import ADDRESS_SHIFT, FINAL_MARKER, MARKER, TokenLayout
from firstspike_arch.fixed import ceil_div
from firstspike_arch.network import Layer
from firstspike_arch.program import Program
from firstspike_arch.rows import MarkerProgram
from firstspike_arch.walk import walk_of

__all__ = ["SpikeLists", "predict", "spike_lists"]

@dataclass(frozen=True, kw_only=True, eq=False)
class SpikeLists:
    """Which neurons spike in which step on which link.

    Parameters
    ----------
    neurons : int64[*]
        Of all links, inferences and steps in a row; in a step in the order of ``places``, a neuron that spikes n times
        n times.
    places : int64[*]
        Where each is sent from: row · lanes + lane in the core before; the number of the neuron on the input.
    offsets : int64[L, S + 1]
        Link l, global step g: ``neurons[offsets[l, g] : offsets[l, g + 1]]``.
    first_step : int64[B + 1]
        Global step at which each inference starts.
    """

    neurons: np.ndarray
    places: np.ndarray
    offsets: np.ndarray
    first_step: np.ndarray


def spike_lists(program: Program, spikes: tuple[np.ndarray, ...]) -> SpikeLists:
    """From spike counts of every link, (input, hidden layers …), each integer or bool[B, T, N]."""
    neurons, places, offsets, base = [], [], [], 0
    count, steps = spikes[0].shape[:2]
    senders = [None, *program.config.layers[:-1]]
    for dense, sender in zip(spikes, senders, strict=True):
        place = np.arange(dense.shape[2]) if sender is None else sender.places()
        order = None
        if sender is not None and sender.positions > 1:
            order = np.argsort(place)
            dense = dense[:, :, order]
        flat = np.ascontiguousarray(dense).reshape(-1)
        found = np.flatnonzero(flat)
        if flat.dtype != np.bool_:
            found = np.repeat(found, flat[found])
        where, neuron = np.divmod(found, dense.shape[2])
        if order is not None:
            neuron = order[neuron]
        ends = np.searchsorted(where, np.arange(count * steps + 1))
        offsets.append(ends + base)
        neurons.append(neuron)
        places.append(place[neuron])
        base += len(neuron)
    return SpikeLists(
        neurons=np.concatenate(neurons).astype(np.int64), places=np.concatenate(places).astype(np.int64),
        offsets=np.array(offsets, dtype=np.int64), first_step=np.arange(count + 1, dtype=np.int64) * steps,
    )


def predict(
    program: Program, stimulus: Stimulus, lists: SpikeLists, *, classes: np.ndarray, steps: np.ndarray,
    decided_by: np.ndarray, scores: np.ndarray,
) -> Trace:
    """Trace of the stimulus, given the golden model's spikes and results.

    Parameters
    ----------
    lists : SpikeLists
        Of the input and every hidden layer, of complete inferences (no early exit).
    classes, steps, decided_by : int64[B]
    scores : int64[B, C]
        Results, passed on; ``steps`` also says when a decision falls.
    """
    network, config = program.network, program.config
    rows = np.array([plan.rows for plan in config.layers])
    image = config.port == "image"
    count = stimulus.inferences
    words = np.zeros(len(stimulus.words), dtype=np.int64) if image else _with_numbers(stimulus.words, network.layers[0])
    markers = program.markers()
    issue = np.array([
        [MarkerProgram.issue_cycles(ops, plan.rows) for plan, ops in
         ((plan, marker.step), (plan, marker.final))]
        for plan, marker in zip(config.layers, markers, strict=True)
    ])
    total = lists.offsets[:, -1] - lists.offsets[:, 0] + (lists.offsets.shape[1] - 1)
    link_start = np.concatenate([[0], np.cumsum(total)])
    link_tokens = np.empty(link_start[-1], dtype=np.int64)
    link_cycles = np.empty(link_start[-1], dtype=np.int64)
    link_used = np.zeros(len(rows), dtype=np.int64)
    accepted = np.full(len(words), -1, dtype=np.int64)
    decided = np.full(count, -1, dtype=np.int64)
    taken = np.full(count, -1, dtype=np.int64)
    gaps = np.zeros(len(words), dtype=np.int64) if stimulus.gaps is None else np.asarray(stimulus.gaps, dtype=np.int64)
    stalls = (
        np.zeros(count, dtype=np.int64) if stimulus.sink_stalls is None
        else np.asarray(stimulus.sink_stalls, dtype=np.int64)
    )
    lanes = np.array([plan.lanes for plan in config.layers])
    walks = _walks(program)
    limit = 10_000 + 4 * (len(words) + int(gaps.sum() + stalls.sum()) + int(
        ((total + len(lists.first_step)) * (walks.longest + issue.max(axis=1))).sum()))
    finished = _run(
        image, words, gaps, stalls, lists.first_step, np.asarray(steps, dtype=np.int64), config.early_exit, rows, lanes,
        issue, np.array([spike_queue_depth(plan.rows) for plan in config.layers]), readout_cycles(config),
        config.winner == "scan", network.earliest_decides, lists.neurons, lists.places,
        lists.offsets, walks.offsets, walks.row, walks.y_count, walks.x_count, walks.row_steps, walks.decodes,
        walks.scattered, ceil_div(network.inputs, GROUP_BITS), limit,
        accepted, decided, taken, link_start, link_tokens, link_cycles, link_used,
    )
    if not finished:
        raise RuntimeError(f"the timing model found no end within {limit} cycles")
    spans = [slice(start, start + used) for start, used in zip(link_start[:-1], link_used, strict=True)]
    return Trace(
        accepted=accepted, classes=classes, steps=steps, decided_by=decided_by, scores=scores, decided=decided,
        taken=taken, link_tokens=tuple(
            _with_addresses(link_tokens[span], layer) for layer, span in zip(network.layers, spans, strict=True)),
        link_cycles=tuple(link_cycles[span] for span in spans),
    )


def _with_numbers(tokens: np.ndarray, layer: Layer) -> np.ndarray:
    """Tokens of an input stream, with numbers of neurons in place of addresses."""
    tokens = np.asarray(tokens, dtype=np.int64)
    if len(layer.in_shape) == 1:
        return tokens
    layout = TokenLayout(shape=layer.in_shape)
    numbers = np.zeros(1 << layout.address_bits, dtype=np.int64)
    numbers[layout.addresses()] = np.arange(layer.inputs)
    return np.where(tokens & MARKER, tokens, numbers[tokens >> ADDRESS_SHIFT] << ADDRESS_SHIFT)


def _with_addresses(tokens: np.ndarray, layer: Layer) -> np.ndarray:
    """Tokens whose addresses are numbers of neurons, with the addresses that the stream has."""
    if len(layer.in_shape) == 1:
        return tokens
    addresses = TokenLayout(shape=layer.in_shape).addresses() << ADDRESS_SHIFT
    return np.where(tokens & MARKER, tokens, addresses[tokens >> ADDRESS_SHIFT])


@dataclass(frozen=True, kw_only=True, eq=False)
class _Walks:
    """`Walk.visits` of all layers in a row, and what else a core needs to know to follow them."""

    offsets: np.ndarray
    row: np.ndarray
    y_count: np.ndarray
    x_count: np.ndarray
    row_steps: np.ndarray
    decodes: np.ndarray
    scattered: np.ndarray
    longest: np.ndarray


def _walks(program: Program) -> _Walks:
    pairs = list(zip(program.network.layers, program.config.layers, strict=True))
    walks = [walk_of(layer, plan) for layer, plan in pairs]
    rows, _, y_counts, x_counts = (
        np.concatenate(part) for part in
        zip(*(walk.visits(layer.in_shape) for walk, (layer, _) in zip(walks, pairs, strict=True)), strict=True))
    axes = [(walk.x, walk.y) for walk in walks]
    return _Walks(
        offsets=np.cumsum([0] + [layer.inputs for layer, _ in pairs]), row=rows, y_count=y_counts, x_count=x_counts,
        row_steps=np.array([[walk.group_rows, x.row_step if x else 0, y.row_step if y else 0]
                            for walk, (x, y) in zip(walks, axes, strict=True)]),
        decodes=np.array([x is not None for x, _ in axes]),
        scattered=np.array([plan.scattered for _, plan in pairs]),
        longest=np.array([walk.group_rows * (int(x.count.max() * y.count.max()) if x and y else 1)
                          for walk, (x, y) in zip(walks, axes, strict=True)]),
    )


@numba.njit(cache=True)
def _run(
    image, words, gaps, stalls, first_step, decision_steps, early_exit, rows, lanes, issue, queue_depth, comparing,
    scan, earliest, neurons, places, offsets, walk_offsets, walk_row, y_count, x_count, row_steps, decodes, scattered,
    beats, limit,
    accepted, decided, taken, link_start, link_tokens, link_cycles, link_used,
):  # pragma: no cover - compiled
    """One cycle after another: first what each unit does with the state it finds, then the new state.

    Per link l: the token buffer (token register, second register) and the emitter (group register) in front of it. Per
    core l: sequencer, fetch, operand and add stage, spike queue, extractor (word register, pick register) behind it.
    """
    cores = len(rows)
    count = len(first_step) - 1
    # Token buffers.
    token_valid, token = np.zeros(cores, np.bool_), np.zeros(cores, np.int64)
    second_valid, second = np.zeros(cores, np.bool_), np.zeros(cores, np.int64)
    # Emitters: group register [pointer, end), marker behind it.
    group_valid, group_from, group_to = np.zeros(cores, np.bool_), np.zeros(cores, np.int64), np.zeros(cores, np.int64)
    group_marker, group_final = np.zeros(cores, np.bool_), np.zeros(cores, np.bool_)
    # Extractors in front of link l ≥ 1.
    pick_valid, pick_from, pick_to = np.zeros(cores, np.bool_), np.zeros(cores, np.int64), np.zeros(cores, np.int64)
    pick_marker, pick_final = np.zeros(cores, np.bool_), np.zeros(cores, np.bool_)
    word_valid, word_from, word_to = np.zeros(cores, np.bool_), np.zeros(cores, np.int64), np.zeros(cores, np.int64)
    word_last, word_final, word_base = np.zeros(cores, np.bool_), np.zeros(cores, np.bool_), np.zeros(cores, np.int64)
    # Spike queues behind core l.
    depth = queue_depth.max()
    queue_from, queue_to = np.zeros((cores, depth), np.int64), np.zeros((cores, depth), np.int64)
    queue_last, queue_final = np.zeros((cores, depth), np.bool_), np.zeros((cores, depth), np.bool_)
    queue_base = np.zeros((cores, depth), np.int64)
    queue_head, queue_count = np.zeros(cores, np.int64), np.zeros(cores, np.int64)
    # A memory shows a word, and the room that a word taken leaves, one cycle later than a register does; so is known
    # that a word is not kept.
    queue_hidden, queue_freed = np.zeros(cores, np.int64), np.zeros(cores, np.int64)
    # Cores. Token register of those that decode; place in the token's passes, or for an event in its walk; rows issued
    # one and two cycles before.
    hand_valid, hand = np.zeros(cores, np.bool_), np.zeros(cores, np.int64)
    boot, slot = np.ones(cores, np.bool_), np.zeros(cores, np.int64)
    walk_x, walk_y, walk_group = np.zeros(cores, np.int64), np.zeros(cores, np.int64), np.zeros(cores, np.int64)
    next_row, line_row = np.zeros(cores, np.int64), np.zeros(cores, np.int64)
    row_before, row_two_before = np.full(cores, -1), np.full(cores, -1)
    inference, step = np.zeros(cores, np.int64), np.zeros(cores, np.int64)
    masked = np.zeros(cores, np.bool_)
    fetch_captures, fetch_row = np.zeros(cores, np.bool_), np.zeros(cores, np.int64)
    fetch_inference, fetch_step = np.zeros(cores, np.int64), np.zeros(cores, np.int64)
    fetch_final, fetch_masked = np.zeros(cores, np.bool_), np.zeros(cores, np.bool_)
    operand_captures, operand_row = np.zeros(cores, np.bool_), np.zeros(cores, np.int64)
    operand_inference, operand_step = np.zeros(cores, np.int64), np.zeros(cores, np.int64)
    operand_final, operand_masked = np.zeros(cores, np.bool_), np.zeros(cores, np.bool_)
    add_captures, add_row = np.zeros(cores, np.bool_), np.zeros(cores, np.int64)
    add_inference, add_step = np.zeros(cores, np.int64), np.zeros(cores, np.int64)
    add_final, add_masked = np.zeros(cores, np.bool_), np.zeros(cores, np.bool_)
    stored = np.zeros(cores, np.bool_)
    # Where the next row of a layer's spikes starts, within its step.
    row_pointer = np.zeros(cores, np.int64)
    # Encoder.
    beat, bank, side = 0, 0, 0
    full = np.zeros(2, np.bool_)
    ends = False
    sent_inference, sent_step, sent_from, sent_fresh = 0, 0, 0, True
    item_valid, item_from, item_to, item_marker, item_final = False, 0, 0, False, False
    # Read-out: the row that ends a step and when it decides, and from when a row is granted.
    due, due_inference, due_step, due_final = -1, 0, 0, False
    grant_from, is_decided, is_offered = 0, False, False
    drop_valid, drop_inference = False, 0
    result = 0
    word, available = 0, 0
    if len(words):
        available = gaps[0]
    output = cores - 1

    for cycle in range(limit):
        # Cores and encoder see what is to be dropped one cycle late.
        seen_valid, seen_inference = drop_valid, drop_inference
        # Read-out: a step decides, and the result is offered.
        if due == cycle:
            settles = not is_decided and due_step == decision_steps[due_inference]
            is_offered = settles if early_exit else due_final
            if settles or due_final:
                drop_valid, drop_inference = early_exit and not due_final, due_inference
            is_decided = (is_decided or settles) and not due_final
        popped = False
        if is_offered:
            if decided[result] < 0:
                decided[result] = cycle
            if cycle >= decided[result] + stalls[result]:
                taken[result] = cycle
                result += 1
                popped = True

        # The input port: one word.
        offered = word < len(words) and cycle >= available
        word_taken = False

        for core in range(cores):
            # Promise for the row in the operand stage.
            if core == output:
                waits = scan or operand_row[core] == 0
                grant = not waits or not (is_offered or add_captures[core] or cycle < grant_from)
            else:
                grant = queue_count[core] + queue_freed[core] + int(add_captures[core]) < queue_depth[core]
                queue_freed[core] = 0
            waits = operand_captures[core] and not grant
            # Add stage: spikes leave the core.
            stored[core] = False
            if add_captures[core]:
                ends_step = add_row[core] == rows[core] - 1
                if core == output:
                    # Rows that can decide nothing do not enter.
                    settling = add_step[core] == decision_steps[add_inference[core]]
                    if add_final[core] or (earliest and (rows[core] > 1 or settling)):
                        grant_from = cycle + 1 + comparing
                        if ends_step:
                            due, due_inference = grant_from, add_inference[core]
                            due_step, due_final = add_step[core], add_final[core]
                else:
                    at = (queue_head[core] + queue_count[core]) % queue_depth[core]
                    where = first_step[add_inference[core]] + add_step[core]
                    if add_row[core] == 0:
                        row_pointer[core] = offsets[core + 1, where]
                    start = row_pointer[core]
                    stop = start
                    bound = (add_row[core] + 1) * lanes[core]
                    while stop < offsets[core + 1, where + 1] and places[stop] < bound:
                        stop += 1
                    row_pointer[core] = stop
                    if add_masked[core]:
                        stop = start
                    # Rows without a spike are not kept, unless they end the step.
                    stored[core] = ends_step or stop > start
                    # Whether there is one is known too late for the grants of the next cycle.
                    queue_freed[core] = int(not stored[core])
                    queue_from[core, at], queue_to[core, at] = start, stop
                    queue_last[core, at], queue_final[core, at] = ends_step, ends_step and add_final[core]
                    queue_base[core, at] = add_row[core] * lanes[core]
            # Operand stage moves on.
            add_captures[core] = operand_captures[core] and not waits
            if add_captures[core]:
                add_row[core], add_final[core] = operand_row[core], operand_final[core]
                add_inference[core], add_step[core] = operand_inference[core], operand_step[core]
                add_masked[core] = operand_masked[core]
            # Issue.
            took = False
            if not waits:
                operand_captures[core] = fetch_captures[core]
                operand_row[core], operand_final[core] = fetch_row[core], fetch_final[core]
                operand_inference[core], operand_step[core] = fetch_inference[core], fetch_step[core]
                operand_masked[core] = fetch_masked[core]
                fetch_captures[core] = False
                # The token at hand.
                valid, value = token_valid[core], token[core]
                if decodes[core]:
                    valid, value = hand_valid[core], hand[core]
                kind = 1 + (value & 1) if value & MARKER else 0
                if boot[core]:
                    valid, kind = True, 2
                event = walk_offsets[core] + (value >> ADDRESS_SHIFT) if kind == 0 else 0
                starting = slot[core] == 0
                dropped = seen_valid and seen_inference == inference[core]
                if starting:
                    masked[core] = dropped
                issued = -1
                if not valid:
                    pass
                elif (dropped and starting and kind != 2) or (kind == 0 and y_count[event] * x_count[event] == 0):
                    took = True
                else:
                    row = slot[core] % rows[core]
                    if kind == 0:
                        row = walk_row[event] if starting else next_row[core]
                    if not scattered[core] or (row != row_before[core] and row != row_two_before[core]):
                        issued = row
                        if kind == 0:
                            if starting:
                                line_row[core] = row
                            walk_group[core] += 1
                            next_row[core] = row + 1
                            if walk_group[core] == row_steps[core, 0]:
                                walk_group[core] = 0
                                walk_x[core] += 1
                                next_row[core] = row + 1 - row_steps[core, 0] + row_steps[core, 1]
                                if walk_x[core] == x_count[event]:
                                    walk_x[core] = 0
                                    walk_y[core] += 1
                                    line_row[core] += row_steps[core, 2]
                                    next_row[core] = line_row[core]
                                    if walk_y[core] == y_count[event]:
                                        walk_y[core] = 0
                                        took = True
                        else:
                            if slot[core] < rows[core] and not boot[core]:
                                fetch_captures[core] = True
                                fetch_row[core], fetch_final[core] = row, kind == 2
                                fetch_inference[core], fetch_step[core] = inference[core], step[core]
                                fetch_masked[core] = masked[core]
                            took = slot[core] + 1 == issue[core, kind - 1]
                        slot[core] = 0 if took else slot[core] + 1
                row_two_before[core] = row_before[core]
                row_before[core] = issued
                if took and boot[core]:
                    boot[core], took = False, False
                elif took and kind:
                    if kind == 2:
                        inference[core] += 1
                        step[core] = 0
                    else:
                        step[core] += 1
            # From the token buffer into the core.
            value = token[core]
            if decodes[core]:
                moves_on = not hand_valid[core] or took
                if moves_on:
                    hand_valid[core], hand[core] = token_valid[core], value
                took = moves_on and token_valid[core]
            if took:
                at = link_start[core] + link_used[core]
                link_tokens[at], link_cycles[at] = value, cycle
                link_used[core] += 1

            # The token buffer in front of this core, and what feeds it: a guard without registers, or an emitter.
            move = not second_valid[core]
            if core == 0 and not image:
                source_valid, source = offered, words[word] if offered else 0
                word_taken = offered and move
            else:
                source_valid = group_valid[core]
                has_spike = group_from[core] < group_to[core]
                done = group_to[core] - group_from[core] == 1 and not group_marker[core] if has_spike else True
                group_ready = not group_valid[core] or (move and done)
                if has_spike:
                    source = neurons[group_from[core]] << ADDRESS_SHIFT
                else:
                    source = FINAL_MARKER if group_final[core] else MARKER
            if took or not token_valid[core]:
                token_valid[core] = source_valid or not move
                token[core] = source if move else second[core]
                second_valid[core] = False
            elif move:
                second_valid[core], second[core] = source_valid, source
            if core == 0 and not image:
                continue
            if core == 0:
                # Encoder: its fetched entry is the next group.
                fetch_ready = not item_valid or group_ready
                if group_ready:
                    group_valid[0], group_from[0], group_to[0] = item_valid, item_from, item_to
                    group_marker[0], group_final[0] = item_marker, item_final
                elif move:
                    group_from[0] += 1
                released = -1
                if fetch_ready:
                    item_valid = full[side]
                    if item_valid:
                        dropped = seen_valid and seen_inference == sent_inference
                        where = first_step[sent_inference] + sent_step
                        if sent_fresh:
                            sent_from = offsets[0, where]
                            sent_fresh = False
                        stop = offsets[0, where + 1]
                        item_from, item_to = sent_from, sent_from
                        if not dropped and item_to < stop:
                            number = places[item_from] // GROUP_BITS
                            while item_to < stop and places[item_to] // GROUP_BITS == number:
                                item_to += 1
                        sent_from = item_to
                        item_marker = dropped or item_to == stop
                        is_last = dropped or where + 1 == first_step[sent_inference + 1]
                        item_final = item_marker and is_last
                        if item_marker:
                            sent_fresh = True
                            sent_step += 1
                            if is_last:
                                sent_step = 0
                                sent_inference += 1
                                released = side
                                side = 1 - side
                # Beats.
                ready = not full[bank] and not ends
                if released >= 0:
                    full[released] = False
                if ends:
                    full[bank] = True
                    bank = 1 - bank
                ends = False
                if offered and ready:
                    word_taken = True
                    beat += 1
                    if beat == beats:
                        beat = 0
                        ends = True
                continue
            # Extractor of core − 1.
            before = core - 1
            pick_ready = not pick_valid[core] or group_ready
            if group_ready:
                group_valid[core], group_from[core], group_to[core] = pick_valid[core], pick_from[core], pick_to[core]
                group_marker[core], group_final[core] = pick_marker[core], pick_final[core]
            elif move:
                group_from[core] += 1
            stop = word_from[core]
            if stop < word_to[core]:
                number = (places[stop] - word_base[core]) // GROUP_BITS
                while stop < word_to[core] and (places[stop] - word_base[core]) // GROUP_BITS == number:
                    stop += 1
            word_ready = not word_valid[core] or (pick_ready and stop == word_to[core])
            if pick_ready:
                pick_valid[core], pick_from[core], pick_to[core] = word_valid[core], word_from[core], stop
                pick_marker[core] = word_last[core] and stop == word_to[core]
                pick_final[core] = pick_marker[core] and word_final[core]
                word_from[core] = stop
            if word_ready:
                word_valid[core] = False
                if queue_count[before] > queue_hidden[before]:
                    head = queue_head[before]
                    word_from[core], word_to[core] = queue_from[before, head], queue_to[before, head]
                    word_last[core], word_final[core] = queue_last[before, head], queue_final[before, head]
                    word_base[core] = queue_base[before, head]
                    word_valid[core] = word_last[core] or word_from[core] < word_to[core]
                    queue_head[before] = (head + 1) % queue_depth[before]
                    queue_count[before] -= 1
                    queue_freed[before] += int(queue_depth[before] > 1)
            # Core − 1 looked at its queue, and captured into it, before the head was taken.
            queue_count[before] += int(stored[before])
            queue_hidden[before] = int(stored[before] and queue_depth[before] > 1)
        if word_taken:
            accepted[word] = cycle
            word += 1
            if word < len(words):
                available = cycle + 1 + gaps[word]
        is_offered = is_offered and not popped
        if result == count and word == len(words):
            finished = True
            for core in range(cores):
                if inference[core] < count:
                    finished = False
            if finished:
                return True
    return False
