# SPDX-License-Identifier: MIT
"""The one token that flows between all units: a spike event or an end-of-step marker."""

from dataclasses import dataclass

import numpy as np

from .connectivity import Shape
from .fixed import bits_for_signed, bits_for_unsigned

__all__ = ["MAGNITUDE_MAX", "TokenLayout", "neuron_name", "tokens_from_spikes"]

FINAL_BIT = 0
MARKER_BIT = 1
ADDRESS_SHIFT = 2
MARKER = 1 << MARKER_BIT
FINAL_MARKER = MARKER | 1 << FINAL_BIT

MAGNITUDE_MAX = 15
"""Most that one spike event says; a larger count is several events."""


@dataclass(frozen=True, kw_only=True)
class TokenLayout:
    """Bits of a token, from the lowest: ``final``, ``marker``, ``address``, ``value``.

    A spike event has ``marker`` = 0 and the address of the neuron that fired: its number, or in a map, from the lowest
    bit, its channel, x and y. ``value`` is the magnitude of the spike, or of a direct input the number that the host
    sends (two's complement if there are negative ones); where it can only be 1 it has no bits. A marker ends a step;
    with ``final`` it ends the inference. Address and value of a marker are 0.

    Parameters
    ----------
    shape : (N,) or (C, H, W)
        Of the neurons that the stream speaks of.
    low, high : int
        Range of the values.
    """

    shape: Shape
    low: int = 1
    high: int = 1

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

    @property
    def signed(self) -> bool:
        """Whether values are in two's complement."""
        return self.low < 0

    @property
    def value_bits(self) -> int:
        if (self.low, self.high) == (1, 1):
            return 0
        return bits_for_signed(self.low, self.high) if self.signed else bits_for_unsigned(self.high)

    @property
    def value_shift(self) -> int:
        """First bit of the value."""
        return ADDRESS_SHIFT + self.address_bits

    @property
    def bits(self) -> int:
        return self.value_shift + self.value_bits

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

    def events(self, neurons: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Spike events of neurons by their numbers in torch's order, with values in range; int64 like both."""
        tokens = self.addresses()[neurons] << ADDRESS_SHIFT
        if self.value_bits:
            tokens = tokens | (np.asarray(values, dtype=np.int64) & (1 << self.value_bits) - 1) << self.value_shift
        return tokens

    def split(self, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Addresses and values of spike events, the inverse of `events` but for the order of the neurons."""
        tokens = np.asarray(tokens, dtype=np.int64)
        address = tokens >> ADDRESS_SHIFT & (1 << self.address_bits) - 1
        if not self.value_bits:
            return address, np.ones_like(address)
        sign = 1 << self.value_bits - 1 if self.signed else 0
        return address, ((tokens >> self.value_shift) ^ sign) - sign


def neuron_name(token: int, layout: TokenLayout) -> str:
    """Who fired: its number, or in a map (channel, y, x); and what it says, if it can say more than one thing."""
    address, value = (int(part) for part in layout.split(np.array(token)))
    name = str(address) if len(layout.shape) == 1 else str(layout.fields(address))
    return f"{name} with {value}" if layout.value_bits else name


def tokens_from_spikes(spikes: np.ndarray, layout: TokenLayout) -> tuple[np.ndarray, np.ndarray]:
    """Tokens of inferences back to back, int64[K], and where each starts, int64[B + 1].

    From magnitudes, integer or bool[B, T, N], of neurons in torch's order. They keep this order within a step; a
    magnitude beyond ``layout.high`` becomes several events; a marker ends each step, the last one of an inference is
    final.
    """
    count, steps, size = spikes.shape
    flat = np.ascontiguousarray(spikes).reshape(-1)
    where = np.flatnonzero(flat)
    values = flat[where].astype(np.int64)
    if values.size and values.max() > layout.high:
        parts = -(-values // layout.high)
        where, values = np.repeat(where, parts), np.repeat(values, parts)
        nth = np.arange(len(where)) - np.repeat(np.cumsum(parts) - parts, parts)
        values = np.minimum(values - nth * layout.high, layout.high)
    step, neuron = np.divmod(where, size)
    tokens = np.empty(len(step) + count * steps, dtype=np.int64)
    # Before an event stand all earlier events, and a marker for each earlier step.
    tokens[np.arange(len(step)) + step] = layout.events(neuron, values)
    ends = np.searchsorted(step, np.arange(count * steps), side="right") + np.arange(count * steps)
    tokens[ends] = MARKER
    tokens[ends[steps - 1 :: steps]] = FINAL_MARKER
    return tokens, np.concatenate([[0], ends[steps - 1 :: steps] + 1])
