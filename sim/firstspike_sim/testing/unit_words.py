# SPDX-License-Identifier: MIT
"""Conversions between values and the words that single units take and send."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from amaranth.lib import data
from firstspike_arch.events import ADDRESS_SHIFT, FINAL_MARKER, MARKER, TokenLayout, tokens_from_spikes
from firstspike_arch.fixed import ceil_div
from firstspike_arch.layer_plan import LayerPlan

__all__ = [
    "beats_of", "event", "frame_words", "frames_of", "layer_tokens", "random_bodies", "second_events", "struct_word",
    "tokens_of",
]

END = 1 << 8
"""Bit of a word that marks the end of a frame."""


def event(address: int) -> int:
    """The token of an event of magnitude 1."""
    return address << ADDRESS_SHIFT


def struct_word(layout: data.Layout, **fields: Any) -> int:
    """The bits of a struct with these fields; all others are 0."""
    return layout.const({**fields}).as_bits()


def tokens_of(spikes: np.ndarray) -> list[int]:
    """Tokens of spikes, bool or uint8[B, T, N] or [B, T, C, H, W], in torch's order."""
    spikes = np.asarray(spikes)
    return tokens_from_spikes(spikes, TokenLayout(shape=spikes.shape[2:]))[0].tolist()


def layer_tokens(magnitudes: np.ndarray, layout: TokenLayout, plan: LayerPlan | None = None) -> list[int]:
    """Tokens of magnitudes int[B, T, N] as a layer sends them: row by row of its plan, or in torch's order without a
    plan."""
    order = np.arange(magnitudes.shape[2]) if plan is None else np.argsort(plan.places())
    tokens: list[int] = []
    for inference in magnitudes:
        for step in inference:
            neurons = order[step[order] != 0]
            tokens += [*layout.events(neurons, step[neurons]).tolist(), MARKER]
        tokens[-1] = FINAL_MARKER
    return tokens


def second_events(random: np.random.Generator, tokens: np.ndarray, often: float = 0.7) -> np.ndarray:
    """Which tokens, int64[K], to join to the one before (`TokenLayout.join`), bool[K]: an event behind an event that is
    not joined itself, so often."""
    joined = np.zeros(len(tokens), dtype=bool)
    for at in range(1, len(tokens)):
        both = not (tokens[at - 1] | tokens[at]) & MARKER
        joined[at] = both and not joined[at - 1] and random.random() < often
    return joined


def beats_of(images: np.ndarray) -> list[int]:
    """Beats of images int[B, N]: eight pixels each, in two's complement, padded with zeros."""
    count = images.shape[1]
    padded = np.zeros((len(images), ceil_div(count, 8) * 8), np.uint8)
    padded[:, :count] = images & 0xFF
    return padded.view("<u8").reshape(-1).tolist()


def frame_words(*bodies: bytes, end: int = 0) -> list[int]:
    """Words of frames as the units of the host link pass them on: the octets, then a word with `END` and ``end``."""
    return [word for body in bodies for word in (*body, END | end)]


def frames_of(words: Sequence[int]) -> list[tuple[bytes, int]]:
    """The octets of each frame, and the octet in its last word: the inverse of `frame_words`.

    Raises
    ------
    ValueError
        The last frame has no end.
    """
    frames, octets = [], bytearray()
    for word in words:
        if word & END:
            frames.append((bytes(octets), word & 0xFF))
            octets.clear()
        else:
            octets.append(word)
    if octets:
        raise ValueError(f"the last frame must have an end, not only {len(octets)} octets")
    return frames


def random_bodies(seed: int) -> list[bytes]:
    """Random contents of frames, with and without zeros, also of the lengths at which blocks of COBS end."""
    random = np.random.default_rng(seed)
    lengths = [1, 2, 253, 254, 255, 256, 508, 509, *random.integers(1, 40, 8).tolist()]
    return [
        bytes(random.integers(low, 256, length, dtype=np.uint8)) for low in (0, 1) for length in lengths
    ] + [b"\0", b"\0\0", b"\1" * 254 + b"\0", b"\1" * 254 + b"\0\1", bytes(300)]
