# SPDX-License-Identifier: MIT
"""Both ports of the accelerator: input words with gaps between them, and results that are taken after a wait."""

from typing import NamedTuple

import numpy as np

from .compilation import twin

__all__ = [
    "PORTS", "Sink", "Source", "is_offered", "new_ports", "new_sink", "new_source", "step_sink", "step_source",
    "takes_result",
]

PORTS = np.dtype([("word", np.int64), ("offered_from", np.int64), ("result", np.int64)], align=True)
"""State of both ports: the next word, the first cycle in which it is offered, and the next result."""


class Source(NamedTuple):
    """Words for the input port and the idle cycles before each, and the cycles in which they were accepted (−1: not
    yet).

    All are int64[K].
    """

    words: np.ndarray
    gaps: np.ndarray
    accepted: np.ndarray


class Sink(NamedTuple):
    """Cycles for which each result must wait, and the cycles in which it was first offered and taken (−1: not yet).

    All are int64[B].
    """

    stalls: np.ndarray
    decided: np.ndarray
    taken: np.ndarray


def new_source(words: np.ndarray, gaps: np.ndarray | None) -> Source:
    """The source before the first cycle; ``gaps`` None: no gaps."""
    gaps = np.zeros(len(words), np.int64) if gaps is None else np.asarray(gaps, np.int64)
    return Source(words=words, gaps=gaps, accepted=np.full(len(words), -1, np.int64))


def new_sink(count: int, stalls: np.ndarray | None) -> Sink:
    """The sink before the first of ``count`` results; ``stalls`` None: each is taken at once."""
    stalls = np.zeros(count, np.int64) if stalls is None else np.asarray(stalls, np.int64)
    return Sink(stalls=stalls, decided=np.full(count, -1, np.int64), taken=np.full(count, -1, np.int64))


def new_ports(source: Source) -> np.ndarray:
    """State of both ports before the first cycle, `PORTS` [1]."""
    state = np.zeros(1, PORTS)
    state["offered_from"] = source.gaps[0] if len(source.gaps) else 0
    return state


@twin
def is_offered(ports, source, cycle):  # pragma: no cover - compiled
    """Whether a word is offered in this cycle."""
    return ports.word < len(source.words) and cycle >= ports.offered_from


@twin
def step_source(ports, source, cycle, taken):  # pragma: no cover - compiled
    """If a word is taken, go on to the next, after its gap."""
    if taken:
        source.accepted[ports.word] = cycle
        ports.word += 1
        if ports.word < len(source.words):
            ports.offered_from = cycle + 1 + source.gaps[ports.word]


@twin
def takes_result(ports, sink, cycle, offered):  # pragma: no cover - compiled
    """Whether the result that is offered is taken in this cycle."""
    if not offered:
        return False
    if sink.decided[ports.result] < 0:
        sink.decided[ports.result] = cycle
    return cycle >= sink.decided[ports.result] + sink.stalls[ports.result]


@twin
def step_sink(ports, sink, cycle, taken):  # pragma: no cover - compiled
    """If a result is taken, go on to the next."""
    if taken:
        sink.taken[ports.result] = cycle
        ports.result += 1
