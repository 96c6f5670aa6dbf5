# SPDX-License-Identifier: MIT
"""External weights: what a layer with weights in an external memory reads of it, and where that lies."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from .connectivity import Conv2d, Dense, pooled, size_of
from .events import TokenLayout
from .fixed import CHUNK_BITS, ceil_div
from .layer import INPUT
from .memory import MemoryShape
from .network import IntegerNetwork
from .walk import Walk

__all__ = ["ANSWER_CYCLES", "BEATS_BITS", "QUEUE_TOKENS", "REQUEST_ADDRESS_BITS", "Fetching", "external_buffers",
           "external_obstacle", "fetched_walk", "is_by_channel", "is_sorted"]

REQUEST_ADDRESS_BITS, BEATS_BITS = 32, 16
"""Widths of a request's fields: its address, in octets, and its number of beats."""

QUEUE_TOKENS = 64
"""Tokens that wait in a weight fetcher while it asks for what those behind them need."""

ANSWER_CYCLES = 1 << 16
"""Cycles without a beat, while some are asked for, after which a fetcher takes the memory for dead."""

LATENCY = 64
"""Cycles from a request to its first beat that a mapping counts with."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Fetching:
    """What a weight fetcher does for a stream, and what of the external memory belongs to it.

    The weights of an event are a slice: of a convolution, and of a dense layer behind a pool of the whole map, those of
    its input channel; of another dense layer those of its address. The low bits of an address are the number of its
    slice. A slice is a row of words of the weight memory, each filled up to whole beats; slices follow each other by
    number. Numbers that no address has leave gaps.

    Parameters
    ----------
    layout : TokenLayout
        Layout of the stream.
    by_channel : bool
        Whether a slice belongs to a channel of a map.
    buffers : int
        Slices that the weight memory of the core holds.
    words : int
        Words of a slice.
    stride : int
        Words of the weight memory from one buffer to the next.
    word_bits : int
        Width of a word that is used.
    beat_bits : int
        Width of a beat.
    base : int
        Address of slice 0, in octets.
    """

    layout: TokenLayout
    by_channel: bool
    buffers: int
    words: int
    stride: int
    word_bits: int
    beat_bits: int
    base: int = 0

    @property
    def slice_bits(self) -> int:
        """Number of low bits of an address that are its slice."""
        return self.layout.field_bits[0] if self.by_channel else self.layout.address_bits

    @cached_property
    def slice_of_neurons(self) -> np.ndarray:
        """Slice of the events of each neuron, in torch's order, int64[N]."""
        return self.layout.addresses() & (1 << self.slice_bits) - 1

    @property
    def slices(self) -> int:
        """The largest number of a slice + 1."""
        return int(self.slice_of_neurons.max()) + 1

    @property
    def word_beats(self) -> int:
        """Beats of a word."""
        return ceil_div(self.word_bits, self.beat_bits)

    @property
    def beats(self) -> int:
        """Beats of a slice."""
        return self.words * self.word_beats

    @property
    def octets(self) -> int:
        """Octets of a slice, and from one to the next."""
        return self.beats * self.beat_bits // 8

    @property
    def end(self) -> int:
        """First address behind the slices, in octets."""
        return self.base + self.slices * self.octets

    @property
    def chunks_of_beats(self) -> list[list[int]]:
        """Chunks of a word that each of its beats holds, from the lowest bits on."""
        several, count = self.beat_bits // CHUNK_BITS, ceil_div(self.word_bits, CHUNK_BITS)
        return [list(range(first, min(first + several, count))) for first in range(0, count, several)]

    def memories(self, name: str) -> tuple[MemoryShape, ...]:
        """Return the memory of the weight fetcher: its queue of tokens, the last of which is in a register."""
        buffer_bits = (self.buffers - 1).bit_length()
        return (MemoryShape(name=f"{name}_queue", depth=QUEUE_TOKENS - 1,
                            used_bits=self.layout.value_shift + self.layout.value_bits + buffer_bits),)

    def slices_read(self, spikes: np.ndarray) -> np.ndarray:
        """Return how many slices each inference reads, int64[B], from spikes [B, T, N]: in each step those with a
        spike."""
        count = np.zeros((*spikes.shape[:2], self.slices), dtype=bool)
        batch, step, neuron = np.nonzero(spikes)
        count[batch, step, self.slice_of_neurons[neuron]] = True
        return count.sum((1, 2))

    def octets_of(self, words: Sequence[int]) -> bytes:
        """Return what the external memory holds from ``base`` on, given the words of all slices, without gaps."""
        size = self.word_beats * self.beat_bits // 8
        image = np.zeros((self.slices, self.octets), dtype=np.uint8)
        filled = b"".join(word.to_bytes(size, "little") for word in words)
        image[np.unique(self.slice_of_neurons)] = np.frombuffer(filled, dtype=np.uint8).reshape(-1, self.octets)
        return image.tobytes()


def external_buffers(beats: int) -> int:
    """Return how many buffers a mapping gives a layer whose slices have so many beats: so many that the memory is busy
    while one is worked through, and `LATENCY` more cycles, but at most 16."""
    return next((count for count in (2, 4, 8) if (count - 1) * beats >= LATENCY), 16)


def external_obstacle(network: IntegerNetwork, index: int) -> str | None:
    """Return why a layer cannot have its weights in an external memory (`LayerOptions.external`); None: it can."""
    layer = network.layers[index]
    if layer.branches:
        return "external must be off: the layer has several sets of synapses, and one stream of events is fetched for"
    if network.is_static(index):
        return "external must be off: the layer takes a direct input, which visits all of its weights at once"
    if isinstance(layer.connectivity, Dense) and layer.connectivity.pool_size > 1 and not is_by_channel(
            layer.connectivity):
        return ("external must be off: a dense layer behind a pool reads weights several times in a step, unless it "
                "pools the whole map")
    return None


def is_by_channel(synapses: Dense | Conv2d) -> bool:
    """Whether the events of a channel share their weights."""
    return isinstance(synapses, Conv2d) or (
        synapses.pool_size > 1 and pooled(synapses.in_shape, synapses.pool)[1:] == (1, 1))


def is_sorted(network: IntegerNetwork, index: int) -> bool:
    """Whether the events of a step must be sorted in front of a weight fetcher, so that each slice is read once: those
    of a channel come one by one, or the same address comes twice."""
    synapses, layout = network.layers[index].connectivity, network.layout_of(index - 1)
    if is_by_channel(synapses):
        return size_of(synapses.in_shape[1:]) > 1
    return index - 1 == INPUT and network.input_kind == "events" and layout.value_bits > 0


def fetched_walk(walk: Walk, synapses: Dense | Conv2d) -> Walk:
    """Return the walk of a layer with external weights: words are those of a buffer."""
    if walk.x is None or walk.y is None or isinstance(synapses, Conv2d):
        return walk
    # An address of a map is a slice of a dense layer: x and y do not lead to other words.
    return replace(walk, x=replace(walk.x, word=walk.x.word * 0), y=replace(walk.y, word=walk.y.word * 0))
