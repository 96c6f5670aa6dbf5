# SPDX-License-Identifier: MIT
"""Twin of the pool merger.

It adds a spike to its sum, and clears a sum, at once: no one can see when the hardware does.
"""

from typing import NamedTuple

import numpy as np
from firstspike_arch.events import ADDRESS_SHIFT, MARKER

from . import stream_buffer
from .compilation import twin
from .spike_lists import VALUE_SHIFT

__all__ = ["MERGER", "MergerTables", "Mergers", "new_mergers", "step", "takes"]

NUMBER_MASK = (1 << VALUE_SHIFT) - 1

STAGE = np.dtype([("token", np.int64), ("valid", np.bool_), ("end", np.bool_), ("half", np.int64)], align=True)
"""A stage behind the memory of places: a token, if it is ``valid``; whether it is the ``end`` of a half, which has a
token if a marker closed it."""

MERGER = np.dtype([
    ("sweep", np.int64), ("half", np.int64), ("begins", np.bool_), ("reads", np.bool_), ("open", np.bool_),
    ("closed_by", np.int64), ("index", np.int64), ("place_read", STAGE), ("fetched", STAGE), ("summed", STAGE),
    ("offered", STAGE), ("first", np.int64), ("graded", np.bool_),
], align=True)
"""State and settings of a merger.

``sweep``: cycles for which sums are still cleared after reset. ``half``: the half that is emptied, or was last;
``begins``: the other one was closed in the cycle before; ``reads``: places are read, from ``index`` on. ``open``: the
open half has an event. ``closed_by``: the marker that closed the half, 0 if an event did. ``place_read``, ``fetched``,
``summed`` and ``offered`` are the four stages. ``first``: index of the first address of its stream in the tables;
``graded``: whether codes of spikes have a value.
"""


class MergerTables(NamedTuple):
    """``window`` and ``band`` int64 of each address of all streams: number of its window, −1 for none, and its band."""

    window: np.ndarray
    band: np.ndarray


class Mergers(NamedTuple):
    """All mergers, one for each edge that has one.

    ``state`` `MERGER` [mergers], ``sums`` and ``seen`` [mergers, 2, windows]: sum of each window of a half, and whether
    it had an event; ``windows`` [mergers, 2, windows]: those that had, in the order of their first events; ``counts``
    [mergers, 2]: how many; ``bands`` [mergers, 2] of each half; ``dirty`` [mergers, 2]: whether a half was closed and
    has sums that are not yet read.
    """

    tables: MergerTables
    state: np.ndarray
    sums: np.ndarray
    seen: np.ndarray
    windows: np.ndarray
    counts: np.ndarray
    bands: np.ndarray
    dirty: np.ndarray


def new_mergers(
    windows: list[np.ndarray], bands: list[np.ndarray], sweeps: list[int], graded: list[bool],
) -> Mergers:
    """State of mergers after reset, and their tables, for each: window and band of every address; cycles for which sums
    are cleared; whether its spikes have values."""
    count, size = len(windows), max((int(table.max(initial=0)) + 1 for table in windows), default=1)
    state = np.zeros(count, MERGER)
    state["sweep"], state["graded"], state["half"] = sweeps, graded, 0
    state["first"] = np.cumsum([0, *map(len, windows)])[:count]
    none = np.zeros(0, np.int64)
    return Mergers(
        tables=MergerTables(window=np.concatenate([none, *windows]), band=np.concatenate([none, *bands])), state=state,
        sums=np.zeros((count, 2, size), np.int64), seen=np.zeros((count, 2, size), np.bool_),
        windows=np.zeros((count, 2, size), np.int64), counts=np.zeros((count, 2), np.int64),
        bands=np.zeros((count, 2), np.int64), dirty=np.zeros((count, 2), np.bool_),
    )


@twin
def _takes_half(merger):  # pragma: no cover - compiled
    """The half that takes events; which one is emptied changes in the cycle after the other was closed."""
    return merger.half if merger.begins else 1 - merger.half


@twin
def _usable(mergers, number):  # pragma: no cover - compiled
    merger = mergers.state[number]
    return merger.sweep == 0 and not mergers.dirty[number, _takes_half(merger)]


@twin
def _can_close(merger):  # pragma: no cover - compiled
    """Whether the open half can be closed, if it is usable."""
    return not merger.begins and not merger.reads


@twin
def _address(merger, token):  # pragma: no cover - compiled
    return merger.first + (token >> ADDRESS_SHIFT & NUMBER_MASK)


@twin
def _is_elsewhere(mergers, number, token):  # pragma: no cover - compiled
    """Whether an event is of another band than those in the open half."""
    merger, tables = mergers.state[number], mergers.tables
    address = _address(merger, token)
    return tables.window[address] >= 0 and merger.open and (
        tables.band[address] != mergers.bands[number, _takes_half(merger)])


@twin
def takes(mergers, number, token):  # pragma: no cover - compiled
    """Whether a token is taken if it is offered: "an event of another band closes the open half and waits; a marker
    closes it and is taken"."""
    if not _usable(mergers, number):
        return False
    if token & MARKER:
        return _can_close(mergers.state[number])
    return not _is_elsewhere(mergers, number, token)


@twin
def _enter(mergers, number, token):  # pragma: no cover - compiled
    """Add a spike to the sum of its window. "Pixels outside the pooled map are taken without effect"."""
    merger = mergers.state[number]
    address, half, value = _address(merger, token), _takes_half(merger), 1
    window = mergers.tables.window[address]
    if window < 0:
        return
    if merger.graded:
        value = (token >> ADDRESS_SHIFT + VALUE_SHIFT & 0xFFFF ^ 0x8000) - 0x8000
    if not mergers.seen[number, half, window]:
        mergers.seen[number, half, window] = True
        mergers.windows[number, half, mergers.counts[number, half]] = window
        mergers.counts[number, half] += 1
    mergers.sums[number, half, window] += value
    merger.open = True
    mergers.bands[number, half] = mergers.tables.band[address]


@twin
def _move(stage, before):  # pragma: no cover - compiled
    stage.token, stage.valid, stage.end, stage.half = before.token, before.valid, before.end, before.half


@twin
def _read(mergers, number):  # pragma: no cover - compiled
    """Read a place into the first stage: "its windows are read from c + 2 on, one a cycle, and its end, with its
    marker, in the cycle after the last of them"."""
    merger = mergers.state[number]
    stage, half = merger.place_read, merger.half
    stage.valid = stage.end = False
    if not merger.reads:
        return
    stage.half = half
    if merger.index == mergers.counts[number, half]:
        stage.end, stage.valid, stage.token = True, merger.closed_by != 0, merger.closed_by
        merger.reads, mergers.counts[number, half] = False, 0
        return
    window = mergers.windows[number, half, merger.index]
    stage.valid, stage.token = True, (window | mergers.sums[number, half, window] << VALUE_SHIFT) << ADDRESS_SHIFT
    mergers.sums[number, half, window], mergers.seen[number, half, window] = 0, False
    merger.index += 1


@twin
def step(mergers, number, source, taken, buffer, merged_ready):  # pragma: no cover - compiled
    """A cycle of `firstspike_hw.pool_merger`.

    ``source`` is the register in front of it, ``taken`` whether its token is taken; ``buffer`` is the one behind it,
    from which the core takes if it is ``merged_ready``. "Nothing is read, and nothing that was read goes on, while a
    token has no room in the buffer of two tokens in front of merged".
    """
    merger = mergers.state[number]
    room = stream_buffer.source_ready(buffer)
    moves = not merger.offered.valid or room
    closes = source.valid and _usable(mergers, number) and _can_close(merger) and (
        source.token & MARKER != 0 or _is_elsewhere(mergers, number, source.token))
    if taken and not source.token & MARKER:
        _enter(mergers, number, source.token)
    stream_buffer.step(buffer, merger.offered.valid, merger.offered.token, merged_ready)
    if moves:
        if merger.summed.end:
            mergers.dirty[number, merger.summed.half] = False
        _move(merger.offered, merger.summed)
        _move(merger.summed, merger.fetched)
        _move(merger.fetched, merger.place_read)
        _read(mergers, number)
    if merger.sweep > 0:
        merger.sweep -= 1
    if merger.begins:
        merger.half = 1 - merger.half
        merger.reads, merger.index = True, 0
    if closes:
        mergers.dirty[number, 1 - merger.half] = True
        merger.open = False
        merger.closed_by = source.token if source.token & MARKER else 0
    merger.begins = closes
