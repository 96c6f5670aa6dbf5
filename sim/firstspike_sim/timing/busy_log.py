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
    """``upto`` int64[WINDOWS, cores]: busy cycles of each core until the end of each window that has ended; int64[1]:
    ``used``: how many have; ``span``: cycles of a window; ``cycles``: cycles noted; ``end``: cycles at the end of the
    window that has not."""

    upto: np.ndarray
    used: np.ndarray
    span: np.ndarray
    cycles: np.ndarray
    end: np.ndarray


def new_busy_log(cores: int) -> BusyLog:
    """An empty log of so many cores, with windows of one cycle."""
    none, one = np.zeros(1, np.int64), np.ones(1, np.int64)
    return BusyLog(upto=np.zeros((WINDOWS, cores), np.int64), used=none, span=one, cycles=none.copy(), end=one.copy())


@twin
def _end_window(log, sequencers):  # pragma: no cover - compiled
    """End a window, and make two of all windows one if all are full."""
    for core in range(len(sequencers)):
        log.upto[log.used[0], core] = sequencers[core].busy
    log.used[0] += 1
    if log.used[0] == WINDOWS:
        for kept in range(WINDOWS // 2):
            for core in range(len(sequencers)):
                log.upto[kept, core] = log.upto[2 * kept + 1, core]
        log.used[0] = WINDOWS // 2
        log.span[0] *= 2
    log.end[0] += log.span[0]


@twin
def note(log, sequencers):  # pragma: no cover - compiled
    """Note the end of the next cycle; ``sequencers`` hold the busy cycles of each core so far."""
    log.cycles[0] += 1
    if log.cycles[0] == log.end[0]:
        _end_window(log, sequencers)


def busy_windows(log: BusyLog, busy: np.ndarray) -> np.ndarray:
    """Busy cycles of each core in each window, int64[cores, windows]; the last window may be shorter. ``busy``
    int64[cores]: those until now."""
    used = int(log.used[0])
    upto = log.upto[:used]
    if log.cycles[0] > used * log.span[0]:
        upto = np.concatenate([upto, busy[None]])
    return np.diff(upto, axis=0, prepend=0).T.copy()
