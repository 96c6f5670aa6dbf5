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


def tokens_from_spikes(spikes: np.ndarray) -> np.ndarray:
    """Tokens of one inference, int64[K], from spike counts, int[T, N], addresses ascending in a step.

    A count of n gives n events. The last step's marker is final.
    """
    spikes = np.asarray(spikes)
    steps, addresses = np.nonzero(spikes)
    counts = spikes[steps, addresses]
    steps, addresses = np.repeat(steps, counts), np.repeat(addresses, counts)
    tokens = np.empty(len(steps) + len(spikes), dtype=np.int64)
    tokens[np.arange(len(steps)) + steps] = addresses << ADDRESS_SHIFT
    ends = np.searchsorted(steps, np.arange(len(spikes)), side="right") + np.arange(len(spikes))
    tokens[ends] = MARKER
    tokens[-1] = FINAL_MARKER
    return tokens
