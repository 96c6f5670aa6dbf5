# SPDX-License-Identifier: MIT
"""Twin of the pixel encoder."""

import numpy as np
from firstspike_arch.layer_plan import GROUP_BITS

from .compilation import twin
from .emitter import GROUP, groups_ready
from .emitter import step as step_emitter

__all__ = ["PIXEL_ENCODER", "beats_ready", "new_pixel_encoder", "step"]

PIXEL_ENCODER = np.dtype([
    ("beats", np.int64), ("steps", np.int64), ("beat", np.int64), ("inference", np.int64), ("next_spike", np.int64),
    ("markers_left", np.int64), ("item", GROUP),
], align=True)
"""Settings and state of a pixel encoder.

Settings: ``beats`` of an image, ``steps`` of an inference. State: the next ``beat``, the ``inference`` it belongs to,
the first spike that is not yet sent; the markers that are left after the last beat; the group for the emitter, whose
state is separate.
"""


def new_pixel_encoder(beats: int, steps: int) -> np.ndarray:
    """State of an encoder after reset, `PIXEL_ENCODER` [1]."""
    state = np.zeros(1, PIXEL_ENCODER)
    state["beats"], state["steps"] = beats, steps
    return state


@twin
def beats_ready(encoder, emitter, events_ready):  # pragma: no cover - compiled
    """Whether a beat is taken if it is offered: when the beat before moves on and its markers are sent ("one token a
    cycle without bubbles")."""
    load = not encoder.item.valid or groups_ready(emitter, events_ready)
    return load and encoder.markers_left == 0


@twin
def _take(encoder, offsets, places, first_step):  # pragma: no cover - compiled
    """Take a beat: "a beat without such a pixel costs one cycle"; the last beat of an image is followed by a marker."""
    item, where = encoder.item, first_step[encoder.inference]
    if encoder.beat == 0:
        encoder.next_spike = offsets[where]
    stop, end = encoder.next_spike, offsets[where + 1]
    item.start = stop
    while stop < end and places[stop] // GROUP_BITS == encoder.beat:
        stop += 1
    item.stop = encoder.next_spike = stop
    item.marker = encoder.beat == encoder.beats - 1
    item.final = item.marker and encoder.steps == 1
    item.valid = item.marker or item.start < item.stop
    encoder.beat += 1
    if item.marker:
        encoder.beat, encoder.markers_left = 0, encoder.steps - 1
        encoder.inference += 1


@twin
def step(encoder, emitter, events_ready, taken, offsets, places, first_step):  # pragma: no cover - compiled
    """A cycle of `firstspike_hw.pixel_encoder`: "sends an event for each pixel that is not 0, with its value, in the
    order of their numbers; then T step markers"; "a beat taken in cycle c, its first token is offered in c + 2 if
    nothing is before it". ``offsets`` are those of the input."""
    item = encoder.item
    load = not item.valid or groups_ready(emitter, events_ready)
    step_emitter(emitter, events_ready, item)
    if not load:
        return
    item.valid = encoder.markers_left > 0
    if item.valid:
        item.start = item.stop
        item.marker, item.final = True, encoder.markers_left == 1
        encoder.markers_left -= 1
    elif taken:
        _take(encoder, offsets, places, first_step)
