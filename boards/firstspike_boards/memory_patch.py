# SPDX-License-Identifier: MIT
"""Writing new weights into a placed design, after finding by its contents where the placer has put every bit.

The design is placed with random images. No two slices (one bit of many consecutive words) are then alike, so a slice
found in a block RAM tells which memory, bit and words lie there, however synthesis has split and permuted them.
`icebram` and `ecpbram` work the same way, but `icebram` refuses memories in which synthesis has dropped unused bits,
and `ecpbram` does not report what it has not found.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from firstspike_arch.fixed import CHUNK_BITS, ceil_div
from firstspike_arch.memory import MemoryShape
from firstspike_hw.toolchain import ToolError

from .family import BlockFormat

__all__ = ["MemoryMap", "find_memories", "placeholder", "whole_slices"]


def whole_slices(shape: MemoryShape, blocks: BlockFormat) -> MemoryShape:
    """Return the memory with its depth rounded up to whole slices, so that its last words are found like all others."""
    return replace(shape, depth=ceil_div(shape.depth, blocks.words) * blocks.words)


def placeholder(shape: MemoryShape) -> list[int]:
    """Return random words, int[depth], always the same for the same memory."""
    source, bits = random.Random(f"{shape.name} {shape.depth} {shape.width}"), shape.chunks * CHUNK_BITS
    return [source.getrandbits(bits) for _ in range(shape.depth)]


@dataclass(frozen=True, kw_only=True, eq=False)
class MemoryMap:
    """Locations of the bits of memories in a placed design.

    Parameters
    ----------
    blocks : BlockFormat
    shapes : tuple of MemoryShape
    places : dict
        For each memory, by name, a list of (bit, chunk of consecutive words, block, slice). Every bit and chunk occurs
        once, or several times if synthesis has copied the memory.
    """

    blocks: BlockFormat
    shapes: tuple[MemoryShape, ...]
    places: dict[str, list[tuple[int, int, str, int]]]

    def write(self, text: str, images: Mapping[str, Sequence[int]]) -> str:
        """Return the design with other contents of its memories, int[depth] by name."""
        contents = self.blocks.read(text)
        for shape in self.shapes:
            bits = _bits(images[shape.name], shape, self.blocks)
            for bit, chunk, block, where in self.places[shape.name]:
                contents[block][self.blocks.slices[where]] = bits[chunk, :, bit]
        return self.blocks.write(text, contents)

    def read(self, text: str) -> dict[str, list[int]]:
        """Read the contents of the memories from a design, int[depth] by name. All copies of a memory are compared.

        Raises
        ------
        ToolError
            Copies of a memory differ, or a word does not fit its parity.
        """
        contents, images = self.blocks.read(text), {}
        for shape in self.shapes:
            chunks = ceil_div(shape.depth, self.blocks.words)
            low, high = (np.full((chunks, self.blocks.words, shape.stored_bits), edge) for edge in (True, False))
            for bit, chunk, block, where in self.places[shape.name]:
                found = contents[block][self.blocks.slices[where]]
                low[chunk, :, bit] &= found
                high[chunk, :, bit] |= found
            if (low != high).any():
                raise ToolError(f"{shape.name}: its copies in block RAM must hold the same words, but differ")
            packed = np.packbits(low.reshape(-1, shape.stored_bits)[:shape.depth], axis=1, bitorder="little")
            words = [int.from_bytes(word.tobytes(), "little") for word in packed]
            images[shape.name] = [shape.data_of(word) for word in words]
            if list(map(shape.stored, images[shape.name])) != words:
                raise ToolError(f"{shape.name}: every word in block RAM must fit its parity, but some do not")
        return images

    def blocks_of(self, name: str) -> int:
        """Count the block RAMs that hold parts of a memory."""
        return len({block for _, _, block, _ in self.places[name]})


def find_memories(text: str, shapes: Sequence[MemoryShape], blocks: BlockFormat) -> MemoryMap:
    """Find the memories in a design that holds the `placeholder` of each.

    Raises
    ------
    ToolError
        A bit of a memory is in no block RAM.
    """
    wanted = {}
    for shape in shapes:
        bits = _bits(placeholder(whole_slices(shape, blocks)), shape, blocks)
        for chunk, bit in np.ndindex(bits.shape[0], bits.shape[2]):
            wanted[_key(bits[chunk, :, bit])] = (shape.name, bit, chunk)
    places: dict[str, list[tuple[int, int, str, int]]] = {shape.name: [] for shape in shapes}
    missing = set(wanted)
    for block, contents in blocks.read(text).items():
        for where, places_of_slice in enumerate(contents[blocks.slices]):
            key = _key(places_of_slice)
            if key in wanted:
                name, bit, chunk = wanted[key]
                places[name].append((bit, chunk, block, where))
                missing.discard(key)
    if missing:
        name, bit, chunk = min(wanted[key] for key in missing)
        raise ToolError(f"every bit of {name} must be in a block RAM of the placed design, but bit {bit} of words from "
                        f"{chunk * blocks.words} on is not ({len(missing)} slices are missing in all)")
    return MemoryMap(blocks=blocks, shapes=tuple(shapes), places=places)


def _bits(words: Sequence[int], shape: MemoryShape, blocks: BlockFormat) -> np.ndarray:
    """Return the bits of an image, bool[chunks, words, stored_bits], with zeros after the last word."""
    octets = ceil_div(shape.width, 8)
    raw = np.frombuffer(b"".join(shape.stored(word).to_bytes(octets, "little") for word in words), np.uint8)
    raw = raw.reshape(-1, octets)
    bits = np.unpackbits(raw, axis=1, bitorder="little")[:, :shape.stored_bits].astype(bool)
    padded = np.zeros((whole_slices(shape, blocks).depth, shape.stored_bits), dtype=bool)
    padded[:len(bits)] = bits
    return padded.reshape(-1, blocks.words, shape.stored_bits)


def _key(bits: np.ndarray) -> bytes:
    return np.packbits(bits).tobytes()
