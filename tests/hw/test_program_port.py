# SPDX-License-Identifier: MIT
"""Program port: which words reach which memory, and when any do."""

import numpy as np
import pytest
from amaranth.sim import Simulator
from firstspike_arch.network_builder import NetworkBuilder
from firstspike_arch.status import program_address
from firstspike_compiler.compile import compile_network
from firstspike_hw.program_port import ProgramPort


@pytest.fixture(scope="module")
def cores():
    """A memory of two chunks a word, and one of a single chunk."""
    builder = NetworkBuilder(11, steps=2, readout="potential")
    builder.layer(np.ones((20, 11), np.int8), theta=3)
    builder.layer(np.ones((3, 20), np.int8))
    return compile_network(builder.build(), lanes=[20, 3]).program.cores


def run(unit, script, cycles):
    """Set inputs as ``script(cycle, taken)`` says, and yield (cycle, written, ready, closed, reload) of each cycle.

    ``written`` are (core, word, chunk, data) of the chunks that are written in the cycle."""
    seen, taken = [], 0

    async def bench(ctx):
        nonlocal taken
        for cycle in range(cycles):
            for name, value in script(cycle, taken).items():
                if name == "word":
                    ctx.set(unit.words.valid, value is not None)
                    ctx.set(unit.words.payload, unit.words.payload.shape().from_bits(int(value or 0)))
                else:
                    ctx.set(getattr(unit, name), value)
            ready = bool(ctx.get(unit.words.ready) and ctx.get(unit.words.valid))
            written = []
            for core in unit.cores:
                access = getattr(unit, f"access{core.index}")
                chunks = ctx.get(access.chunk)
                if ctx.get(access.write) and chunks:
                    assert chunks & chunks - 1 == 0
                    written.append((core.index, ctx.get(access.word), chunks.bit_length() - 1, ctx.get(access.data)))
            seen.append((cycle, written, ready, ctx.get(unit.closed), ctx.get(unit.reload)))
            taken += ready
            await ctx.tick()

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return seen


def word_of(memory: int, address: int, data: int) -> int:
    return data | address << 32 | memory << 56


def test_a_word_reaches_the_chunk_that_it_names_and_no_other(cores):
    assert [core.memory.chunks for core in cores] == [2, 1]
    words, wanted, data = [], [], 0
    for core in cores:
        shape = core.memory
        low = (shape.chunks - 1).bit_length()
        for word in (0, 1, shape.depth - 1, shape.depth, 2 * shape.depth, (1 << 24 - low) - 1, 1 << 23 - low):
            for chunk in range(1 << low):
                data += 1
                words.append(word_of(core.index, program_address(word, chunk, shape.chunks), data))
                if word < shape.depth and chunk < shape.chunks:
                    wanted.append((core.index, word, chunk, data))
    words += [word_of(memory, 0, 99) for memory in (len(cores), 64, 254, 255)]
    assert len(wanted) < len(words) - 8
    seen = run(ProgramPort(cores), lambda _, taken: {"word": words[taken] if taken < len(words) else None},
               len(words) + 12)
    assert [one for _, written, *_ in seen for one in written] == wanted
    assert [ready for _, _, ready, *_ in seen].count(True) == len(words)
    assert [cycle for cycle, *_, reload in seen if reload] == [len(words) + 4]


@pytest.mark.parametrize("chunks", range(1, 10))
def test_addresses_have_the_chunk_in_their_low_bits(chunks):
    """No two chunks have one address, and the port takes word and chunk apart by bits."""
    low = (chunks - 1).bit_length()
    found = [program_address(word, chunk, chunks) for word in range(20) for chunk in range(chunks)]
    assert sorted(set(found)) == found
    assert [(one >> low, one & (1 << low) - 1) for one in found] == [
        (word, chunk) for word in range(20) for chunk in range(chunks)]


@pytest.mark.parametrize("at", range(8))
@pytest.mark.parametrize("leaves", ["closes", "forgets"])
def test_words_are_taken_only_while_no_inference_is_inside(cores, at, leaves):
    """An inference enters in any cycle around that in which the first word is offered."""
    inside, words = 0, [word_of(0, place, place) for place in range(3)]
    unit = ProgramPort(cores)

    def offered(cycle, taken):
        return {"word": words[taken] if cycle >= 3 and taken < len(words) else None}

    first = run(ProgramPort(cores), offered, 12)
    shut = {cycle for cycle, _, _, is_closed, _ in first if is_closed}

    enters = at not in shut

    def script(cycle, taken):
        return {**offered(cycle, taken), "opens": enters and cycle == at, leaves: enters and cycle == at + 12}

    for cycle, _, ready, *_ in run(unit, script, 40):
        inside += enters and cycle == at
        inside -= enters and cycle == at + 12
        assert not (ready and inside), cycle
    assert len(shut) > 3


def test_no_word_is_taken_while_a_core_starts_over(cores):
    words = [word_of(0, place, place) for place in range(4)]

    def script(cycle, taken):
        pause = taken == 2 and cycle < 12  # the last of some words: cores start over
        return {"word": words[taken] if taken < len(words) and not pause else None, "busy": 8 <= cycle < 25}

    seen = run(ProgramPort(cores), script, 50)
    taken = [cycle for cycle, _, ready, *_ in seen if ready]
    assert len(taken) == 4 and taken[1] < 8 and taken[2:] == [25, 26]
    reloads = [cycle for cycle, *_, reload in seen if reload]
    assert len(reloads) == 2 and reloads[0] < 12
