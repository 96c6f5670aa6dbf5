# SPDX-License-Identifier: MIT
"""Twin of the scoreboard."""

import numpy as np

from .compilation import twin

__all__ = ["SCOREBOARD", "new_scoreboards", "step", "waits"]

SCOREBOARD = np.dtype([("fetched", np.int64), ("operand", np.int64)], align=True)
"""State of a scoreboard: the rows in the two stages behind the sequencer, −1 for none."""


def new_scoreboards(count: int) -> np.ndarray:
    """State of scoreboards after reset, `SCOREBOARD` [count]."""
    return np.full(count, -1, np.int64).repeat(2).view(SCOREBOARD)


@twin
def waits(board, forwards, drains, row, marker, starting):  # pragma: no cover - compiled
    """Whether a row must wait: "a row waits while the same row is in either stage. If sums are forwarded, only rows of
    a marker's passes wait for that. If sums are forwarded, or ``drains``, the first row of a marker waits until both
    stages are empty"."""
    if forwards and not marker:
        return False
    if (forwards or drains) and marker and starting:
        return board.fetched >= 0 or board.operand >= 0
    return row == board.fetched or row == board.operand


@twin
def step(board, free, row):  # pragma: no cover - compiled
    """A cycle of `firstspike_hw.scoreboard`, which "tracks the rows in the stages after the sequencer". ``row`` enters,
    −1: none."""
    if free:
        board.operand, board.fetched = board.fetched, row
