# SPDX-License-Identifier: MIT
"""Memory port and external memory of the timing model: twin of the former, and `MemoryTiming` in cycles."""

from typing import NamedTuple

import numpy as np
from firstspike_arch.backend import MemoryTiming

from .compilation import twin

__all__ = ["MEMORY", "Memory", "asked", "new_memory", "offers", "step"]

MEMORY = np.dtype([
    ("valid", np.bool_), ("who", np.int64), ("beats", np.int64), ("since", np.int64), ("taken", np.int64),
    ("answered", np.int64), ("beat", np.int64), ("sent", np.int64), ("offered_from", np.int64),
], align=True)
"""State of the memory port: the request in its register (``valid``, ``who`` asks for how many ``beats``, ``since`` when
it is offered). State of the memory: how many requests were ``taken`` and ``answered``; of the one that is answered, the
next ``beat``; how many beats were ``sent``, and the first cycle in which the next is offered."""


class Memory(NamedTuple):
    """Port and memory: ``state`` `MEMORY` [1]; requests that are not answered, in a ring: ``who``, ``beats`` and the
    cycle in which each was ``taken``, int64[requests]; and `MemoryTiming`."""

    state: np.ndarray
    who: np.ndarray
    beats: np.ndarray
    taken: np.ndarray
    latency: np.ndarray
    gaps: np.ndarray
    stalls: np.ndarray


def new_memory(outstanding: int, timing: MemoryTiming) -> Memory:
    """State after reset, with at most so many requests ``outstanding``."""
    ring = np.zeros(outstanding + 1, np.int64)
    return Memory(state=np.zeros(1, MEMORY), who=ring, beats=ring.copy(), taken=ring.copy(),
                  latency=np.asarray(timing.latency, np.int64), gaps=np.asarray(timing.gaps, np.int64),
                  stalls=np.asarray(timing.stalls, np.int64))


@twin
def offers(memory, cycle):  # pragma: no cover - compiled
    """Whether a beat is offered in this cycle, and so taken."""
    state = memory.state[0]
    return state.answered < state.taken and cycle >= state.offered_from


@twin
def asked(memory, cycle):  # pragma: no cover - compiled
    """Whether the memory takes the request that the port offers."""
    state = memory.state[0]
    return state.valid and cycle >= state.since + memory.stalls[state.taken % len(memory.stalls)]


@twin
def _begin(memory, cycle):  # pragma: no cover - compiled
    """Find when the first beat of the next request is offered."""
    state = memory.state[0]
    wait = memory.latency[state.answered % len(memory.latency)]
    state.offered_from = max(memory.taken[state.answered % len(memory.taken)] + 1 + wait, cycle + 1)


@twin
def step(memory, cycle, takes, found, who, beats):  # pragma: no cover - compiled
    """A cycle of port and memory. ``takes``: of `asked`; ``found``: a core asks, ``who`` for how many ``beats``. The
    port "takes a request a cycle into a register, of several the last core's"."""
    state = memory.state[0]
    if offers(memory, cycle):
        state.sent += 1
        state.beat += 1
        if state.beat == memory.beats[state.answered % len(memory.beats)]:
            state.beat = 0
            state.answered += 1
            if state.answered < state.taken:
                _begin(memory, cycle)
        else:
            state.offered_from = cycle + 1 + memory.gaps[state.sent % len(memory.gaps)]
    if takes:
        place = state.taken % len(memory.who)
        memory.who[place], memory.beats[place], memory.taken[place] = state.who, state.beats, cycle
        state.taken += 1
        if state.answered == state.taken - 1:
            _begin(memory, cycle)
    if takes or not state.valid:
        state.valid = found
        if found:
            state.who, state.beats, state.since = who, beats, cycle + 1
