# SPDX-License-Identifier: MIT
"""The timing model's inner loop: one clock cycle after another, compiled."""

from typing import NamedTuple

import numba
import numpy as np
from firstspike_arch.array import GROUP_BITS
from firstspike_arch.events import ADDRESS_SHIFT, FINAL_MARKER, MARKER

from .spike_lists import VALUE_SHIFT

__all__ = ["Cores", "Log", "Machine", "Offer", "Spikes", "Walks", "run"]

NUMBER_MASK = (1 << VALUE_SHIFT) - 1


class Machine(NamedTuple):
    """What is one for all: port, read-out (cycles of ``comparing``), beats of an image, most cycles."""

    image: bool
    direct: bool
    steps: int
    early_exit: bool
    comparing: int
    scan: bool
    earliest: bool
    beats: int
    limit: int


class Cores(NamedTuple):
    """By core: rows and bits of a word of spikes; cycles of issuing start, step and final program; depth of its spike
    queue; whether an event visits some rows only, and whether sums are forwarded; whether its spikes go anywhere; its
    edges ``edge_first[i]`` … ``edge_first[i + 1]``.

    By edge: its sender (0: the input, i + 1: core i), and whether it comes from the core it goes to. ``last``: the
    output core.
    """

    rows: np.ndarray
    lanes: np.ndarray
    issue: np.ndarray
    queue_depth: np.ndarray
    scattered: np.ndarray
    forwards: np.ndarray
    sends: np.ndarray
    edge_first: np.ndarray
    edge_source: np.ndarray
    recurrent: np.ndarray
    last: int


class Walks(NamedTuple):
    """`Walk.visits` of the edges in a row, from ``offsets`` on; by edge, row steps (rows visited at a position, along
    x, along y), whether tokens are decoded in a register, whether an event is walked for each bit of its value, most
    rows of a walk."""

    offsets: np.ndarray
    row: np.ndarray
    y_count: np.ndarray
    x_count: np.ndarray
    row_steps: np.ndarray
    decodes: np.ndarray
    serial: np.ndarray
    longest: np.ndarray


class Offer(NamedTuple):
    """Words at the input, idle cycles before each, and cycles for which each result waits."""

    words: np.ndarray
    gaps: np.ndarray
    stalls: np.ndarray


class Spikes(NamedTuple):
    """`SpikeLists`, and the step in which each inference is decided."""

    codes: np.ndarray
    places: np.ndarray
    offsets: np.ndarray
    first_step: np.ndarray
    decision_steps: np.ndarray


class Log(NamedTuple):
    """What `run` fills in: cycles of words and results; tokens and cycles of edge l from ``edge_start[l]`` on."""

    accepted: np.ndarray
    decided: np.ndarray
    taken: np.ndarray
    edge_start: np.ndarray
    edge_used: np.ndarray
    edge_tokens: np.ndarray
    edge_cycles: np.ndarray


@numba.njit(cache=True)
def run(machine, cores, walks, offer, spikes, log):  # pragma: no cover - compiled
    """Whether all results were taken within the limit.

    In each cycle: what each unit does with the state it finds, then the new state. Per edge: the token buffer (token
    register, second register) and, if it decodes, the token at hand. Per sender: the emitter (group register), and
    behind a core its extractor (word register, pick register) and spike queue. Per core: sequencer, fetch, operand and
    add stage.
    """
    rows, lanes, last = cores.rows, cores.lanes, cores.last
    words, codes, places, offsets, first_step = (
        offer.words, spikes.codes, spikes.places, spikes.offsets, spikes.first_step)
    count, core_count, edge_count, senders = len(first_step) - 1, len(rows), len(cores.edge_source), len(rows) + 1
    # Edges.
    token_valid, token = np.zeros(edge_count, np.bool_), np.zeros(edge_count, np.int64)
    second_valid, second = np.zeros(edge_count, np.bool_), np.zeros(edge_count, np.int64)
    hand_valid, hand = cores.recurrent.copy(), np.full(edge_count, MARKER)
    used = np.zeros(edge_count, np.bool_)
    # Senders: emitters, with a group register [from, to) and a marker behind it; whether all takers have room.
    group_valid, group_from = np.zeros(senders, np.bool_), np.zeros(senders, np.int64)
    group_to = np.zeros(senders, np.int64)
    group_marker, group_final = np.zeros(senders, np.bool_), np.zeros(senders, np.bool_)
    room = np.zeros(senders, np.bool_)
    # Extractors behind core s − 1.
    pick_valid, pick_from = np.zeros(senders, np.bool_), np.zeros(senders, np.int64)
    pick_to = np.zeros(senders, np.int64)
    pick_marker, pick_final = np.zeros(senders, np.bool_), np.zeros(senders, np.bool_)
    word_valid, word_from = np.zeros(senders, np.bool_), np.zeros(senders, np.int64)
    word_to, word_base = np.zeros(senders, np.int64), np.zeros(senders, np.int64)
    word_last, word_final = np.zeros(senders, np.bool_), np.zeros(senders, np.bool_)
    # Spike queues behind cores.
    depth = cores.queue_depth.max()
    queue_from, queue_to = np.zeros((core_count, depth), np.int64), np.zeros((core_count, depth), np.int64)
    queue_last, queue_final = np.zeros((core_count, depth), np.bool_), np.zeros((core_count, depth), np.bool_)
    queue_base = np.zeros((core_count, depth), np.int64)
    queue_head, queue_count = np.zeros(core_count, np.int64), np.zeros(core_count, np.int64)
    # A memory shows a word, and the room that a word taken leaves, one cycle later than a register does; so is known
    # that a word is not kept.
    queue_hidden, queue_freed = np.zeros(core_count, np.int64), np.zeros(core_count, np.int64)
    # Cores. Place in the token's passes, or for an event in its walk; the edge it is from (−1: a marker of all); rows
    # issued one and two cycles before; whether no marker of the inference was done.
    boot, slot = np.ones(core_count, np.bool_), np.zeros(core_count, np.int64)
    chosen, opening = np.zeros(core_count, np.int64), np.ones(core_count, np.bool_)
    walk_x, walk_y = np.zeros(core_count, np.int64), np.zeros(core_count, np.int64)
    walk_reach, walk_bits = np.zeros(core_count, np.int64), np.zeros(core_count, np.int64)
    next_row, line_row = np.zeros(core_count, np.int64), np.zeros(core_count, np.int64)
    row_before, row_two_before = np.full(core_count, -1), np.full(core_count, -1)
    inference, step = np.zeros(core_count, np.int64), np.zeros(core_count, np.int64)
    masked = np.zeros(core_count, np.bool_)
    fetch_captures, fetch_row = np.zeros(core_count, np.bool_), np.zeros(core_count, np.int64)
    fetch_inference, fetch_step = np.zeros(core_count, np.int64), np.zeros(core_count, np.int64)
    fetch_final, fetch_masked = np.zeros(core_count, np.bool_), np.zeros(core_count, np.bool_)
    operand_captures, operand_row = np.zeros(core_count, np.bool_), np.zeros(core_count, np.int64)
    operand_inference, operand_step = np.zeros(core_count, np.int64), np.zeros(core_count, np.int64)
    operand_final, operand_masked = np.zeros(core_count, np.bool_), np.zeros(core_count, np.bool_)
    add_captures, add_row = np.zeros(core_count, np.bool_), np.zeros(core_count, np.int64)
    add_inference, add_step = np.zeros(core_count, np.int64), np.zeros(core_count, np.int64)
    add_final, add_masked = np.zeros(core_count, np.bool_), np.zeros(core_count, np.bool_)
    stored = np.zeros(core_count, np.bool_)
    # Where the next row of a layer's spikes starts, within its step.
    row_pointer = np.zeros(core_count, np.int64)
    # Encoder.
    beat, bank, side, markers_left = 0, 0, 0, 0
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
        available = offer.gaps[0]

    for cycle in range(machine.limit):
        # Cores and encoder see what is to be dropped one cycle late.
        seen_valid, seen_inference = drop_valid, drop_inference
        # Read-out: a step decides, and the result is offered.
        if due == cycle:
            settles = not is_decided and due_step == spikes.decision_steps[due_inference]
            is_offered = settles if machine.early_exit else due_final
            if settles or due_final:
                drop_valid, drop_inference = machine.early_exit and not due_final, due_inference
            is_decided = (is_decided or settles) and not due_final
        popped = False
        if is_offered:
            if log.decided[result] < 0:
                log.decided[result] = cycle
            if cycle >= log.decided[result] + offer.stalls[result]:
                log.taken[result] = cycle
                result += 1
                popped = True

        # The input port: one word.
        offered = word < len(words) and cycle >= available
        word_taken = False
        # A sender moves when all its takers have room.
        room[:] = True
        for edge in range(edge_count):
            if second_valid[edge]:
                room[cores.edge_source[edge]] = False

        for core in range(core_count):
            first_edge, edge_end = cores.edge_first[core], cores.edge_first[core + 1]
            # Promise for the row in the operand stage.
            grant = True
            if core == last:
                waits = machine.scan or operand_row[core] == 0
                grant = not waits or not (is_offered or add_captures[core] or cycle < grant_from)
            if cores.sends[core]:
                held = queue_count[core] + queue_freed[core] + int(add_captures[core])
                grant = grant and held < cores.queue_depth[core]
                queue_freed[core] = 0
            waits = operand_captures[core] and not grant
            # Add stage: spikes leave the core.
            stored[core] = False
            if add_captures[core]:
                ends_step = add_row[core] == rows[core] - 1
                if core == last:
                    # Rows that can decide nothing do not enter.
                    settling = add_step[core] == spikes.decision_steps[add_inference[core]]
                    if add_final[core] or (machine.earliest and (rows[core] > 1 or settling)):
                        grant_from = cycle + 1 + machine.comparing
                        if ends_step:
                            due, due_inference = grant_from, add_inference[core]
                            due_step, due_final = add_step[core], add_final[core]
                if cores.sends[core]:
                    at = (queue_head[core] + queue_count[core]) % cores.queue_depth[core]
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
            for edge in range(first_edge, edge_end):
                used[edge] = False
            # Issue.
            if not waits:
                operand_captures[core] = fetch_captures[core]
                operand_row[core], operand_final[core] = fetch_row[core], fetch_final[core]
                operand_inference[core], operand_step[core] = fetch_inference[core], fetch_step[core]
                operand_masked[core] = fetch_masked[core]
                fetch_captures[core] = False
                starting = slot[core] == 0
                dropped = seen_valid and seen_inference == inference[core]
                # The token at hand. Kind 0: an event, 1: a step marker, 2: a final marker.
                valid, kind, alone = False, 0, False
                if boot[core]:
                    valid, kind = True, 2
                elif edge_end - first_edge == 1:
                    value, valid = token[first_edge], token_valid[first_edge]
                    if walks.decodes[first_edge]:
                        value, valid = hand[first_edge], hand_valid[first_edge]
                    kind = 1 + (value & 1) if value & MARKER else 0
                    chosen[core] = first_edge
                elif not starting:
                    valid = True
                    kind = 1 + (hand[first_edge] & 1) if chosen[core] < 0 else 0
                else:
                    chosen[core] = -1
                    all_valid = True
                    for edge in range(first_edge, edge_end):
                        all_valid = all_valid and hand_valid[edge]
                        marker = hand[edge] & MARKER != 0
                        alone_here = marker and dropped and not cores.recurrent[edge] and hand[edge] != FINAL_MARKER
                        if chosen[core] < 0 and hand_valid[edge] and (not marker or alone_here):
                            chosen[core], valid, alone = edge, True, alone_here
                    if chosen[core] < 0 and all_valid:
                        valid, kind = True, 1 + (hand[first_edge] & 1)
                edge = chosen[core]
                event, empty_value = 0, False
                if valid and kind == 0 and not alone:
                    value = hand[edge] if walks.decodes[edge] else token[edge]
                    event = walks.offsets[edge] + ((value >> ADDRESS_SHIFT) & NUMBER_MASK)
                    if walks.serial[edge] and starting:
                        walk_bits[core] = value >> (ADDRESS_SHIFT + VALUE_SHIFT)
                        empty_value = walk_bits[core] == 0
                if starting:
                    masked[core] = dropped
                issued = -1
                took = False
                done = False  # with effect
                if not valid:
                    pass
                elif (dropped and starting and kind != 2) or (kind == 0 and (
                    walks.y_count[event] * walks.x_count[event] == 0 or empty_value
                    or (cores.recurrent[edge] and opening[core])
                )):
                    took = True
                else:
                    opens = kind != 0 and opening[core] and not boot[core]
                    captures_from = cores.issue[core, 0] if opens else 0
                    row = slot[core] % rows[core]
                    if kind == 0:
                        row = walks.row[event] if starting else next_row[core]
                    clear = not cores.scattered[core] or (row != row_before[core] and row != row_two_before[core])
                    if cores.forwards[core]:
                        empty = row_before[core] < 0 and row_two_before[core] < 0
                        clear = kind == 0 or (clear and (empty or not starting))
                    if clear:
                        issued = row
                        if kind == 0:
                            if starting:
                                line_row[core] = row
                            walk_reach[core] += 1
                            next_row[core] = row + 1
                            if walk_reach[core] == walks.row_steps[edge, 0]:
                                walk_reach[core] = 0
                                walk_x[core] += 1
                                next_row[core] = row + 1 - walks.row_steps[edge, 0] + walks.row_steps[edge, 1]
                                if walk_x[core] == walks.x_count[event]:
                                    walk_x[core] = 0
                                    walk_y[core] += 1
                                    line_row[core] += walks.row_steps[edge, 2]
                                    next_row[core] = line_row[core]
                                    if walk_y[core] == walks.y_count[event]:
                                        walk_y[core] = 0
                                        next_row[core] = line_row[core] = walks.row[event]
                                        walk_bits[core] &= walk_bits[core] - 1
                                        took = not walks.serial[edge] or walk_bits[core] == 0
                        else:
                            if captures_from <= slot[core] < captures_from + rows[core] and not boot[core]:
                                fetch_captures[core] = True
                                fetch_row[core], fetch_final[core] = row, kind == 2
                                fetch_inference[core], fetch_step[core] = inference[core], step[core]
                                fetch_masked[core] = masked[core]
                            took = done = slot[core] + 1 == captures_from + cores.issue[core, kind]
                        slot[core] = 0 if took else slot[core] + 1
                row_two_before[core] = row_before[core]
                row_before[core] = issued
                if took and boot[core]:
                    boot[core], took = False, False
                elif done:
                    opening[core] = kind == 2
                    step[core] += 1
                    if kind == 2:
                        inference[core] += 1
                        step[core] = 0
                if took and kind == 0:
                    used[edge] = True
                elif took:
                    used[first_edge:edge_end] = True
            # From the token buffers into the core.
            for edge in range(first_edge, edge_end):
                value = token[edge]
                if walks.decodes[edge]:
                    moves_on = not hand_valid[edge] or used[edge]
                    if moves_on:
                        hand_valid[edge], hand[edge] = token_valid[edge], value
                    used[edge] = moves_on and token_valid[edge]
                if used[edge]:
                    at = log.edge_start[edge] + log.edge_used[edge]
                    log.edge_tokens[at], log.edge_cycles[at] = value, cycle
                    log.edge_used[edge] += 1

        # The token buffers, and what feeds them: a guard without registers, or an emitter.
        for edge in range(edge_count):
            sender = cores.edge_source[edge]
            if sender == 0 and not machine.image:
                source_valid, source = offered, words[word] if offered else 0
                word_taken = offered and room[0]
            else:
                source_valid = group_valid[sender]
                if group_from[sender] < group_to[sender]:
                    source = codes[group_from[sender]] << ADDRESS_SHIFT
                else:
                    source = FINAL_MARKER if group_final[sender] else MARKER
            source_valid = source_valid and room[sender]
            if used[edge] or not token_valid[edge]:
                token_valid[edge] = source_valid or second_valid[edge]
                token[edge] = second[edge] if second_valid[edge] else source
                second_valid[edge] = False
            elif not second_valid[edge]:
                second_valid[edge], second[edge] = source_valid, source

        for sender in range(senders):
            if (sender == 0 and not machine.image) or (sender > 0 and not cores.sends[sender - 1]):
                continue
            move = room[sender]
            has_spike = group_from[sender] < group_to[sender]
            single = group_to[sender] - group_from[sender] == 1 and not group_marker[sender] if has_spike else True
            group_ready = not group_valid[sender] or (move and single)
            if sender == 0:
                # Encoder: its fetched entry is the next group.
                fetch_ready = not item_valid or group_ready
                if group_ready:
                    group_valid[0], group_from[0], group_to[0] = item_valid, item_from, item_to
                    group_marker[0], group_final[0] = item_marker, item_final
                elif move:
                    group_from[0] += 1
                if machine.direct:
                    if not fetch_ready:
                        continue
                    item_valid = False
                    if markers_left > 0:
                        item_valid, item_marker, item_final = True, True, markers_left == 1
                        item_from = item_to
                        markers_left -= 1
                    elif offered:
                        word_taken = True
                        if beat == 0:
                            sent_from = offsets[0, first_step[sent_inference]]
                        item_from, item_to = sent_from, sent_from
                        stop = offsets[0, first_step[sent_inference] + 1]
                        while item_to < stop and places[item_to] // GROUP_BITS == beat:
                            item_to += 1
                        sent_from = item_to
                        beat += 1
                        item_marker = beat == machine.beats
                        item_final = item_marker and machine.steps == 1
                        item_valid = item_marker or item_to > item_from
                        if item_marker:
                            beat, markers_left = 0, machine.steps - 1
                            sent_inference += 1
                    continue
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
                    if beat == machine.beats:
                        beat = 0
                        ends = True
                continue
            # Extractor.
            core = sender - 1
            pick_ready = not pick_valid[sender] or group_ready
            if group_ready:
                group_valid[sender], group_marker[sender] = pick_valid[sender], pick_marker[sender]
                group_from[sender], group_to[sender] = pick_from[sender], pick_to[sender]
                group_final[sender] = pick_final[sender]
            elif move:
                group_from[sender] += 1
            stop = word_from[sender]
            if stop < word_to[sender]:
                number = (places[stop] - word_base[sender]) // GROUP_BITS
                while stop < word_to[sender] and (places[stop] - word_base[sender]) // GROUP_BITS == number:
                    stop += 1
            word_ready = not word_valid[sender] or (pick_ready and stop == word_to[sender])
            if pick_ready:
                pick_valid[sender], pick_from[sender], pick_to[sender] = word_valid[sender], word_from[sender], stop
                pick_marker[sender] = word_last[sender] and stop == word_to[sender]
                pick_final[sender] = pick_marker[sender] and word_final[sender]
                word_from[sender] = stop
            if word_ready:
                word_valid[sender] = False
                if queue_count[core] > queue_hidden[core]:
                    head = queue_head[core]
                    word_from[sender], word_to[sender] = queue_from[core, head], queue_to[core, head]
                    word_last[sender], word_final[sender] = queue_last[core, head], queue_final[core, head]
                    word_base[sender] = queue_base[core, head]
                    word_valid[sender] = word_last[sender] or word_from[sender] < word_to[sender]
                    queue_head[core] = (head + 1) % cores.queue_depth[core]
                    queue_count[core] -= 1
                    queue_freed[core] += int(cores.queue_depth[core] > 1)
            # The core looked at its queue, and captured into it, before the head was taken.
            queue_count[core] += int(stored[core])
            queue_hidden[core] = int(stored[core] and cores.queue_depth[core] > 1)
        if word_taken:
            log.accepted[word] = cycle
            word += 1
            if word < len(words):
                available = cycle + 1 + offer.gaps[word]
        is_offered = is_offered and not popped
        if result == count and word == len(words):
            finished = True
            for core in range(core_count):
                if inference[core] < count:
                    finished = False
            # Spikes of the last step, which a recurrent layer takes without effect.
            for edge in range(edge_count):
                if cores.recurrent[edge] and log.edge_used[edge] and finished:
                    last_token = log.edge_tokens[log.edge_start[edge] + log.edge_used[edge] - 1]
                    finished = last_token == FINAL_MARKER and log_finals(log, edge) == count
            if finished:
                return True
    return False


@numba.njit(cache=True)
def log_finals(log, edge):  # pragma: no cover - compiled
    """Final markers that a edge has passed."""
    start = log.edge_start[edge]
    finals = 0
    for at in range(start, start + log.edge_used[edge]):
        finals += int(log.edge_tokens[at] == FINAL_MARKER)
    return finals
