# SPDX-License-Identifier: MIT
"""Edge log: tokens and cycles of the transfers on every edge, from its stream buffer into the core."""

from typing import NamedTuple

import numpy as np
from firstspike_arch.events import FINAL_MARKER

from .compilation import twin

__all__ = ["EdgeLog", "has_ended", "new_edge_log", "note"]


class EdgeLog(NamedTuple):
    """Transfers of all edges.

    Edge e has ``used[e]`` tokens, from index ``start[e]`` of ``tokens`` and ``cycles`` on; ``finals[e]`` of them are
    final markers. ``used`` and ``finals`` are int64[edges], ``start`` int64[edges + 1], ``tokens`` and ``cycles``
    int64[start[-1]].
    """

    start: np.ndarray
    used: np.ndarray
    finals: np.ndarray
    tokens: np.ndarray
    cycles: np.ndarray


def new_edge_log(sizes: np.ndarray) -> EdgeLog:
    """An empty log with room for ``sizes`` tokens of each edge, int64[edges]."""
    total, none = int(sizes.sum()), np.zeros(len(sizes), np.int64)
    return EdgeLog(start=np.concatenate([[0], np.cumsum(sizes)]), used=none, finals=none.copy(),
                   tokens=np.empty(total, np.int64), cycles=np.empty(total, np.int64))


@twin
def note(log, edge, token, cycle):  # pragma: no cover - compiled
    """Log a transfer in this cycle."""
    at = log.start[edge] + log.used[edge]
    log.tokens[at], log.cycles[at] = token, cycle
    log.used[edge] += 1
    log.finals[edge] += int(token == FINAL_MARKER)


@twin
def has_ended(log, edge, count):  # pragma: no cover - compiled
    """Whether the last token was the final marker of the last of ``count`` inferences, or there was no token at all."""
    used = log.used[edge]
    return used == 0 or (log.tokens[log.start[edge] + used - 1] == FINAL_MARKER and log.finals[edge] == count)
