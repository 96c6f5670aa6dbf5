# SPDX-License-Identifier: MIT
"""Twin of the delay line.

It sets the bit of an event, and clears those of a word, at once: no one can see when the hardware does.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from firstspike_arch.delaying import Delaying
from firstspike_arch.events import ADDRESS_SHIFT, FINAL_MARKER, MARKER

from . import emitter, extractor, stream_buffer
from .compilation import twin
from .spike_lists import VALUE_SHIFT
from .spike_queue import WORD

__all__ = ["LINE", "Lines", "new_lines", "step", "takes"]

NUMBER_MASK = (1 << VALUE_SHIFT) - 1
VALUE_MASK = 0xFFFF

STAGE = np.dtype([("valid", np.bool_), ("token", np.int64), ("slot", np.int64)], align=True)
"""A token on its way to the map; in the last stage, with the slot in which it is due."""

READ = np.dtype([("valid", np.bool_), ("word", np.int64)], align=True)
"""A word of the slot that is read, on its way to the extractor."""

LINE = np.dtype([
    ("slots", np.int64), ("words", np.int64), ("lanes", np.int64), ("longest", np.int64), ("first", np.int64),
    ("first_place", np.int64), ("taken", STAGE), ("looked_up", STAGE), ("due", STAGE), ("now", np.int64),
    ("reading", np.bool_), ("reads", np.bool_), ("blocked", np.bool_), ("final", np.bool_), ("silent", np.bool_),
    ("slot", np.int64), ("word", np.int64), ("left", np.int64), ("known", READ), ("changed", READ), ("sent", np.int64),
    ("finals", np.int64), ("out", WORD),
], align=True)
"""Settings and state of a delay line.

Settings: ``slots``, ``words``, ``lanes`` and ``longest`` of its `Delaying`; index of its ``first`` neuron in the
tables, and of its ``first_place``. State: the three stages of tokens; ``now``, the slot of the step that is taken;
``reading`` to ``left`` as in the hardware unit; words that are read, in its two stages. ``sent``: events for the
extractor so far; ``finals``: final markers that have left the buffer behind the line. ``out``: the word for the
extractor.
"""


class Lines(NamedTuple):
    """All delay lines, one for each edge that has one.

    ``state`` `LINE` [lines]. Tables int64 of all lines, one after the other: ``place`` and ``delay`` of each neuron,
    ``neuron`` at each place. ``map`` int64[lines, slots, places]: 0, or 1 + code, of an event that is due; ``counts``
    int64[lines, slots, words]: how many are in a word. ``codes``, ``places`` int64[lines, events]: of the events that
    went to the extractor. ``extractors``, ``emitters``: those of the lines.
    """

    state: np.ndarray
    place: np.ndarray
    delay: np.ndarray
    neuron: np.ndarray
    map: np.ndarray
    counts: np.ndarray
    codes: np.ndarray
    places: np.ndarray
    extractors: np.ndarray
    emitters: np.ndarray


def new_lines(delayings: Sequence[Delaying], events: Sequence[int]) -> Lines:
    """State of delay lines after reset, and their tables; ``events``: how many each takes at most."""
    count, none = len(delayings), np.zeros(0, np.int64)
    state = np.zeros(count, LINE)
    neurons, places = none, none
    delay, neuron = none, none
    for number, one in enumerate(delayings):
        addresses = one.neuron_places
        state[number]["first"], state[number]["first_place"] = len(delay), len(neuron)
        back = np.zeros(one.places, np.int64)
        back[addresses] = np.arange(len(addresses))
        neurons, delay = np.concatenate([neurons, addresses]), np.concatenate([delay, one.delays])
        neuron = np.concatenate([neuron, back])
        for name in ("slots", "words", "lanes", "longest"):
            state[number][name] = getattr(one, name)
        state[number]["left"] = one.slots - 1
    for name in ("reading", "reads", "final", "silent"):
        state[name] = True
    slots, words, places, most = (
        max(some, default=1) for some in ([one.slots for one in delayings], [one.words for one in delayings],
                                          [one.words * one.lanes for one in delayings], events))
    sent = np.zeros((count, most + 1), np.int64)
    return Lines(
        state=state, place=neurons, delay=delay, neuron=neuron, map=np.zeros((count, slots, places), np.int64),
        counts=np.zeros((count, slots, words), np.int64), codes=sent, places=sent.copy(),
        extractors=extractor.new_extractors(count), emitters=emitter.new_emitters(np.zeros(count, np.int64)))


@twin
def _looks(line):  # pragma: no cover - compiled
    """Whether a word is read: "words go first", but not while one is to be read again."""
    return line.reading and line.reads and not line.blocked


@twin
def _goes(line):  # pragma: no cover - compiled
    """Whether the token in the last stage sets its bit or starts the reading: "each cycle reads a word, or sets the bit
    of an event"; "the next marker starts one cycle after the last word was taken", and "events behind a final marker
    wait for the end of its reading"."""
    if not line.due.valid:
        return False
    if line.due.token & MARKER:
        return not line.reading
    return not _looks(line) and not (line.reading and line.final)


@twin
def takes(lines, number):  # pragma: no cover - compiled
    """Whether a token is taken if it is offered."""
    line = lines.state[number]
    return not line.due.valid or _goes(line)


@twin
def _set(lines, number):  # pragma: no cover - compiled
    """Set the bit of an event: "values of the same address and step are added up"."""
    line = lines.state[number]
    code = line.due.token >> ADDRESS_SHIFT
    place = lines.place[line.first + (code & NUMBER_MASK)]
    before = lines.map[number, line.due.slot, place]
    if before == 0:
        lines.counts[number, line.due.slot, place // line.lanes] += 1
        lines.map[number, line.due.slot, place] = 1 + code
    else:
        value = ((before - 1 >> VALUE_SHIFT) + (code >> VALUE_SHIFT)) & VALUE_MASK
        lines.map[number, line.due.slot, place] = 1 + (code & NUMBER_MASK | value << VALUE_SHIFT)


@twin
def _clear(lines, number, slot, word):  # pragma: no cover - compiled
    """Clear a word."""
    lanes = lines.state[number].lanes
    if lines.counts[number, slot, word]:
        for place in range(word * lanes, (word + 1) * lanes):
            lines.map[number, slot, place] = 0
        lines.counts[number, slot, word] = 0


@twin
def _send(lines, number, word):  # pragma: no cover - compiled
    """Set ``out`` to the word that was read."""
    line = lines.state[number]
    out, slot = line.out, line.slot
    out.start = line.sent
    for place in range(word * line.lanes, (word + 1) * line.lanes):
        if lines.map[number, slot, place]:
            lines.codes[number, line.sent] = lines.map[number, slot, place] - 1
            lines.places[number, line.sent] = place
            line.sent += 1
    out.stop, out.base = line.sent, word * line.lanes
    out.last = word == line.words - 1
    out.final = out.last and line.final


@twin
def _end_word(lines, number, word):  # pragma: no cover - compiled
    """Clear the word that was read; behind the last, end the reading: that of a final marker goes on, "without sending
    anything, with as many slots as the inference had steps too few to have read all that the one before left"."""
    line = lines.state[number]
    _clear(lines, number, line.slot, word)
    if word < line.words - 1:
        return
    if line.final and line.left > 0:
        line.slot, line.word, line.left = (line.slot + 1) % line.slots, 0, line.left - 1
        line.reads = line.silent = True
        return
    line.reading = False
    if line.final:
        line.left = line.longest
        for slot in range(line.slots):
            for place in range(line.words):
                _clear(lines, number, slot, place)


@twin
def _start(line):  # pragma: no cover - compiled
    """Start the reading of a marker's slot."""
    line.slot, line.word, line.reads, line.reading, line.silent = line.due.slot, 0, True, True, False
    line.final = line.due.token == FINAL_MARKER
    line.left = max(line.left - 1, 0)


@twin
def _move(lines, number, source):  # pragma: no cover - compiled
    """Move the tokens on, and take one, if there is one."""
    line = lines.state[number]
    due, looked_up, taken = line.due, line.looked_up, line.taken
    due.valid, due.token = looked_up.valid, looked_up.token
    if due.valid:
        due.slot = line.now
        if due.token & MARKER:
            line.now = (line.now + 1) % line.slots
        else:
            delay = lines.delay[line.first + (due.token >> ADDRESS_SHIFT & NUMBER_MASK)]
            due.slot = (line.now + delay) % line.slots
    looked_up.valid, looked_up.token = taken.valid, taken.token
    taken.valid, taken.token = source.valid, source.token


@twin
def _read(line, ready, looks, rejected):  # pragma: no cover - compiled
    """Read a word, and move those on that were read. "A word that the extractor does not take is read again once it
    takes one, and so are those behind it"."""
    known, changed = line.known, line.changed
    if rejected:
        line.word, line.reads, line.blocked = changed.word, True, True
        known.valid = changed.valid = False
        return
    if ready:
        line.blocked = False
    changed.valid, changed.word = known.valid, known.word
    known.valid, known.word = looks, line.word
    if looks:
        line.reads = line.word < line.words - 1
        line.word += 1


@twin
def step(lines, number, source, taken, behind, late_ready):  # pragma: no cover - compiled
    """A cycle of `firstspike_hw.delay_line`.

    ``source`` is the register in front of it, ``taken`` whether its token is taken; ``behind`` is the stream buffer of
    the line, from which ``late_ready`` takes.
    """
    line, out, sender = lines.state[number], lines.extractors[number], lines.emitters[number]
    looks, goes, room = _looks(line), _goes(line), stream_buffer.source_ready(behind)
    moves = not line.due.valid or goes
    ready = extractor.words_ready(out, sender, room)
    ends, word = line.changed.valid, line.changed.word
    sends = ends and not line.silent and (lines.counts[number, line.slot, word] > 0 or word == line.words - 1)
    rejected = sends and not ready
    if sends and ready:
        _send(lines, number, word)
    token = emitter.token(sender, lines.codes[number])
    line.finals += int(behind.valid and late_ready and behind.token == FINAL_MARKER)
    stream_buffer.step(behind, sender.valid, token, late_ready)
    extractor.step(out, sender, room, sends, line.out, lines.places[number])
    if goes and not line.due.token & MARKER:
        _set(lines, number)
    _read(line, ready, looks, rejected)
    if ends and not rejected:
        _end_word(lines, number, word)
    if goes and line.due.token & MARKER:
        _start(line)
    if moves:
        _move(lines, number, source)
