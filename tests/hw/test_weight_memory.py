# SPDX-License-Identifier: MIT
"""Weight memory: what a host reads back and writes."""

import numpy as np
import pytest
from amaranth.sim import Simulator
from firstspike_arch.fixed import CHUNK_BITS
from firstspike_arch.network_builder import NetworkBuilder
from firstspike_compiler.compile import compile_network
from firstspike_hw.verilog import verilog
from firstspike_hw.weight_memory import WeightMemory


@pytest.mark.parametrize("options", [{}, {"events_per_cycle": 2}, {"single_port": (0,)}, {"protect": "parity"}])
def test_what_is_read_back_stays_and_what_is_written_is_read_back(options):
    random = np.random.default_rng(5)
    net = NetworkBuilder(6, steps=2, readout="potential")
    net.layer(random.integers(-7, 8, (20, 6)))
    program = compile_network(net.build(), lanes=10, read_back=True, **options).program
    (core,) = program.cores
    shape = core.memory
    unit, words = WeightMemory(core, program.images()[shape.name]), [int(one) for one in program.images()[shape.name]]
    assert shape.chunks == 2 and len(words) > 10

    async def script(ctx):
        access, mask = unit.access, (1 << CHUNK_BITS) - 1

        async def read(word: int, chunk: int) -> int:
            ctx.set(access.word, word)
            ctx.set(access.chunk, 1 << chunk)
            ctx.set(access.data, int(random.integers(1 << CHUNK_BITS)))
            ctx.set(access.read, 1)
            await ctx.tick().repeat(4)
            return ctx.get(unit.chunk)

        ctx.set(unit.free, 1)
        places = [(word, chunk) for word in range(len(words)) for chunk in range(shape.chunks)]
        for _ in range(2):
            found = [await read(word, chunk) for word, chunk in places]
            assert found == [words[word] >> chunk * CHUNK_BITS & mask for word, chunk in places]
        ctx.set(access.read, 0)
        ctx.set(access.write, 1)
        for word in range(0, len(words), 3):
            ctx.set(access.word, word)
            ctx.set(access.chunk, 1)
            ctx.set(access.data, word * 7 + 1)
            await ctx.tick()
            words[word] = words[word] >> CHUNK_BITS << CHUNK_BITS | word * 7 + 1
        ctx.set(access.write, 0)
        found = [await read(word, chunk) for word, chunk in places]
        assert found == [words[word] >> chunk * CHUNK_BITS & mask for word, chunk in places]

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(script)
    simulator.run()


def test_words_of_four_hundred_chunks_can_be_read_back():
    """Choosing one of so many is a shallow tree: a chain of that length is beyond what Amaranth converts."""
    net = NetworkBuilder(2, steps=2, readout="potential")
    net.layer(np.full((1600, 2), 127))
    (core,) = compile_network(net.build(), lanes=1600, read_back=True).program.cores
    assert core.memory.chunks == 400
    unit = WeightMemory(core)
    assert "output [31:0] chunk;" in verilog(unit, ())
