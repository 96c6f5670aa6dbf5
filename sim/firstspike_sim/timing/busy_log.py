# SPDX-License-Identifier: MIT
"""Busy log: how long each core has worked by the end of each window of cycles, at a size that does not grow."""

from typing import NamedTuple

import numpy as np

from .compilation import twin

__all__ = ["WINDOWS", "BusyLog", "busy_windows", "new_busy_log", "note"]

WINDOWS = 1024
"""Number of windows of a log. When all are full, two at a time become one, and windows are twice as long from then on.
"""


class BusyLog(NamedTuple):
    """``upto`` int64[WINDOWS, cores]: busy cycles of each core until the end of the window; ``span`` int64[1]: cycles
    of a window; ``cycles`` int64[1]: cycles noted."""

    upto: np.ndarray
    span: np.ndarray
    cycles: np.ndarray


def new_busy_log(cores: int) -> BusyLog:
    """An empty log of so many cores, with windows of one cycle."""
    return BusyLog(upto=np.zeros((WINDOWS, cores), np.int64), span=np.ones(1, np.int64), cycles=np.zeros(1, np.int64))


@twin
def note(log, sequencers):  # pragma: no cover - compiled
    """Note the end of the next cycle; ``sequencers`` hold the busy cycles of each core so far."""
    window = log.cycles[0] // log.span[0]
    if window == WINDOWS:
        for kept in range(WINDOWS // 2):
            for core in range(len(sequencers)):
                log.upto[kept, core] = log.upto[2 * kept + 1, core]
        log.span[0] *= 2
        window = WINDOWS // 2
    log.cycles[0] += 1
    for core in range(len(sequencers)):
        log.upto[window, core] = sequencers[core].busy


def busy_windows(log: BusyLog) -> np.ndarray:
    """Busy cycles of each core in each window, int64[cores, windows]; the last window may be shorter."""
    used = -(-int(log.cycles[0]) // int(log.span[0]))
    return np.diff(log.upto[:used], axis=0, prepend=0).T.copy()
