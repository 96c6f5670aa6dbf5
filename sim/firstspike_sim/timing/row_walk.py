# SPDX-License-Identifier: MIT
"""Twin of the row walk, for events."""

import numpy as np

from .compilation import twin

__all__ = ["ROW_WALK", "new_row_walks", "row_at_hand", "step"]

ROW_WALK = np.dtype([
    ("fresh", np.bool_), ("at", np.int64), ("x", np.int64), ("y", np.int64), ("next_row", np.int64),
    ("line_row", np.int64),
], align=True)
"""Its state: whether a walk begins; the row at a position, the position along x and y; the row that follows, and the
first row of the positions along x."""


def new_row_walks(count: int) -> np.ndarray:
    """Walks as reset leaves them, `ROW_WALK` [count]."""
    state = np.zeros(count, ROW_WALK)
    state["fresh"] = True
    return state


@twin
def row_at_hand(walk, first):  # pragma: no cover - compiled
    """The row to be visited; ``first``: where the event's walk begins."""
    return first if walk.fresh else walk.next_row


@twin
def step(walk, edge, first, x_count, y_count):  # pragma: no cover - compiled
    """`firstspike_hw.row_walk`: "for an event, positions along y, at each along x, at each the rows of its channels";
    behind the last row ``walk.fresh``. ``edge``: steps and reach, as in `EDGE_SETTINGS`."""
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
