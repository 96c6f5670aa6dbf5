# SPDX-License-Identifier: MIT
"""Twin of the row walk, for events."""

import numpy as np

from .compilation import twin

__all__ = ["ROW_WALK", "new_row_walks", "row_at_hand", "step"]

ROW_WALK = np.dtype([
    ("fresh", np.bool_), ("at", np.int64), ("x", np.int64), ("y", np.int64), ("next_row", np.int64),
    ("line_row", np.int64),
], align=True)
"""State of a row walk: whether a walk begins (``fresh``); the index ``at`` of the row at its position, and the position
along x and y; the row that follows; and the first row of the current line along x."""


def new_row_walks(count: int) -> np.ndarray:
    """State of walks after reset, `ROW_WALK` [count]."""
    state = np.zeros(count, ROW_WALK)
    state["fresh"] = True
    return state


@twin
def row_at_hand(walk, first):  # pragma: no cover - compiled
    """The row to be visited; ``first`` is the row at which the walk of the event begins."""
    return first if walk.fresh else walk.next_row


@twin
def step(walk, edge, first, x_count, y_count):  # pragma: no cover - compiled
    """A cycle of `firstspike_hw.row_walk`: "an event visits positions along y, at each along x, at each the rows of its
    channels"; ``walk.fresh`` is set after the last row. ``edge`` has the steps and the reach, as in `EDGE_SETTINGS`."""
    row = row_at_hand(walk, first)
    if walk.fresh:
        walk.line_row, walk.fresh = row, False
    walk.next_row = row + 1
    walk.at += 1
    if walk.at < edge.reach:
        return
    walk.at = 0
    walk.next_row += edge.x_row_step - edge.reach
    walk.x += 1
    if walk.x < x_count:
        return
    walk.x = 0
    walk.line_row += edge.y_row_step
    walk.next_row = walk.line_row
    walk.y += 1
    if walk.y == y_count:
        walk.y, walk.fresh = 0, True
