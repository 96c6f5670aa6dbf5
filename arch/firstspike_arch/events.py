# SPDX-License-Identifier: MIT
"""The one token that flows between all units: a spike event or an end-of-step marker."""

from dataclasses import dataclass

import numpy as np

from .connectivity import Shape
from .fixed import bits_for_unsigned

__all__ = ["TokenLayout", "neuron_name", "tokens_from_spikes"]

FINAL_BIT = 0
MARKER_BIT = 1
ADDRESS_SHIFT = 2


@dataclass(frozen=True, kw_only=True)
class TokenLayout:
    """Bits of a token, from the lowest: ``final``, ``marker``, ``address``.

    A spike event has ``marker`` = 0 and the address of the neuron that fired: its number, or in a map, from the lowest
    bit, its channel, x and y. A marker ends a step; with ``final`` it ends the inference. The address of a marker is 0.

    Parameters
    ----------
    shape : (N,) or (C, H, W)
        Of the neurons that the stream speaks of.
    """

    shape: Shape

    @property
    def field_sizes(self) -> tuple[int, ...]:
        """How many numbers, or how many channels, x and y."""
        return self.shape if len(self.shape) == 1 else (self.shape[0], self.shape[2], self.shape[1])

    @property
    def field_bits(self) -> tuple[int, ...]:
        """Bits of the number, or of channel, x and y."""
        return tuple(bits_for_unsigned(size - 1) for size in self.field_sizes)

    @property
    def address_bits(self) -> int:
        return sum(self.field_bits)

    def addresses(self) -> np.ndarray:
        """The address of every neuron, in torch's order, int64[N]."""
        if len(self.shape) == 1:
            return np.arange(self.shape[0])
        channel, y, x = (part.ravel() for part in np.indices(self.shape))
        channel_bits, x_bits, _ = self.field_bits
        return channel | x << channel_bits | y << channel_bits + x_bits

    def fields(self, address: int) -> tuple[int, ...]:
        """The number, or channel, y and x, of an address."""
        if len(self.shape) == 1:
            return (address,)
        channel_bits, x_bits, _ = self.field_bits
        rest = address >> channel_bits
        return address & (1 << channel_bits) - 1, rest >> x_bits, rest & (1 << x_bits) - 1

    @property
    def bits(self) -> int:
        return ADDRESS_SHIFT + self.address_bits


EVENT = 0
MARKER = 1 << MARKER_BIT
FINAL_MARKER = MARKER | 1 << FINAL_BIT


def neuron_name(token: int, shape: Shape | None) -> str:
    """Who fired: its number, or in a map (channel, y, x)."""
    address = int(token) >> ADDRESS_SHIFT
    return str(address) if shape is None or len(shape) == 1 else str(TokenLayout(shape=shape).fields(address))


def tokens_from_spikes(spikes: np.ndarray, shape: Shape | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Tokens of inferences back to back, int64[K], and where each starts, int64[B + 1].

    From spike counts, integer or bool[B, T, N], of neurons in torch's order (``shape``; None: a vector): they keep this
    order within a step, a count of n gives n events, a marker ends each step, the last one of an inference is final.
    """
    count, steps, size = spikes.shape
    addresses = TokenLayout(shape=(size,) if shape is None else shape).addresses()
    where = np.flatnonzero(np.ascontiguousarray(spikes).reshape(-1))
    counts = spikes.reshape(-1)[where]
    if counts.size and counts.max() > 1:
        where = np.repeat(where, counts)
    step, address = np.divmod(where, size)
    tokens = np.empty(len(step) + count * steps, dtype=np.int64)
    # Before an event stand all earlier events, and a marker for each earlier step.
    tokens[np.arange(len(step)) + step] = addresses[address] << ADDRESS_SHIFT
    ends = np.searchsorted(step, np.arange(count * steps), side="right") + np.arange(count * steps)
    tokens[ends] = MARKER
    tokens[ends[steps - 1 :: steps]] = FINAL_MARKER
    return tokens, np.concatenate([[0], ends[steps - 1 :: steps] + 1])
