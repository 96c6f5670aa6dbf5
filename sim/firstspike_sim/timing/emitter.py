# SPDX-License-Identifier: MIT
"""Twin of the emitter."""

import numpy as np
from firstspike_arch.events import ADDRESS_SHIFT, FINAL_MARKER, MARKER

from .compilation import twin

__all__ = ["GROUP", "groups_ready", "new_emitters", "step", "token"]

GROUP = np.dtype([
    ("valid", np.bool_), ("marker", np.bool_), ("final", np.bool_), ("start", np.int64), ("stop", np.int64),
], align=True)
"""A register for a group: spikes ``start`` … ``stop`` − 1 of the spike lists, then a marker if ``marker``.

The state of an emitter is the rest of the group that it holds, from the spike that it offers on; ``valid`` is that of
its output stream.
"""


def new_emitters(count: int) -> np.ndarray:
    """State of emitters after reset, `GROUP` [count]."""
    return np.zeros(count, GROUP)


@twin
def token(emitter, codes):  # pragma: no cover - compiled
    """The token that an emitter offers: "the events of each group in ascending order, and then its marker"."""
    if emitter.start < emitter.stop:
        return codes[emitter.start] << ADDRESS_SHIFT
    return FINAL_MARKER if emitter.final else MARKER


@twin
def groups_ready(emitter, events_ready):  # pragma: no cover - compiled
    """Whether a group is taken if it is offered: "the next group is taken in the cycle in which the last token of this
    one is taken"."""
    left = emitter.stop - emitter.start + int(emitter.marker)
    return not emitter.valid or (events_ready and left <= 1)


@twin
def step(emitter, events_ready, group):  # pragma: no cover - compiled
    """A cycle of `firstspike_hw.emitter`: "one token a cycle without bubbles, also from group to group"."""
    if groups_ready(emitter, events_ready):
        emitter.valid, emitter.marker, emitter.final = group.valid, group.marker, group.final
        emitter.start, emitter.stop = group.start, group.stop
    elif events_ready:
        emitter.start += 1
