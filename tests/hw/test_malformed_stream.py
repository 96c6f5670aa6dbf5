# SPDX-License-Identifier: MIT
"""Malformed streams: flagged, survived, and without effect on the next inference."""

import numpy as np
import pytest
from amaranth.sim import Simulator
from firstspike_arch.events import ADDRESS_SHIFT, FINAL_MARKER, MARKER, TokenLayout, tokens_from_spikes
from firstspike_arch.network import IntegerNetwork, Layer, Neuron
from firstspike_arch.result import result_layout
from firstspike_arch.status import COUNTERS, STATUS_CYCLES
from firstspike_compiler.compile import compile_network
from firstspike_hw.accelerator import Accelerator
from firstspike_sim.golden import GoldenModel

STEPS = 3
TIMEOUT = 50


@pytest.fixture(scope="module")
def program():
    random = np.random.default_rng(5)

    def layer(name, count, before):
        return Layer(name=name, weight_bits=4, weights=random.integers(-3, 8, (count, before)), neuron=Neuron(
            bias=np.zeros(count, int), theta=np.full(count, 12), v_init=np.zeros(count, int), single_spike=True))

    network = IntegerNetwork(name="guarded", layers=(layer("a", 6, 11), layer("b", 3, 6)), readout="first_spike",
                             steps=STEPS, steps_max=STEPS, input_kind="events")
    return compile_network(network, timeout=TIMEOUT).program


@pytest.fixture(scope="module")
def spikes():
    return (np.random.default_rng(6).random((1, STEPS, 11)) < 0.4).astype(np.uint8)


def run(program, actions, results, limit=3000):
    """Words to send; None waits for the timeout; "restart" and "reset" pulse. Classes, and counters at the end."""
    accelerator = Accelerator(program, program.images())
    layout = result_layout(program)
    seen, counters = [], {}

    async def bench(ctx):
        ctx.set(accelerator.result.ready, 1)

        async def step():
            if ctx.get(accelerator.result.valid):
                seen.append(layout.unpack(ctx.get(accelerator.result.payload.as_value())))
            await ctx.tick()

        for action in actions:
            if action is None:
                for _ in range(TIMEOUT + 10):
                    await step()
            elif action == "restart":
                ctx.set(accelerator.restart, 1)
                await step()
                ctx.set(accelerator.restart, 0)
            else:
                ctx.set(accelerator.source.valid, 1)
                ctx.set(accelerator.source.payload, accelerator.source.payload.shape().from_bits(int(action)))
                for _ in range(limit):
                    ready = ctx.get(accelerator.source.ready)
                    await step()
                    if ready:
                        break
                ctx.set(accelerator.source.valid, 0)
        for _ in range(limit):
            if len(seen) == results:
                break
            await step()
        for index, name in enumerate(COUNTERS):
            ctx.set(accelerator.status_address, index)
            for _ in range(STATUS_CYCLES):
                await step()
            counters[name] = ctx.get(accelerator.status_data)

    simulator = Simulator(accelerator)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return seen, counters


def expected(program, spikes):
    golden = GoldenModel(program.network).run(spikes)
    return golden.classes[0], golden.steps[0], golden.decided_by[0], golden.scores[0].tolist()


def test_well_formed(program, spikes):
    seen, counters = run(program, tokens_from_spikes(spikes, TokenLayout(shape=spikes.shape[2:]))[0], 1)
    assert seen == [expected(program, spikes)]
    assert (counters["bad_address"], counters["overrun"], counters["cut"]) == (0, 0, 0)


def test_bad_address_is_dropped_and_counted(program, spikes):
    good = list(tokens_from_spikes(spikes, TokenLayout(shape=spikes.shape[2:]))[0])
    bad = [11 << ADDRESS_SHIFT, 15 << ADDRESS_SHIFT]
    seen, counters = run(program, [*bad, *good[:3], *bad, *good[3:], *good], 2)
    assert seen == [expected(program, spikes)] * 2
    assert counters["bad_address"] == 4


def test_too_many_steps_end_the_inference(program, spikes):
    good = list(tokens_from_spikes(spikes, TokenLayout(shape=spikes.shape[2:]))[0])
    long = [*good[:-1], MARKER, 3 << ADDRESS_SHIFT, MARKER, 4 << ADDRESS_SHIFT, FINAL_MARKER]
    seen, counters = run(program, [*long, *good], 2)
    assert seen == [expected(program, spikes)] * 2
    assert counters["overrun"] == 1


def test_a_missing_marker_is_supplied_after_silence(program, spikes):
    good = list(tokens_from_spikes(spikes, TokenLayout(shape=spikes.shape[2:]))[0])
    seen, counters = run(program, [*good[:4], None, *good], 2)
    assert len(seen) == 2
    assert seen[1] == expected(program, spikes)
    assert counters["cut"] == 1


def test_restart_ends_an_open_inference(program, spikes):
    good = list(tokens_from_spikes(spikes, TokenLayout(shape=spikes.shape[2:]))[0])
    seen, counters = run(program, [*good[:4], "restart", *good], 2)
    assert seen[1] == expected(program, spikes)
    assert counters["cut"] == 1


def test_restart_between_inferences_does_nothing(program, spikes):
    good = list(tokens_from_spikes(spikes, TokenLayout(shape=spikes.shape[2:]))[0])
    seen, counters = run(program, [*good, "restart", *good], 2)
    assert seen == [expected(program, spikes)] * 2
    assert counters["cut"] == 0
