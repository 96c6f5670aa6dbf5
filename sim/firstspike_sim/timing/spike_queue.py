# SPDX-License-Identifier: MIT
"""Twin of the spike queue."""

from typing import NamedTuple

import numpy as np

from .compilation import twin

__all__ = ["SPIKE_QUEUE", "WORD", "SpikeQueues", "grant", "new_spike_queues", "step", "words_valid"]

WORD = np.dtype([
    ("last", np.bool_), ("final", np.bool_), ("start", np.int64), ("stop", np.int64), ("base", np.int64),
], align=True)
"""A word of spikes: ``start`` … ``stop`` − 1 of the spike lists, and the place ``base`` of its first bit. ``last``: it
ends a step; ``final``: it also ends the inference."""

SPIKE_QUEUE = np.dtype([
    ("depth", np.int64), ("head", np.int64), ("count", np.int64), ("kept", np.bool_),
], align=True)
"""State of a spike queue of ``depth`` words: it holds ``count`` words from ``head`` on. In a memory, ``kept`` says that
a word was written that is not counted yet."""


class SpikeQueues(NamedTuple):
    """State of all spike queues, `SPIKE_QUEUE` [cores], and their words, `WORD` [cores, largest depth]."""

    state: np.ndarray
    words: np.ndarray


def new_spike_queues(depths: np.ndarray) -> SpikeQueues:
    """State of queues of ``depths`` int64[cores] after reset."""
    state = np.zeros(len(depths), SPIKE_QUEUE)
    state["depth"] = depths
    return SpikeQueues(state=state, words=np.zeros((len(depths), depths.max()), WORD))


@twin
def words_valid(queue):  # pragma: no cover - compiled
    """Whether a word is offered: "a word captured in cycle c is offered from c + 1 on if the queue is one register,
    from c + 2 on if it is a memory"."""
    return queue.count > 0


@twin
def grant(queue, captures, coming, taken):  # pragma: no cover - compiled
    """Whether a row is granted: "a row is granted its capture if the words held and the word being captured leave room.
    A word that is taken makes room for a capture in the next cycle if the queue is a register, one cycle later if it is
    a memory".

    ``captures`` and ``coming`` say whether the core captures a row in this cycle and in the next; ``taken``, whether
    the word at the head is taken.
    """
    if queue.depth == 1:
        return not (captures or coming or (queue.count > 0 and not taken))
    return queue.count + int(queue.kept) + int(captures) + int(coming) < queue.depth


@twin
def step(queue, words, captures, word, taken):  # pragma: no cover - compiled
    """A cycle of `firstspike_hw.spike_queue`, a queue of "rows with a spike, and the last row of every step"."""
    kept = captures and (word.last or word.start < word.stop)
    if kept:
        place = queue.head + queue.count + int(queue.kept)
        new = words[place - queue.depth if place >= queue.depth else place]
        new.last, new.final, new.start, new.stop, new.base = word.last, word.final, word.start, word.stop, word.base
    in_register = queue.depth == 1
    queue.count += int(kept if in_register else queue.kept) - int(taken)
    queue.kept = kept and not in_register
    if taken:
        queue.head += 1
        if queue.head == queue.depth:
            queue.head = 0
