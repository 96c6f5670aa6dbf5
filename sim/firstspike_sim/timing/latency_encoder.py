# SPDX-License-Identifier: MIT
"""Twin of the latency encoder."""

import numpy as np
from firstspike_arch.layer_plan import GROUP_BITS

from .compilation import twin
from .emitter import GROUP, events_max, groups_ready
from .emitter import step as step_emitter

__all__ = ["LATENCY_ENCODER", "beats_ready", "new_latency_encoder", "step"]

LATENCY_ENCODER = np.dtype([
    ("beats", np.int64), ("banks", np.int64), ("beat", np.int64), ("bank", np.int64), ("full", np.int64),
    ("ends", np.bool_), ("side", np.int64), ("inference", np.int64), ("step", np.int64), ("fresh", np.bool_),
    ("next_spike", np.int64), ("dropped", np.bool_), ("item", GROUP),
], align=True)
"""State of a latency encoder, with the number of ``beats`` of an image and the number of ``banks``.

Taking: the next ``beat``, the ``bank`` that it goes to, a bit in ``full`` for each bank that is full; ``ends``, whether
the last beat is being sorted. Sending: the bank (``side``), the ``inference`` and its ``step``; ``fresh``, whether the
step begins; its next spike; ``dropped``, whether the image is dropped; the entry of a bucket (``item``) that goes to
the emitter, whose state is separate.
"""


def new_latency_encoder(beats: int, slots: int) -> np.ndarray:
    """State of an encoder after reset, `LATENCY_ENCODER` [1], for images of ``beats`` beats, with ``slots`` events a
    token."""
    state = np.zeros(1, LATENCY_ENCODER)
    state["beats"], state["banks"], state["fresh"] = beats, slots + 1, True
    return state


@twin
def beats_ready(encoder):  # pragma: no cover - compiled
    """Whether a beat is taken if it is offered: "one beat a cycle, also from image to image", and "an image is taken
    into one side while that of the other is read"."""
    bank = encoder.bank + int(encoder.ends)
    if bank == encoder.banks:
        bank = 0
    return (encoder.full >> bank) & 1 == 0


@twin
def _take(encoder, taken):  # pragma: no cover - compiled
    """Take a beat or none. After the last beat an image is sorted for one cycle; then its bank is full."""
    if encoder.ends:
        encoder.full |= 1 << encoder.bank
        encoder.bank = (encoder.bank + 1) % encoder.banks
    encoder.ends = taken and encoder.beat == encoder.beats - 1
    if taken:
        encoder.beat = 0 if encoder.ends else encoder.beat + 1


@twin
def _fetch(encoder, count, offsets, places, first_step):  # pragma: no cover - compiled
    """Fetch the next entry, or the next ``count``: "every step has a bucket, and a beat leaves one entry in each bucket
    that one of its pixels falls into". If the image is dropped, "the rest of it is replaced by its final marker"."""
    item, where = encoder.item, first_step[encoder.inference] + encoder.step
    if encoder.fresh:
        encoder.next_spike, encoder.fresh = offsets[where], False
    stop, end = encoder.next_spike, offsets[where + 1]
    item.start = stop
    for _ in range(count):
        if not encoder.dropped and stop < end:
            number = places[stop] // GROUP_BITS
            while stop < end and places[stop] // GROUP_BITS == number:
                stop += 1
    item.stop = encoder.next_spike = stop
    ends_image = encoder.dropped or where + 1 == first_step[encoder.inference + 1]
    item.marker = encoder.dropped or stop == end
    item.final = item.marker and ends_image
    if item.marker:
        encoder.fresh = True
        encoder.step += 1
        if ends_image:
            encoder.step, encoder.inference = 0, encoder.inference + 1
            encoder.full &= ~(1 << encoder.side)
            encoder.side = (encoder.side + 1) % encoder.banks


@twin
def step(
    encoder, emitter, events_ready, taken, drop_valid, drop_inference, offsets, places, first_step,
):  # pragma: no cover - compiled
    """A cycle of `firstspike_hw.latency_encoder`: "one token a cycle without bubbles"; "the last beat of an image taken
    in cycle c, its first token is offered in c + 4 if nothing is before it". ``offsets`` are those of the input. "With
    two events a token, those of two beats with pixels in a step are sent together".

    "From the cycle after ``drop`` names the image that is being sent, the rest of it is replaced by its final marker".
    """
    fetch_ready = not encoder.item.valid or groups_ready(emitter, events_ready)
    step_emitter(emitter, events_ready, encoder.item)
    if fetch_ready:
        encoder.item.valid = (encoder.full >> encoder.side) & 1 != 0
        if encoder.item.valid:
            _fetch(encoder, events_max(emitter), offsets, places, first_step)
    _take(encoder, taken)
    encoder.dropped = drop_valid and drop_inference == encoder.inference
