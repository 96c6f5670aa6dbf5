# SPDX-License-Identifier: MIT
"""Parity of memory words: what each bit covers, and how words are stored with it."""

import numpy as np
import pytest
from firstspike_arch.fixed import CHUNK_BITS
from firstspike_arch.memory import MemoryShape
from firstspike_arch.parity import parity_bits, parity_of
from firstspike_arch.program import Program
from firstspike_compiler.compile import CompileError, compile_network


@pytest.mark.parametrize("width", [1, 5, 8, 9, 20, 32, 33, 96])
def test_a_flipped_bit_and_flipped_neighbours_are_noticed(width):
    random, count = np.random.default_rng(width), parity_bits(width)
    assert count == -(-width // 8) and parity_of(0, width) == 0
    for word in (0, (1 << width) - 1, int.from_bytes(random.bytes(12), "little") & (1 << width) - 1):
        kept = parity_of(word, width)
        assert kept < 1 << count
        for neighbours in range(1, count + 1):
            for first in range(width - neighbours + 1):
                flips = (1 << neighbours) - 1 << first
                assert (parity_of(word ^ flips, width) ^ kept).bit_count() == neighbours


@pytest.mark.parametrize("used", [3, 32, 40, 76])
def test_words_are_stored_with_the_parity_of_each_chunk(used):
    plain, kept = (MemoryShape(name="weights", depth=4, used_bits=used, loadable=True, parity=parity)
                   for parity in (False, True))
    random = np.random.default_rng(used)
    word = int.from_bytes(random.bytes(12), "little") & (1 << used) - 1
    assert plain.stored(word) == plain.data_of(word) == word and plain.stored_bits == used
    assert (plain.width, kept.width) == (32 * plain.chunks, 36 * plain.chunks)
    stored = kept.stored(word)
    assert kept.data_of(stored) == word and stored < 1 << kept.width
    assert [stored >> place & 1 for place in kept.places] == [word >> bit & 1 for bit in range(used)]
    assert kept.stored_bits == used + sum(parity_bits(min(CHUNK_BITS, used - first)) for first in range(0, used, 32))
    for bit in range(kept.stored_bits):
        assert kept.stored(kept.data_of(stored ^ 1 << bit)) != stored ^ 1 << bit


def test_parity_is_counted_with_the_memories_and_is_other_hardware(lif: Program):
    program = compile_network(lif.network, lanes=2, register_rows=2, protect="parity").program
    plain = compile_network(lif.network, lanes=2, register_rows=2).program
    assert program.has_parity and not plain.has_parity
    assert program.images() == plain.images() and (program.port_words() == plain.port_words()).all()
    assert program.architecture() != plain.architecture()
    for core, other in zip(program.cores, plain.cores, strict=True):
        assert core.memory.stored_bits > core.memory.used_bits == other.memory.used_bits
        own = {one.name: one for one in core.memories}
        rows = [one for one in other.memories if one.name.startswith("core") and not one.loadable]
        assert rows and own.keys() - {one.name for one in other.memories} == {f"{one.name}_parity" for one in rows}
        assert all(own[f"{one.name}_parity"].used_bits == parity_bits(one.used_bits) for one in rows)
    with pytest.raises(CompileError, match=r"^protect must be 'none' or 'parity', not 'secded'$"):
        compile_network(lif.network, protect="secded")
