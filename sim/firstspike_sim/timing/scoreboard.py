# SPDX-License-Identifier: MIT
"""Twin of the scoreboard."""

import numpy as np

from .compilation import twin

__all__ = ["SCOREBOARD", "SPOT", "new_scoreboards", "set_span", "step", "waits"]

SPAN = np.dtype([("low", np.int64), ("high", np.int64), ("distance", np.int64)], align=True)
"""Outputs along an axis: the first, the last, and the distance between them."""

SPOT = np.dtype([("row", np.int64), ("y", SPAN), ("x", SPAN)], align=True)
"""What the banks are visited for: a row among those at each position, at the outputs of two `SPAN`."""

SCOREBOARD = np.dtype([
    *((f"row{stage}", np.int64) for stage in range(4)), ("spot", SPOT), *((f"spot{stage}", SPOT) for stage in range(4)),
], align=True)
"""State of a scoreboard: the rows in the stages behind the sequencer, −1 for none: in two, or in four if rows are
remote. Where rows are compared bank by bank, also where they are: two rows are in one row of one bank if they are for
one output. ``spot`` is the current one."""


def new_scoreboards(count: int) -> np.ndarray:
    """State of scoreboards after reset, `SCOREBOARD` [count]."""
    state = np.zeros(count, SCOREBOARD)
    for stage in range(4):
        state[f"row{stage}"] = -1
    return state


@twin
def set_span(span, low, high, distance):  # pragma: no cover - compiled
    """Set the fields of a `SPAN`."""
    span.low, span.high, span.distance = low, high, distance


@twin
def _meet(one, other):  # pragma: no cover - compiled
    """Whether two `SPAN` have an output in common."""
    for output in range(max(one.low, other.low), min(one.high, other.high) + 1):
        if (output - one.low) % one.distance == 0 and (output - other.low) % other.distance == 0:
            return True
    return False


@twin
def _same(one, other):  # pragma: no cover - compiled
    """Whether two `SPOT` are in one row of one bank."""
    return one.row == other.row and _meet(one.y, other.y) and _meet(one.x, other.x)


@twin
def _meets(board, row, spot):  # pragma: no cover - compiled
    """Whether the current row is the one in a stage, if there is any."""
    return row >= 0 and _same(board.spot, spot)


@twin
def _copy(spot, other):  # pragma: no cover - compiled
    spot.row = other.row
    set_span(spot.y, other.y.low, other.y.high, other.y.distance)
    set_span(spot.x, other.x.low, other.x.high, other.x.distance)


@twin
def waits(board, plan, row, marker, starting):  # pragma: no cover - compiled
    """Whether a row must wait: "a row waits while the same row of the same bank is in one of the stages. If sums are
    forwarded, only rows of a marker's passes wait for that. If sums are forwarded, or ``drains``, the first row of a
    marker waits until all stages are empty"."""
    if plan.forwards and not marker:
        return False
    if (plan.forwards or plan.pools) and marker and starting:  # its rows are not remote
        return board.row0 >= 0 or board.row1 >= 0
    if plan.by_bank:
        return _meets(board, board.row0, board.spot0) or _meets(board, board.row1, board.spot1) or (plan.remote and (
            _meets(board, board.row2, board.spot2) or _meets(board, board.row3, board.spot3)))
    return row == board.row0 or row == board.row1 or (plan.remote and (row == board.row2 or row == board.row3))


@twin
def step(board, plan, free, row):  # pragma: no cover - compiled
    """A cycle of `firstspike_hw.scoreboard`, which "tracks the rows in the stages after the sequencer". ``row`` enters,
    −1: none."""
    if free:
        if plan.remote:
            board.row3, board.row2 = board.row2, board.row1
        board.row1, board.row0 = board.row0, row
        if plan.by_bank:
            if plan.remote:
                _copy(board.spot3, board.spot2)
                _copy(board.spot2, board.spot1)
            _copy(board.spot1, board.spot0)
            _copy(board.spot0, board.spot)
