# SPDX-License-Identifier: MIT
"""Twin of the sequencer."""

from typing import NamedTuple

import numpy as np
from firstspike_arch.events import ADDRESS_SHIFT, FINAL_MARKER, MARKER

from . import row_walk, scoreboard, token_head
from .compilation import twin
from .spike_lists import VALUE_SHIFT

__all__ = [
    "CORE_SETTINGS", "EDGE_SETTINGS", "SEQUENCER", "SequencerSettings", "Sequencers", "new_sequencers", "step",
]

EVENT, STEP, FINAL = 0, 1, 2
"""Kinds of tokens."""

FINDING_CYCLES = 5
"""Cycles from the row of an event to the first row of a marker that skips rows, or more."""

CORE_SETTINGS = np.dtype([
    ("rows", np.int64), ("starts", np.int64), ("steps", np.int64), ("finals", np.int64),
    ("first_edge", np.int64), ("edge_end", np.int64), ("scattered", np.bool_), ("forwards", np.bool_),
    ("pools", np.bool_), ("recurs", np.bool_), ("by_bank", np.bool_), ("position_rows", np.int64),
    ("tiles_across", np.int64), ("down", np.int64), ("across", np.int64), ("skips", np.bool_), ("locates", np.bool_),
    ("remote", np.bool_),
], align=True)
"""Settings of the sequencer of a core: its rows, the numbers of passes in the lists of its microcode, the range of its
edges, and the options of the same names in its plan and its microcode. ``by_bank``: rows are compared bank by bank; the
plan's rows at a position, tiles across, and banks ``down`` and ``across``; whether step markers skip rows;
whether it matters where an event visits the banks (``locates``); and whether rows are remote."""

EDGE_SETTINGS = np.dtype([
    ("first_event", np.int64), ("reach", np.int64), ("x_row_step", np.int64), ("y_row_step", np.int64),
    ("decodes", np.bool_), ("serial", np.bool_), ("recurrent", np.bool_), ("number_mask", np.int64),
    ("height", np.int64), ("width", np.int64), ("first_y", np.int64), ("first_x", np.int64), ("y_distance", np.int64),
    ("x_distance", np.int64),
], align=True)
"""Settings for an edge: index of its first event in the tables, and the bits of a token that are added to it (of two
events the first will do, as all visit the same rows); the steps of its `Walk`; height and width of the map that sends
it, index of its first y and x in the windows, and the distances there, if its core ``locates`` events; whether
its tokens are decoded into a register (``decodes``), an event is walked once for each bit of its value (``serial``),
and it comes from its own core (``recurrent``)."""


class SequencerSettings(NamedTuple):
    """Settings of all sequencers.

    ``cores``, ``edges``: `CORE_SETTINGS` [cores], `EDGE_SETTINGS` [edges]. ``settles`` bool[cores, 2, passes]: whether
    the operand of a pass depends on what the pass before wrote, in a core with one row; for the passes of a step marker
    (0) and of a final marker (1), each with those of ``start`` in front. ``row``, ``y_count``, ``x_count``:
    `Walk.visits` of the events of all edges, int64; with several banks, rows have an offset that makes them positive.
    ``windows`` int64[coordinates, 3]: lowest output of the first visit, first and last output reached (`Window`).
    """

    cores: np.ndarray
    edges: np.ndarray
    settles: np.ndarray
    row: np.ndarray
    y_count: np.ndarray
    x_count: np.ndarray
    windows: np.ndarray


SEQUENCER = np.dtype([
    ("boot", np.bool_), ("opening", np.bool_), ("starting", np.bool_), ("masked", np.bool_), ("dropped", np.bool_),
    ("settled", np.bool_), ("position", np.int64), ("row", np.int64), ("chosen", np.int64), ("bits", np.int64),
    ("inference", np.int64), ("step", np.int64), ("busy", np.int64), ("finding", np.int64),
], align=True)
"""State of a sequencer.

``boot``, ``opening``, ``position``, ``settled``, ``dropped`` and ``masked`` are as in the hardware unit. ``starting``:
a token begins. ``row``: the next row of a marker's pass. ``chosen``: the edge of the token at hand, −1 for all edges.
``bits``: bits of a bit-serial event's value that are not yet walked. ``inference``, ``step``: the current ones.
``busy``: cycles of work on tokens so far, as `firstspike_arch.work` counts them. ``finding``: cycles until the rows are
found that events have reached.
"""

TOKEN = np.dtype([("valid", np.bool_), ("kind", np.int64), ("edge", np.int64), ("token", np.int64)], align=True)
"""The token that is worked on, and the edge that it is taken from, −1 for all edges."""


class Sequencers(NamedTuple):
    """State of all sequencers.

    For each core: ``state`` (`SEQUENCER`), ``walks``, ``scoreboards``, and ``at_hand``, the token that is worked on in
    this cycle (`TOKEN`); and ``marks`` bool[cores, rows], the rows that events have reached since the last marker, if
    the core skips others. For each edge: ``heads``, and ``ready`` of the input stream (bool).
    """

    state: np.ndarray
    walks: np.ndarray
    scoreboards: np.ndarray
    heads: np.ndarray
    at_hand: np.ndarray
    ready: np.ndarray
    marks: np.ndarray


def new_sequencers(settings: SequencerSettings) -> Sequencers:
    """State of the sequencers after reset."""
    count = len(settings.cores)
    state = np.zeros(count, SEQUENCER)
    state["boot"] = state["opening"] = state["starting"] = True
    state["position"] = np.where(settings.cores["pools"], 0, settings.cores["starts"])
    return Sequencers(
        state=state, walks=row_walk.new_row_walks(count), scoreboards=scoreboard.new_scoreboards(count),
        heads=token_head.new_heads(settings.edges["recurrent"]), at_hand=np.zeros(count, TOKEN),
        ready=np.zeros(len(settings.edges), np.bool_),
        marks=np.zeros((count, int((settings.cores["rows"] * settings.cores["skips"]).max())), np.bool_),
    )


@twin
def _kind(token):  # pragma: no cover - compiled
    return (FINAL if token == FINAL_MARKER else STEP) if token & MARKER else EVENT


@twin
def _choose(hand, settings, state, first, end, heads):  # pragma: no cover - compiled
    """Choose the next token among several streams: "an event is taken from the first stream that holds one; a marker
    waits until every stream holds one, and then all are taken". Step markers of a dropped inference are taken alone;
    "markers of the recurrent stream are kept until the final one"."""
    all_valid = True
    hand.valid, hand.edge = False, -1
    for edge in range(first, end):
        head = heads[edge]
        all_valid = all_valid and head.valid
        kind = _kind(head.token)
        alone = kind == STEP and state.dropped and not settings.edges[edge].recurrent
        if hand.edge < 0 and head.valid and (kind == EVENT or alone):
            hand.valid, hand.kind, hand.edge, hand.token = True, kind, edge, head.token
    if hand.edge < 0 and all_valid:
        hand.valid, hand.kind = True, _kind(heads[first].token)
    state.chosen = hand.edge


@twin
def _look(hand, settings, core, state, streams, heads):  # pragma: no cover - compiled
    """Find the token at hand: directly from the stream, or "decoded into a register first"; or chosen from several
    streams."""
    first, end = settings.cores[core].first_edge, settings.cores[core].edge_end
    if state.boot:
        hand.valid, hand.kind, hand.edge = True, FINAL, -1
    elif end - first == 1:
        if settings.edges[first].decodes:
            hand.valid, hand.token = heads[first].valid, heads[first].token
        else:
            hand.valid, hand.token = streams[first].valid, streams[first].token
        hand.kind, hand.edge = _kind(hand.token), first
    elif state.starting:
        _choose(hand, settings, state, first, end, heads)
    else:
        hand.valid, hand.edge = True, state.chosen
        hand.token = heads[max(first, state.chosen)].token
        hand.kind = _kind(hand.token)


@twin
def _event(hand, edge):  # pragma: no cover - compiled
    """Index of an event in the tables."""
    return edge.first_event + ((hand.token >> ADDRESS_SHIFT) & edge.number_mask)


@twin
def _reaches_nothing(hand, settings, state):  # pragma: no cover - compiled
    """Whether an event reaches no row: "an event that reaches nothing costs one cycle". A value of 0 also reaches none,
    nor do the layer's own events "that arrive during the first step"."""
    edge = settings.edges[hand.edge]
    event = _event(hand, edge)
    if edge.serial and state.starting:
        state.bits = hand.token >> (ADDRESS_SHIFT + VALUE_SHIFT)
        if state.bits == 0:
            return True
    return settings.y_count[event] * settings.x_count[event] == 0 or (edge.recurrent and state.opening)


@twin
def _locate(spot, settings, plan, edge, number, walk, row):  # pragma: no cover - compiled
    """Set where the banks are visited: "with several banks, an event visits as many positions in the same cycle, each
    bank in a row of its own"."""
    spot.row = row % plan.position_rows
    _set_window(spot.y, settings.windows[edge.first_y + number // edge.width % edge.height], walk.y, edge.y_distance,
                plan.down)
    _set_window(spot.x, settings.windows[edge.first_x + number % edge.width], walk.x, edge.x_distance, plan.across)


@twin
def _set_window(span, window, visit, distance, banks):  # pragma: no cover - compiled
    """Set the outputs of a visit along an axis."""
    lowest = window[0] + visit * distance * banks
    scoreboard.set_span(span, max(lowest, window[1]), min(lowest + distance * (banks - 1), window[2]), distance)


@twin
def _locate_tile(spot, plan, row):  # pragma: no cover - compiled
    """Set where the banks are visited by a row of a marker's pass: in a tile."""
    tile, spot.row = row // plan.position_rows, row % plan.position_rows
    y, x = tile // plan.tiles_across * plan.down, tile % plan.tiles_across * plan.across
    scoreboard.set_span(spot.y, y, y + plan.down - 1, 1)
    scoreboard.set_span(spot.x, x, x + plan.across - 1, 1)


@twin
def _mark(marks, plan, spot, row):  # pragma: no cover - compiled
    """Mark the rows that an event reaches: one, or one in each of the tiles in which its banks are."""
    if not plan.locates:
        marks[row] = True
        return
    for y in range(spot.y.low, spot.y.high + 1, spot.y.distance):
        for x in range(spot.x.low, spot.x.high + 1, spot.x.distance):
            tile = y // plan.down * plan.tiles_across + x // plan.across
            marks[tile * plan.position_rows + spot.row] = True


@twin
def _walk(hand, settings, state, walk, board, plan, marks):  # pragma: no cover - compiled
    """Walk one row of an event; return the row, or −1 if it must wait. ``state.starting`` is set after the last row.

    "If the plan is ``bit_serial``, an event is walked once for each bit of its value that is 1".
    """
    edge = settings.edges[hand.edge]
    event = _event(hand, edge)
    first = settings.row[event]
    row = row_walk.row_at_hand(walk, first)
    if plan.locates:
        _locate(board.spot, settings, plan, edge, event - edge.first_event, walk, row)
    if plan.scattered and scoreboard.waits(board, plan, row, False, state.starting):
        return -1
    row_walk.step(walk, edge, first, settings.x_count[event], settings.y_count[event])
    if walk.fresh:
        state.bits &= state.bits - 1
    state.starting = walk.fresh and (not edge.serial or state.bits == 0)
    if plan.skips:
        _mark(marks, plan, board.spot, row)
    return row


@twin
def _row_behind(kind, plan, marks, row):  # pragma: no cover - compiled
    """The row that a marker's pass visits next: "if the plan ``skips``, a step marker visits row 0 and those that an
    event of the step visited". The number of rows, if there is none."""
    row += 1
    if plan.skips and kind == STEP:
        while row < plan.rows and not marks[row]:
            row += 1
    return row


@twin
def _pass(kind, settles, state, board, plan, marks, issue):  # pragma: no cover - compiled
    """Do one row of a marker's passes; return the row, or −1 if it must wait. ``state.starting`` is set after the last
    row.

    The first pass of a step or final marker, after those of the start, captures the spikes.

    "With a single row, a pass whose operand depends on the result of the previous pass waits one cycle"; the passes
    after reset "run once without capturing, behind those that clear the sums of a pool of currents". Where rows are
    skipped, "a marker waits until they are found: its first row follows an event's row by five cycles or more".
    """
    row = state.row
    state.settled = settles[kind - 1, state.position] and not state.settled
    if plan.by_bank:
        _locate_tile(board.spot, plan, row)
    finding = state.starting and state.finding > 0
    if state.settled or finding or (plan.scattered and scoreboard.waits(board, plan, row, True, state.starting)):
        return -1
    issue.captures = state.position == plan.starts and not state.boot
    if issue.captures:
        issue.row, issue.final, issue.masked = row, kind == FINAL, state.masked
        issue.inference, issue.step = state.inference, state.step
    state.starting = False
    state.row = _row_behind(kind, plan, marks, row)
    issue.last = state.row == plan.rows
    if issue.last:
        state.row = 0
        state.position += 1
        state.starting = state.position == plan.starts + (plan.finals if kind == FINAL else plan.steps)
    return row


@twin
def _end_marker(kind, plan, state):  # pragma: no cover - compiled
    """Prepare for the token after a marker. "The final marker's passes also start the next inference, so that there is
    no sweep between inferences"."""
    state.position = 0 if kind == FINAL or plan.recurs else plan.starts
    if state.boot:
        state.boot = False
        return
    state.opening = kind == FINAL
    state.step = 0 if kind == FINAL else state.step + 1
    state.inference += int(kind == FINAL)


@twin
def _take(hand, plan, edges, streams, heads, ready):  # pragma: no cover - compiled
    """Set which streams are ready (those that the token at hand is taken from), and load the heads."""
    for edge in range(plan.first_edge, plan.edge_end):
        taken = hand.valid and (hand.edge < 0 or hand.edge == edge)
        if edges[edge].decodes:
            taken = token_head.step(heads[edge], streams[edge], taken)
        ready[edge] = taken


@twin
def _work(hand, settings, units, core, issue):  # pragma: no cover - compiled
    """Work on the token at hand for a cycle; return the row that is issued, or −1. ``hand.valid`` then says whether it
    is taken.

    "A token is taken with its last row". In a dropped inference, "events and step markers are taken without effect, one
    a cycle".
    """
    plan, state, board = settings.cores[core], units.state[core], units.scoreboards[core]
    kind, boot, marks = hand.kind, state.boot, units.marks[core]
    if (state.dropped and state.starting and kind != FINAL) or (
        kind == EVENT and _reaches_nothing(hand, settings, state)
    ):
        return -1
    if kind == EVENT:
        row = _walk(hand, settings, state, units.walks[core], board, plan, marks)
    else:
        row = _pass(kind, settings.settles[core], state, board, plan, marks, issue)
        if row >= 0 and state.starting:
            _end_marker(kind, plan, state)
            for place in range(plan.rows * int(plan.skips)):
                marks[place] = False
    hand.valid = row >= 0 and state.starting and not boot
    return row


@twin
def step(settings, units, core, streams, free, drop_valid, drop_inference, issue):  # pragma: no cover - compiled
    """A cycle of `firstspike_hw.sequencer`; return the row that it issues, or −1.

    ``issue`` (`core.ROW`) describes a row whose spikes are captured. ``streams`` [edges] are registers with ``valid``
    and ``token``; ``units.ready`` is set for them.

    It "turns tokens into rows: one row a cycle, with no idle cycles between tokens"; "a token is taken with its last
    row". "From the cycle after ``drop`` names the current inference, events and step markers are taken without effect,
    one a cycle".
    """
    state, hand = units.state[core], units.at_hand[core]
    issue.captures = hand.valid = False
    row = -1
    state.finding -= int(state.finding > 0)
    if free:
        _look(hand, settings, core, state, streams, units.heads)
        if state.starting:
            state.masked = state.dropped
        if hand.valid:
            boot = state.boot
            row = _work(hand, settings, units, core, issue)
            # Busy: a row, a token that is taken without one, or the wait for an operand that is being written.
            state.busy += int(not boot and (row >= 0 or hand.valid or state.settled))
            if row >= 0 and hand.kind == EVENT and settings.cores[core].skips:
                state.finding = FINDING_CYCLES
    scoreboard.step(units.scoreboards[core], settings.cores[core], free, row)
    _take(hand, settings.cores[core], settings.edges, streams, units.heads, units.ready)
    state.dropped = drop_valid and drop_inference == state.inference
    return row
