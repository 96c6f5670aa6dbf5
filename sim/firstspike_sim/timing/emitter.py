# SPDX-License-Identifier: MIT
"""Twin of the emitter."""

import numpy as np
from firstspike_arch.events import ADDRESS_SHIFT, FINAL_MARKER, MARKER

from .compilation import twin

__all__ = ["GROUP", "events_max", "groups_ready", "new_emitters", "step", "token"]

GROUP = np.dtype([
    ("valid", np.bool_), ("marker", np.bool_), ("final", np.bool_), ("start", np.int64), ("stop", np.int64),
    ("second_shift", np.int64),
], align=True)
"""A register for a group, or for as many groups as a token has events: spikes ``start`` … ``stop`` − 1 of the spike
lists, then a marker if ``marker``.

The state of an emitter is the rest of what it holds, from the spike that it offers on; ``valid`` is that of its output
stream. ``second_shift`` is a setting of emitters: that of `TokenLayout` if a token has two events, else 0.
"""


def new_emitters(second_shifts: np.ndarray) -> np.ndarray:
    """State of emitters after reset, `GROUP` [emitters]; ``second_shifts`` is int64[emitters]."""
    state = np.zeros(len(second_shifts), GROUP)
    state["second_shift"] = second_shifts
    return state


@twin
def events_max(emitter):  # pragma: no cover - compiled
    """Most events of a token; so many groups are held."""
    return 2 if emitter.second_shift else 1


@twin
def token(emitter, codes):  # pragma: no cover - compiled
    """The token that an emitter offers: "the events of each group in ascending order, and then its marker"; with two
    events a token, "the next two of its events, or the last one"."""
    if emitter.start == emitter.stop:
        return FINAL_MARKER if emitter.final else MARKER
    first = codes[emitter.start] << ADDRESS_SHIFT
    if emitter.second_shift and emitter.start + 1 < emitter.stop:
        return first | (codes[emitter.start + 1] << 1 | 1) << emitter.second_shift
    return first


@twin
def groups_ready(emitter, events_ready):  # pragma: no cover - compiled
    """Whether a group is taken if it is offered: "the next group is taken in the cycle in which the last token of this
    one is taken"."""
    behind = 0 if emitter.marker else events_max(emitter)
    return not emitter.valid or (events_ready and emitter.stop - emitter.start <= behind)


@twin
def step(emitter, events_ready, group):  # pragma: no cover - compiled
    """A cycle of `firstspike_hw.emitter`: "one token a cycle without bubbles, also from group to group"."""
    if groups_ready(emitter, events_ready):
        emitter.valid, emitter.marker, emitter.final = group.valid, group.marker, group.final
        emitter.start, emitter.stop = group.start, group.stop
    elif events_ready:
        emitter.start = min(emitter.start + events_max(emitter), emitter.stop)
