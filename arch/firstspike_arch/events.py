# SPDX-License-Identifier: MIT
"""The token that flows between all units: a spike event or an end-of-step marker."""

from dataclasses import dataclass, replace

import numpy as np

from .connectivity import Shape
from .fixed import bits_for_signed, bits_for_unsigned

__all__ = ["DELAY_MAX", "MAGNITUDE_MAX", "SHIFT_ADD_MAX", "TokenLayout", "neuron_name", "tokens_from_spikes"]

FINAL_BIT = 0
MARKER_BIT = 1
ADDRESS_SHIFT = 2
MARKER = 1 << MARKER_BIT
FINAL_MARKER = MARKER | 1 << FINAL_BIT

MAGNITUDE_MAX = 15
"""Largest magnitude of a neuron's spike."""

SHIFT_ADD_MAX = 16
"""Largest value of an event that hardware multiplies by adding shifted weights: for 16 it takes no more than for 15."""

DELAY_MAX = 4095
"""Longest delay, in steps: in the longest inference, an event of the first step would come in the last."""


@dataclass(frozen=True, kw_only=True)
class TokenLayout:
    """Layout of a token, from the lowest bit: ``final``, ``marker``, ``address``, ``value``.

    A spike event has ``marker`` = 0 and the address of the neuron that fired: its number, or in a map, from the lowest
    bit, its channel, x and y. ``value`` is the magnitude of the spike or, on an input, the number that the host
    sends (in two's complement if it can be negative); it has no bits if it can only be 1. A marker ends a step; with
    ``final`` it ends the inference. Address and value of a marker are 0.

    With two ``slots``, a token holds one event or two of the same step. Behind the first follow ``second.valid``, and
    address and value of the second, which are 0 if there is none.

    Parameters
    ----------
    shape : (N,) or (C, H, W)
        Shape of the neurons that send the stream.
    low, high : int
        Range of the values.
    slots : int
        Events that a token has room for, 1 or 2.
    """

    shape: Shape
    low: int = 1
    high: int = 1
    slots: int = 1

    @property
    def field_sizes(self) -> tuple[int, ...]:
        """Size of each address field: neurons of a vector; channels, width and height of a map."""
        return self.shape if len(self.shape) == 1 else (self.shape[0], self.shape[2], self.shape[1])

    @property
    def field_bits(self) -> tuple[int, ...]:
        """Width of each address field: the number of a vector's neuron; channel, x and y of a map."""
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
    def single(self) -> "TokenLayout":
        """The same with one event a token."""
        return replace(self, slots=1)

    @property
    def second_shift(self) -> int:
        """First bit of what follows the first event."""
        return self.value_shift + self.value_bits

    @property
    def bits(self) -> int:
        return self.second_shift + (self.slots - 1) * (1 + self.address_bits + self.value_bits)

    def addresses(self) -> np.ndarray:
        """Return the address of every neuron, in torch's order, int64[N]."""
        if len(self.shape) == 1:
            return np.arange(self.shape[0])
        channel, y, x = (part.ravel() for part in np.indices(self.shape))
        channel_bits, x_bits, _ = self.field_bits
        return channel | x << channel_bits | y << channel_bits + x_bits

    def fields(self, address: int) -> tuple[int, ...]:
        """Return the number of a vector's neuron, or channel, y and x of a map's, from its address."""
        if len(self.shape) == 1:
            return (address,)
        channel_bits, x_bits, _ = self.field_bits
        rest = address >> channel_bits
        return address & (1 << channel_bits) - 1, rest >> x_bits, rest & (1 << x_bits) - 1

    def events(self, neurons: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return spike events, int64, from neurons (numbers in torch's order) and values, which must be in range."""
        tokens = self.addresses()[neurons] << ADDRESS_SHIFT
        if self.value_bits:
            tokens = tokens | (np.asarray(values, dtype=np.int64) & (1 << self.value_bits) - 1) << self.value_shift
        return tokens

    def split(self, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Split spike events into addresses and values."""
        tokens = np.asarray(tokens, dtype=np.int64)
        address = tokens >> ADDRESS_SHIFT & (1 << self.address_bits) - 1
        if not self.value_bits:
            return address, np.ones_like(address)
        sign = 1 << self.value_bits - 1 if self.signed else 0
        return address, ((tokens >> self.value_shift) ^ sign) - sign

    def join(self, tokens: np.ndarray, joined: np.ndarray) -> np.ndarray:
        """Return tokens of one event each, int64[K], as tokens of up to two.

        ``joined`` bool[K]: the token is the second event of the one before, which is an event that is not joined.
        """
        tokens, second = np.asarray(tokens, dtype=np.int64), np.flatnonzero(joined)
        both = tokens.copy()
        both[second - 1] |= (tokens[second] >> ADDRESS_SHIFT << 1 | 1) << self.second_shift
        return np.delete(both, second)

    def one_by_one(self, tokens: np.ndarray, cycles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return tokens and the cycles of their transfers, int64[K], with an entry for each event: a second event has
        the cycle of the first. Of the tokens, it is the inverse of `join`."""
        if self.slots == 1:
            return tokens, cycles
        two = np.flatnonzero(tokens >> self.second_shift & 1)
        first = tokens & (1 << self.second_shift) - 1
        second = tokens[two] >> self.second_shift + 1 << ADDRESS_SHIFT
        return np.insert(first, two + 1, second), np.insert(cycles, two + 1, cycles[two])


def neuron_name(token: int, layout: TokenLayout) -> str:
    """Name the neuron of an event by its number, or (channel, y, x) in a map, and the value if the layout has one."""
    address, value = (int(part) for part in layout.split(np.array(token)))
    name = str(address) if len(layout.shape) == 1 else str(layout.fields(address))
    return f"{name} with {value}" if layout.value_bits else name


def tokens_from_spikes(spikes: np.ndarray, layout: TokenLayout) -> tuple[np.ndarray, np.ndarray]:
    """Convert values of spikes to tokens of inferences back to back.

    A marker ends each step, and the last marker of an inference is final.

    Parameters
    ----------
    spikes : integer or bool[B, T, N]
        Values in the range of the layout, or 0: no event. The events of a step follow in torch's order of the neurons.

    Returns
    -------
    tokens : int64[K]
    starts : int64[B + 1]
        Index of the first token of each inference, and K.
    """
    count, steps, size = spikes.shape
    flat = np.ascontiguousarray(spikes).reshape(-1)
    where = np.flatnonzero(flat)
    values = flat[where].astype(np.int64)
    step, neuron = np.divmod(where, size)
    tokens = np.empty(len(step) + count * steps, dtype=np.int64)
    # An event's index counts all earlier events, and a marker for each earlier step.
    tokens[np.arange(len(step)) + step] = layout.events(neuron, values)
    ends = np.searchsorted(step, np.arange(count * steps), side="right") + np.arange(count * steps)
    tokens[ends] = MARKER
    tokens[ends[steps - 1 :: steps]] = FINAL_MARKER
    return tokens, np.concatenate([[0], ends[steps - 1 :: steps] + 1])
