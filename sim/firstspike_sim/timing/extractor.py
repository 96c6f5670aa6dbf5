# SPDX-License-Identifier: MIT
"""Twin of the extractor."""

import numpy as np
from firstspike_arch.layer_plan import GROUP_BITS

from .compilation import twin
from .emitter import GROUP, events_max, groups_ready
from .emitter import step as step_emitter
from .spike_queue import WORD

__all__ = ["EXTRACTOR", "new_extractors", "step", "words_ready"]

EXTRACTOR = np.dtype([("valid", np.bool_), ("word", WORD), ("group_stop", np.int64), ("pick", GROUP)], align=True)
"""State of an extractor: a word without the groups that were sent, the end of its first group, and the group that goes
to the emitter next; of its first two groups, and both, if a token has two events. The state of the emitter is
separate."""


def new_extractors(count: int) -> np.ndarray:
    """State of extractors after reset, `EXTRACTOR` [count]."""
    return np.zeros(count, EXTRACTOR)


@twin
def _end_of_groups(word, places, count):  # pragma: no cover - compiled
    """Index after the last spike in the same group as the word's first spike, or in the first ``count`` groups with
    spikes; the end of the word if it has no more."""
    stop = word.start
    for _ in range(count):
        if stop < word.stop:
            number = (places[stop] - word.base) // GROUP_BITS
            while stop < word.stop and (places[stop] - word.base) // GROUP_BITS == number:
                stop += 1
    return stop


@twin
def words_ready(extractor, emitter, events_ready):  # pragma: no cover - compiled
    """Whether a word is taken if it is offered: it "takes the next word in the cycle in which its last group moves
    on"."""
    pick_ready = not extractor.pick.valid or groups_ready(emitter, events_ready)
    return not extractor.valid or (pick_ready and extractor.group_stop == extractor.word.stop)


@twin
def step(extractor, emitter, events_ready, word_valid, word, places):  # pragma: no cover - compiled
    """A cycle of `firstspike_hw.extractor`: "sends the events of each word in ascending order, and after the last word
    of a step its marker"; each of its two registers "passes one group a cycle", or two groups "with two events a
    token".
    """
    held, pick = extractor.word, extractor.pick
    if not (extractor.valid or pick.valid or emitter.valid or word_valid):
        return  # nothing moves, which is so most of the time
    pick_ready = not pick.valid or groups_ready(emitter, events_ready)
    takes_word = words_ready(extractor, emitter, events_ready)
    step_emitter(emitter, events_ready, pick)
    if pick_ready:
        pick.valid, pick.start, pick.stop = extractor.valid, held.start, extractor.group_stop
        pick.marker = held.last and extractor.group_stop == held.stop
        pick.final = pick.marker and held.final
        held.start = extractor.group_stop
    if takes_word:
        extractor.valid = word_valid
        if extractor.valid:
            held.last, held.final, held.start, held.stop, held.base = (
                word.last, word.final, word.start, word.stop, word.base)
    if takes_word or pick_ready:
        extractor.group_stop = _end_of_groups(held, places, events_max(emitter))
