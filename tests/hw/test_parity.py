# SPDX-License-Identifier: MIT
"""Parity in the memories of a core, in Amaranth's simulator: every flipped bit that changes anything is noticed."""


from dataclasses import replace

import numpy as np
import pytest
from amaranth.lib.memory import Memory
from amaranth.sim import Simulator
from firstspike_arch.network_builder import NetworkBuilder
from firstspike_arch.program import Program
from firstspike_arch.status import PARITY_ADDRESSES
from firstspike_arch.walk import row_stride
from firstspike_compiler.compile import compile_network
from firstspike_hw import row_memory, weight_memory
from firstspike_hw.accelerator import Accelerator
from firstspike_sim.backends.pysim import PysimBackend
from firstspike_sim.models.prediction import predict_inputs
from firstspike_sim.stimulus import make_stimulus
from firstspike_sim.testing.random_network import random_inputs
from firstspike_sim.testing.random_program import random_program

QUIET = 12
"""Cycles behind a result after which nothing moves, and all that was read is checked."""


@pytest.fixture
def made(monkeypatch) -> list[Memory]:
    """The memories of cores that are elaborated, in their order."""
    found: list[Memory] = []

    class Kept(Memory):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            found.append(self)

    for module in (row_memory, weight_memory):
        monkeypatch.setattr(module, "Memory", Kept)
    return found


class Machine:
    """An accelerator, and what a host does with it."""

    def __init__(self, program: Program, inputs: np.ndarray):
        self.accelerator = Accelerator(program, program.images())
        self.port_words, self.words = program.port_words().tolist(), make_stimulus(program, inputs).words.tolist()
        self.results = len(inputs)

    def play(self, script) -> None:
        simulator = Simulator(self.accelerator)
        simulator.add_clock(1e-6)
        simulator.add_testbench(script)
        simulator.run()

    def read(self, ctx, name: str) -> int:
        ctx.set(self.accelerator.status_address, PARITY_ADDRESSES[name])
        return ctx.get(self.accelerator.status_data)

    async def infer(self, ctx, cycle: int = -1, flip=lambda: None) -> tuple[list[tuple[int, int]], int]:
        """Result and cycle of each inference, and the counted mismatches; ``flip`` is called in a cycle."""
        source, result, seen, word, quiet = self.accelerator.source, self.accelerator.result, [], 0, 0
        before, now = self.read(ctx, "parity_errors"), 0
        ctx.set(result.ready, 1)
        while quiet < QUIET:
            if now == cycle:
                flip()
            ctx.set(source.valid, word < len(self.words))
            if word < len(self.words):
                ctx.set(source.payload, source.payload.shape().from_bits(self.words[word]))
                word += ctx.get(source.ready)
            if ctx.get(result.valid):
                seen.append((ctx.get(result.payload.as_value()), now))
            quiet, now = quiet + (len(seen) == self.results), now + 1
            assert now < 2000
            await ctx.tick()
        return seen, self.read(ctx, "parity_errors") - before

    async def load(self, ctx) -> None:
        """Write all memories through the program port."""
        port = self.accelerator.program_port
        for word in self.port_words:
            ctx.set(port.valid, 1)
            ctx.set(port.payload, port.payload.shape().from_bits(word))
            await ctx.tick().until(port.ready)
        ctx.set(port.valid, 0)
        await ctx.tick().repeat(40)


def flipped(ctx, memory: Memory, word: int, bit: int) -> None:
    ctx.set(memory.data[word], int(ctx.get(memory.data[word])) ^ 1 << bit)


def small() -> Program:
    """A layer of three rows in a memory, with a bias that leaks."""
    random = np.random.default_rng(1)
    net = NetworkBuilder(3, steps=2, readout="spike_count")
    net.layer(random.integers(1, 4, (3, 3)), theta=4, leak=0.75, reset="subtract", bias=1)
    return compile_network(net.build(), lanes=1, register_rows=2, protect="parity").program


INPUTS = np.array([[[1, 1, 0], [0, 1, 0]], [[1, 0, 0], [1, 1, 0]]])
"""No event comes from the last input, whose weights are never read."""


@pytest.mark.parametrize("stride", [17, pytest.param(1, marks=pytest.mark.slow)])
def test_every_flip_of_a_memory_that_changes_anything_is_noticed(made, stride):
    program = small()
    machine, core, outcomes = Machine(program, INPUTS), program.cores[0], []

    async def script(ctx):
        await machine.infer(ctx)  # which begins with the passes after reset
        calm = await machine.infer(ctx)
        assert calm[1] == 0 and calm == await machine.infer(ctx)
        first = calm[0][0][1]  # what is struck until then shows in the second inference at the latest
        weights, *rows = made
        lines = row_stride(core.plan)
        read = {line * lines + row for line in (0, 1, 3, 4) for row in range(core.plan.rows)}
        assert core.bias_word == 3 * lines and len(core.marker_rows) == 2  # of the bias, and of zeros
        for word in range(weights.depth):
            for bit in range(word % 2 * (stride > 1), core.memory.stored_bits if word in read else 1, 1 + (stride > 1)):
                flipped(ctx, weights, word, bit)
                seen = await machine.infer(ctx)
                assert (seen[1] > 0) == (word in read)
                outcomes.append((seen[0] != calm[0], seen[1] > 0))
                flipped(ctx, weights, word, bit)
        assert len(rows) == 2 * len([one for one in core.memories if one.name.endswith("_parity")])
        for memory in rows:
            for place in range(memory.depth * memory.shape):
                # Some of the cycles in which it can be struck, and other ones for each bit.
                for cycle in range(place % stride, first, stride):
                    word, bit = divmod(place, memory.shape)
                    seen = await machine.infer(
                        ctx, cycle, lambda memory=memory, word=word, bit=bit: flipped(ctx, memory, word, bit))
                    outcomes.append((seen[0] != calm[0], seen[1] > 0))
        assert await machine.infer(ctx) == calm

    machine.play(script)
    assert (True, False) not in outcomes
    assert all(outcomes.count(one) > 8 for one in ((True, True), (False, True), (False, False)))


def test_writing_the_weights_again_clears_what_was_noticed(made):
    program = small()
    machine = Machine(program, INPUTS)

    async def script(ctx):
        await machine.infer(ctx)  # which begins with the passes after reset
        calm = await machine.infer(ctx)
        assert machine.read(ctx, "parity_cores") == 0
        flipped(ctx, made[0], 0, 0)
        assert (await machine.infer(ctx))[1] > 0 and machine.read(ctx, "parity_cores") == 1
        await machine.load(ctx)
        assert machine.read(ctx, "parity_cores") == machine.read(ctx, "parity_errors") == 0
        assert await machine.infer(ctx) == calm

    machine.play(script)


# The first reads membranes while they are written, and forwards currents alone; the second forwards all rows; the last
# has sums, currents, traces and remembered spikes in memories.
@pytest.mark.parametrize("seed", [9, 48, 59, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(60)
                                               if seed not in (9, 48, 59))])
def test_words_that_fit_are_not_counted_and_nothing_else_changes(seed):
    random = np.random.default_rng(seed)
    plain = random_program(random, maps=True, nearest=False, pairs=seed % 3 == 0, skips=seed % 4 == 1, layers_max=1,
                           neurons_max=10)
    layers = [replace(one, parity=True, register_rows=2, lanes=min(one.lanes, 2)) for one in plain.config.layers]
    program = plain.with_config(layers=tuple(layers))
    wanted = predict_inputs(program, random_inputs(random, program.network, 2))
    backend = PysimBackend()
    backend.load(program)
    trace = backend.run(wanted.stimulus)
    assert seed != 48 or (program.cores[0].plan.forwards and not program.cores[0].plan.in_registers)
    assert trace.counters == {"parity_errors": 0, "parity_cores": 0}
    for name in ("classes", "scores", "decided", "accepted"):
        assert np.array_equal(getattr(trace, name), getattr(wanted.trace, name)), name
