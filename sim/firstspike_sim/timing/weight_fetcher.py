# SPDX-License-Identifier: MIT
"""Twin of the weight fetcher. Its memory answers in time and without errors."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from firstspike_arch.events import ADDRESS_SHIFT, MARKER
from firstspike_arch.external import QUEUE_TOKENS, Fetching

from . import stream_buffer
from .compilation import twin
from .spike_lists import VALUE_SHIFT

__all__ = ["FETCHER", "Fetchers", "new_fetchers", "note_core", "step", "takes"]

NUMBER_MASK = (1 << VALUE_SHIFT) - 1

FETCHER = np.dtype([
    ("buffers", np.int64), ("beats", np.int64), ("first", np.int64), ("run", np.bool_), ("run_slice", np.int64),
    ("run_buffer", np.int64), ("new", np.int64), ("used", np.int64), ("oldest", np.int64), ("taken", np.int64),
    ("done", np.int64), ("took", np.bool_), ("is_done", np.bool_), ("asks", np.bool_), ("queued", np.int64),
    ("next", np.int64), ("head_valid", np.bool_), ("head", np.int64), ("filling", np.int64), ("written", np.int64),
], align=True)
"""Settings and state of a weight fetcher.

Settings: its ``buffers``, the ``beats`` of a slice, and the index of its ``first`` neuron in the table of slices.
State: whether there is a ``run``, of which slice, in which buffer; the ``new`` buffer, those in use, and the ``oldest``
of them; events that were ``taken`` and ``done``; whether the core ``took`` an event, and whether one ``is_done`` in
this cycle; whether a request waits (``asks``). The queue: tokens in its memory, the place of the next to be read, and
the one at its output. The buffer that is being filled, and that whose last beat is ``written``, −1: none.
"""


class Fetchers(NamedTuple):
    """All weight fetchers: ``state`` `FETCHER` [fetchers]; ``slices`` int64[*], the slice of each neuron, for all
    fetchers one after the other; ``filled`` bool, ``last`` int64[fetchers, buffers], which buffers are filled and the
    number of the last event of each; ``tokens``, ``places`` int64[fetchers, tokens], of the queue, with their
    buffers."""

    state: np.ndarray
    slices: np.ndarray
    filled: np.ndarray
    last: np.ndarray
    tokens: np.ndarray
    places: np.ndarray


def new_fetchers(fetchings: Sequence[Fetching]) -> Fetchers:
    """State of weight fetchers after reset."""
    count = len(fetchings)
    most = max((one.buffers for one in fetchings), default=1)
    state, slices = np.zeros(count, FETCHER), np.zeros(0, np.int64)
    for number, one in enumerate(fetchings):
        state[number]["buffers"], state[number]["beats"], state[number]["first"] = one.buffers, one.beats, len(slices)
        state[number]["written"] = -1
        slices = np.concatenate([slices, one.slice_of_neurons])
    queue = np.zeros((count, QUEUE_TOKENS), np.int64)
    return Fetchers(
        state=state, slices=slices, filled=np.zeros((count, most), np.bool_), last=np.zeros((count, most), np.int64),
        tokens=queue, places=queue.copy())


@twin
def note_core(fetchers, number, free, takes_event):  # pragma: no cover - compiled
    """Note what the core does in this cycle: an event is done in the first cycle "after it was taken in which the
    stages move"."""
    fetcher = fetchers.state[number]
    fetcher.is_done = fetcher.took and free
    if free:
        fetcher.took = takes_event


@twin
def _slice(fetchers, number, token):  # pragma: no cover - compiled
    """The slice of an event."""
    return fetchers.slices[fetchers.state[number].first + (token >> ADDRESS_SHIFT & NUMBER_MASK)]


@twin
def _starts(fetchers, number, token):  # pragma: no cover - compiled
    """Whether a token starts a run: a run of one slice, "without a marker or another slice in between takes one
    buffer"."""
    fetcher = fetchers.state[number]
    if token & MARKER:
        return False
    return not fetcher.run or fetcher.run_slice != _slice(fetchers, number, token)


@twin
def takes(fetchers, number, token, asked):  # pragma: no cover - compiled
    """Whether a token is taken if it is offered: "the first event of a run waits until a buffer is free and the request
    before it has been taken"; ``asked``: it is, in this cycle."""
    fetcher = fetchers.state[number]
    if fetcher.queued == QUEUE_TOKENS - 1:
        return False
    return not _starts(fetchers, number, token) or (
        fetcher.used < fetcher.buffers and (asked or not fetcher.asks))


@twin
def _pass_on(fetchers, number, behind, fetched_ready):  # pragma: no cover - compiled
    """Send the token at the head of the queue on, an event if its buffer is filled; and move the next one there."""
    fetcher = fetchers.state[number]
    token = fetchers.tokens[number, fetcher.head]
    offered = fetcher.head_valid and (token & MARKER != 0 or fetchers.filled[number, fetchers.places[
        number, fetcher.head]])
    sent = offered and stream_buffer.source_ready(behind)
    stream_buffer.step(behind, offered, token, fetched_ready)
    if sent or not fetcher.head_valid:
        fetcher.head_valid = fetcher.queued > 0
        if fetcher.head_valid:
            fetcher.head = fetcher.next
            fetcher.next = (fetcher.next + 1) % QUEUE_TOKENS
            fetcher.queued -= 1


@twin
def _queue(fetchers, number, token, starts):  # pragma: no cover - compiled
    """Put a token into the queue, with a new buffer if it ``starts`` a run."""
    fetcher = fetchers.state[number]
    if token & MARKER:
        fetcher.run = False
    else:
        fetcher.taken += 1
        if starts:
            fetcher.run, fetcher.run_slice, fetcher.run_buffer = True, _slice(fetchers, number, token), fetcher.new
            fetchers.filled[number, fetcher.new] = False
            fetcher.new = (fetcher.new + 1) % fetcher.buffers
            fetcher.used += 1
            fetcher.asks = True
        fetchers.last[number, fetcher.run_buffer] = fetcher.taken
    place = (fetcher.next + fetcher.queued) % QUEUE_TOKENS
    fetchers.tokens[number, place], fetchers.places[number, place] = token, fetcher.run_buffer
    fetcher.queued += 1


@twin
def step(fetchers, number, source, taken, asked, answered, last, behind, fetched_ready):  # pragma: no cover - compiled
    """A cycle of `firstspike_hw.weight_fetcher`.

    ``source`` is the register in front of it, ``taken`` whether its token is taken; ``asked``: its request is taken;
    ``answered``: a beat comes for it, the ``last`` of a slice. ``behind`` is the stream buffer in front of the core,
    which takes from it with ``fetched_ready``.
    """
    fetcher = fetchers.state[number]
    frees = (fetcher.used > 0 and fetcher.done == fetchers.last[number, fetcher.oldest]
             and not (fetcher.run and fetcher.run_buffer == fetcher.oldest))
    starts = taken and _starts(fetchers, number, source.token)
    _pass_on(fetchers, number, behind, fetched_ready)
    if fetcher.written >= 0:
        fetchers.filled[number, fetcher.written] = True
    fetcher.written = -1
    if answered and last:
        fetcher.written = fetcher.filling
        fetcher.filling = (fetcher.filling + 1) % fetcher.buffers
    if asked:
        fetcher.asks = False
    if taken:
        _queue(fetchers, number, source.token, starts)
    if frees:
        fetcher.used -= 1
        fetcher.oldest = (fetcher.oldest + 1) % fetcher.buffers
    fetcher.done += int(fetcher.is_done)
