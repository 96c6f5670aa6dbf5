# SPDX-License-Identifier: MIT
"""The one token that flows between all units: a spike event or an end-of-step marker."""

from dataclasses import dataclass

import numpy as np

from .fixed import bits_for_unsigned

__all__ = ["TokenLayout", "tokens_from_spikes"]

FINAL_BIT = 0
MARKER_BIT = 1
ADDRESS_SHIFT = 2


@dataclass(frozen=True, kw_only=True)
class TokenLayout:
    """Bits of a token, from the lowest: ``final``, ``marker``, ``address``.

    A spike event has ``marker`` = 0 and the address of the neuron that fired. A marker ends a step;
    with ``final`` it ends the inference. The address of a marker is 0.

    Parameters
    ----------
    addresses : int
        How many neurons the stream speaks of.
    """

    addresses: int

    @property
    def address_bits(self) -> int:
        return bits_for_unsigned(self.addresses - 1)

    @property
    def bits(self) -> int:
        return ADDRESS_SHIFT + self.address_bits


EVENT = 0
MARKER = 1 << MARKER_BIT
FINAL_MARKER = MARKER | 1 << FINAL_BIT


def tokens_from_spikes(spikes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tokens of inferences back to back, int64[K], and where each starts, int64[B + 1].

    From spike counts, integer or bool[B, T, N]: addresses ascend in a step, a count of n gives n events, a marker ends
    each step, the last one of an inference is final.
    """
    count, steps, size = spikes.shape
    where = np.flatnonzero(np.ascontiguousarray(spikes).reshape(-1))
    counts = spikes.reshape(-1)[where]
    if counts.size and counts.max() > 1:
        where = np.repeat(where, counts)
    step, address = np.divmod(where, size)
    tokens = np.empty(len(step) + count * steps, dtype=np.int64)
    # Before an event stand all earlier events, and a marker for each earlier step.
    tokens[np.arange(len(step)) + step] = address << ADDRESS_SHIFT
    ends = np.searchsorted(step, np.arange(count * steps), side="right") + np.arange(count * steps)
    tokens[ends] = MARKER
    tokens[ends[steps - 1 :: steps]] = FINAL_MARKER
    return tokens, np.concatenate([[0], ends[steps - 1 :: steps] + 1])
