# SPDX-License-Identifier: MIT
"""Delays of events: those of one address come some steps later."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from .events import TokenLayout
from .fixed import bits_for_unsigned, ceil_div
from .layer_plan import GROUP_BITS
from .memory import MemoryShape

__all__ = ["Delaying", "delayed"]

WORD_BITS = 32
"""Bits for events of a word, and their values, unless a group of `GROUP_BITS` events takes more."""


def delayed(spikes: np.ndarray, delays: np.ndarray | None) -> np.ndarray:
    """Return spikes [B, T, N] as they come after the delays, int64[N], of their addresses; those that are due after the
    last step are lost. None: as they are."""
    if delays is None:
        return spikes
    late, steps = np.zeros_like(spikes), spikes.shape[1]
    for delay in np.unique(delays[delays < steps]).tolist():
        late[:, delay:, delays == delay] = spikes[:, : steps - delay, delays == delay]
    return late


@dataclass(frozen=True, kw_only=True, eq=False)
class Delaying:
    """What a delay line does to a stream, and the sizes of its memories.

    The map of the line has a slot for each step of the near future, and one for the step that is read, with a bit (and
    a value) for each address: whether an event of it is due. As an address has one delay, it is due at most once in a
    step. The bits of a slot are words of ``lanes`` neighbouring addresses.

    Parameters
    ----------
    layout : TokenLayout
        Layout of the stream, one event a token.
    delays : int64[N]
        Delay of each address, in torch's order; more than an inference has steps is as good as its steps.
    by_channel : bool
        Whether places are in the order of a map's channels, so that all events of a channel leave one after the other;
        otherwise a place is an address.
    """

    layout: TokenLayout
    delays: np.ndarray
    by_channel: bool = False

    @property
    def longest(self) -> int:
        """The longest delay."""
        return int(self.delays.max())

    @property
    def equal(self) -> bool:
        """Whether all delays are the same."""
        return bool((self.delays == self.longest).all())

    @property
    def slots(self) -> int:
        """Number of slots of the map: for the step that is read, and those in which what comes meanwhile is due."""
        return self.longest + 2

    @property
    def places(self) -> int:
        """Number of places of a slot: the largest + 1."""
        return int(self.neuron_places[-1]) + 1

    @cached_property
    def neuron_places(self) -> np.ndarray:
        """Place of each neuron, in torch's order, int64[N]."""
        addresses = self.layout.addresses()
        if not self.by_channel:
            return addresses
        low = self.layout.field_bits[0]
        return addresses >> low | (addresses & (1 << low) - 1) << self.layout.address_bits - low

    @property
    def lanes(self) -> int:
        """Number of places of a word: whole groups of `GROUP_BITS`."""
        most = max(GROUP_BITS, WORD_BITS // (1 + self.layout.value_bits) // GROUP_BITS * GROUP_BITS)
        return min(most, ceil_div(self.places, GROUP_BITS) * GROUP_BITS)

    @property
    def words(self) -> int:
        """Number of words of a slot."""
        return ceil_div(self.places, self.lanes)

    @property
    def word_bits(self) -> int:
        """Width of a word: bits, values, and a bit that tells an inference from the next."""
        return 1 + self.lanes * (1 + self.layout.value_bits)

    @property
    def slot_first(self) -> bool:
        """Whether the low bits of an address of the map are the slot, and not the word: what wastes fewer words."""
        return self._depth(True) <= self._depth(False)

    @property
    def depth(self) -> int:
        """Number of words of the map, with those that are wasted because slots or words are no power of two."""
        return self._depth(self.slot_first)

    def _depth(self, slot_first: bool) -> int:
        low, high = (self.slots, self.words) if slot_first else (self.words, self.slots)
        return ((high - 1) << (low - 1).bit_length()) + low

    @property
    def word_layout(self) -> TokenLayout:
        """The layout with places in place of neurons, in whose order events leave."""
        return replace(self.layout, shape=(self.places,))

    @cached_property
    def table(self) -> np.ndarray:
        """Delay of each place, int64[places]; 0 where there is no neuron."""
        found = np.zeros(self.places, dtype=np.int64)
        found[self.neuron_places] = self.delays
        return found

    @property
    def clear_cycles(self) -> int:
        """Cycles in which all slots are read, as after reset."""
        return self.slots * (self.words + 2) + 1

    @property
    def delay_bits(self) -> int:
        """Width of a delay."""
        return bits_for_unsigned(self.longest)

    def memories(self, name: str) -> tuple[MemoryShape, ...]:
        """Return the memories of the delay line: the map, and the table of delays, unless all are the same."""
        found = MemoryShape(name=f"{name}_map", depth=self.depth, used_bits=self.word_bits)
        if self.equal:
            return (found,)
        return found, MemoryShape(name=f"{name}_table", depth=self.places, used_bits=self.delay_bits)
