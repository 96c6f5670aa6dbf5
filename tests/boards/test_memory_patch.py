# SPDX-License-Identifier: MIT
"""Memories in a finished design: found however they are split and permuted, exchanged bit for bit, and nothing else.

The designs here are made up, in the formats of nextpnr: blocks of noise in which a memory was scattered.
"""

import json
import random

import numpy as np
import pytest
from firstspike_arch.memory import MemoryShape
from firstspike_boards.ecp5 import ECP5
from firstspike_boards.gowin import GOWIN
from firstspike_boards.ice40 import ICE40
from firstspike_boards.memory_patch import find_memories, placeholder, whole_slices
from firstspike_hw.toolchain import ToolError

FAMILIES = [ICE40, ECP5, GOWIN]
SHAPES = (MemoryShape(name="core0_weights", depth=1030, used_bits=40),
          MemoryShape(name="identity", depth=3, used_bits=5),
          MemoryShape(name="core1_weights", depth=300, used_bits=41, loadable=True, parity=True))


def empty_design(family, blocks: int) -> str:
    """So many block RAMs of zeros, with something before, between and behind."""
    if family is ICE40:
        rams = [f".ram_data {place} 3\n" + f"{0:064x}\n" * 16 + "\n.logic_tile 1 1\n0101\n\n"
                for place in range(blocks)]
        return ".comment made up\n\n" + "".join(rams) + ".sym 1 clk\n"
    if family is ECP5:
        line = " ".join(["000"] * 8) + "\n"
        rams = [f".bram_init {place}\n" + line * 256 + "\n" for place in range(blocks)]
        return ".device LFE5U-85F\n\n" + "".join(rams) + ".tile R1C1:PLC2\narc: A B\n"
    cells = {f"ram{place}": {"type": "DPX9B", "parameters": {
        "BIT_WIDTH_0": "10", **{f"INIT_RAM_{number:02X}": "0" * 288 for number in range(64)}}}
        for place in range(blocks)}
    return json.dumps({"modules": {"top": {"cells": {**cells, "lut": {"type": "LUT4", "parameters": {"INIT": "1"}}}}}})


def slots(family) -> list[int]:
    """Slices that do not overlap: those of one width, the widest."""
    words = family.flow.blocks.words
    return list(range(len(family.flow.blocks.slices)))[-(16 if words == 256 else 36):]


def scattered(family, shapes, contents, seed: int, copies: int = 1) -> str:
    """A design that holds the memories in random slices of random blocks, between noise."""
    source = random.Random(seed)
    blocks = family.flow.blocks
    pieces = [(shape, bit, chunk) for shape in shapes for bit in range(shape.stored_bits)
              for chunk in range(whole_slices(shape, blocks).depth // blocks.words) for _ in range(copies)]
    text = empty_design(family, -(-len(pieces) // len(slots(family))) + 1)
    rams = blocks.read(text)
    noise = np.random.default_rng(seed)
    for name, bits in rams.items():
        rams[name] = noise.random(len(bits)) < 0.5
    places = [(name, slot) for name in rams for slot in slots(family)]
    for (shape, bit, chunk), (name, slot) in zip(pieces, source.sample(places, len(pieces)), strict=True):
        words = contents[shape.name][chunk * blocks.words:(chunk + 1) * blocks.words]
        rams[name][blocks.slices[slot]] = [shape.stored(word) >> bit & 1 for word in words]
    return blocks.write(text, rams)


def placed(family, seed: int = 1, copies: int = 1) -> str:
    held = {shape.name: placeholder(whole_slices(shape, family.flow.blocks)) for shape in SHAPES}
    return scattered(family, SHAPES, held, seed, copies)


def images(seed: int) -> dict[str, list[int]]:
    source = random.Random(seed)
    return {shape.name: [source.getrandbits(shape.used_bits) for _ in range(shape.depth)] for shape in SHAPES}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_contents_are_exchanged_and_read_back(family):
    design, blocks = placed(family), family.flow.blocks
    memories = find_memories(design, SHAPES, blocks)
    for seed in (2, 3):
        wanted = images(seed)
        patched = memories.write(design, wanted)
        assert memories.read(patched) == wanted
        # Only bits of the memories' own slices have changed, and all text around the blocks is the same.
        before, after = blocks.read(design), blocks.read(patched)
        own = {name: np.zeros(len(bits), bool) for name, bits in before.items()}
        for places in memories.places.values():
            for _, _, block, where in places:
                own[block][blocks.slices[where]] = True
        assert all((before[name] == after[name])[~own[name]].all() for name in before)
        assert blocks.write(patched, before) == blocks.write(design, before)
    assert memories.blocks_of("core0_weights") > 1


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_flipped_bit_is_seen(family):
    design, blocks, wanted = placed(family), family.flow.blocks, images(4)
    memories = find_memories(design, SHAPES, blocks)
    patched = blocks.read(memories.write(design, wanted))
    bit, chunk, block, where = memories.places["core0_weights"][17]
    patched[block][blocks.slices[where][1]] ^= True
    word = chunk * blocks.words + 1
    found = memories.read(blocks.write(design, patched))["core0_weights"]
    different = [place for place, word in enumerate(wanted["core0_weights"]) if found[place] != word]
    assert different == ([word] if word < SHAPES[0].depth else [])
    assert not different or found[word] ^ wanted["core0_weights"][word] == 1 << bit


def test_a_word_that_does_not_fit_its_parity_is_said():
    design, blocks = placed(ECP5), ECP5.flow.blocks
    memories = find_memories(design, SHAPES, blocks)
    rams = blocks.read(memories.write(design, images(6)))
    _, _, block, where = memories.places["core1_weights"][0]
    rams[block][blocks.slices[where][0]] ^= True
    with pytest.raises(ToolError, match=r"^core1_weights: every word in block RAM must fit its parity, but some do "
                                        r"not$"):
        memories.read(blocks.write(design, rams))


def test_every_width_of_a_block_is_found():
    for family in FAMILIES:
        blocks = family.flow.blocks
        shape = MemoryShape(name="m", depth=blocks.words, used_bits=1)
        column = placeholder(shape)
        design = empty_design(family, 1)
        for where in range(len(blocks.slices)):
            rams = blocks.read(design)
            next(iter(rams.values()))[blocks.slices[where]] = [word & 1 for word in column]
            places = find_memories(blocks.write(design, rams), (shape,), blocks).places["m"]
            assert (0, 0, next(iter(rams)), where) in places


def test_copies_are_all_written_and_must_agree():
    design, blocks = placed(ICE40, copies=2), ICE40.flow.blocks
    memories = find_memories(design, SHAPES, blocks)
    assert len(memories.places["identity"]) == 10
    patched = memories.write(design, images(5))
    assert memories.read(patched) == images(5)
    for _, _, block, where in memories.places["identity"]:  # whichever copy it is, and whether it was 0 or 1
        rams = blocks.read(patched)
        rams[block][blocks.slices[where][0]] ^= True
        with pytest.raises(ToolError, match=r"^identity: its copies in block RAM must hold the same words, but "
                                            r"differ$"):
            memories.read(blocks.write(patched, rams))


def test_a_bit_that_is_nowhere_is_named():
    design, blocks = placed(ECP5), ECP5.flow.blocks
    bit, chunk, block, where = find_memories(design, SHAPES, blocks).places["core0_weights"][0]
    rams = blocks.read(design)
    rams[block][blocks.slices[where][5]] ^= True
    with pytest.raises(ToolError, match=rf"^every bit of core0_weights must be in a block RAM of the placed design, "
                                        rf"but bit {bit} of words from {chunk * 512} on is not \(1 slices are missing"):
        find_memories(blocks.write(design, rams), SHAPES, blocks)
