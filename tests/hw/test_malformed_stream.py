# SPDX-License-Identifier: MIT
"""Malformed streams: flagged, survived, and without effect on the next inference."""

import dataclasses

import numpy as np
import pytest
from amaranth.sim import Simulator
from firstspike_arch.array import ArrayConfig
from firstspike_arch.backend import Stimulus
from firstspike_arch.events import ADDRESS_SHIFT, FINAL_MARKER, MARKER, TokenLayout, tokens_from_spikes
from firstspike_arch.network import IntegerNetwork, Layer, Neuron
from firstspike_arch.result import result_layout
from firstspike_arch.status import COUNTERS, STATUS_CYCLES
from firstspike_compiler.compile import compile_network
from firstspike_compiler.errors import CompileError
from firstspike_hw.accelerator import Accelerator
from firstspike_sim.backends.pysim import PysimBackend
from firstspike_sim.compare import compare
from firstspike_sim.models.golden import GoldenModel
from firstspike_sim.models.prediction import predict_stimulus
from firstspike_sim.stimulus import encode_direct

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


def run(program, actions, results, limit=3000, waits=False):
    """Words to send, with ``waits`` each behind the cycles to wait before it; None waits for the timeout; "restart" and
    "reset" pulse. Classes, and counters at the end."""
    accelerator = Accelerator(program, program.images())
    layout = result_layout(program)
    seen, counters = [], {}

    async def bench(ctx):
        ctx.set(accelerator.result.ready, 1)

        async def step():
            if ctx.get(accelerator.result.valid):
                seen.append(layout.unpack(ctx.get(accelerator.result.payload.as_value())))
            await ctx.tick()

        for number, action in enumerate(actions):
            if waits and number % 2 == 0:
                for _ in range(action):
                    await step()
            elif action is None:
                for _ in range(TIMEOUT + 10):
                    await step()
            elif action == "restart":
                ctx.set(accelerator.restart, 1)
                await step()
                ctx.set(accelerator.restart, 0)
            else:
                ctx.set(accelerator.source.valid, 1)
                payload, word = accelerator.source.payload, int(action)
                ctx.set(payload, word if program.config.port == "image" else payload.shape().from_bits(word))
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


def test_without_a_timeout_a_slow_stream_is_one_inference(program, spikes):
    assert ArrayConfig(layers=()).timeout == 0
    patient = program.with_config(timeout=0)
    slow = [word for token in tokens_from_spikes(spikes, TokenLayout(shape=spikes.shape[2:]))[0]
            for word in (token, *[None] * (3 if token == MARKER else 0))]
    seen, counters = run(patient, [*slow, *slow[:4], "restart", *slow], 3)
    assert [seen[0], seen[2]] == [expected(program, spikes)] * 2
    assert counters["cut"] == 1  # by restart
    seen, counters = run(program, slow, STEPS)
    assert len(seen) == counters["cut"] + 1 == STEPS


@pytest.mark.parametrize("more", [0, 1])
def test_models_refuse_a_silence_that_the_guard_takes_for_an_end(program, spikes, more):
    words, starts = tokens_from_spikes(np.repeat(spikes, 2, axis=0), program.network.input_layout)
    gaps = np.zeros(len(words), int)
    gaps[[0, starts[1]]], gaps[starts[1] + 2] = 2 * TIMEOUT, TIMEOUT - 1 + more  # between inferences, and within one
    stimulus = Stimulus(words=words, starts=starts, gaps=gaps)
    _, counters = run(program, [part for word, gap in zip(words, gaps, strict=True) for part in (gap, word)], 2,
                      waits=True)
    assert counters["cut"] == more
    if more:
        with pytest.raises(ValueError, match=r"^gaps within an inference must be shorter than the timeout of 50 cycles"
                                             r", after which the guard ends it, not 50 cycles before word 2 of "
                                             r"inference 1$"):
            predict_stimulus(program, np.repeat(spikes, 2, axis=0), stimulus)
        predict_stimulus(program.with_config(timeout=0), np.repeat(spikes, 2, axis=0), stimulus)
    else:
        backend = PysimBackend()
        backend.load(program)
        prediction = predict_stimulus(program, np.repeat(spikes, 2, axis=0), stimulus)
        checks = compare(program.network, stimulus, prediction.trace, backend.run(stimulus))
        assert not any(check.different for check in checks)


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


PIXELS = 11


def direct(port):
    """A direct input of −8 … 7, and an image that two beats hold."""
    random = np.random.default_rng(15)

    def layer(name, count, before, theta):
        return Layer(name=name, weight_bits=4, weights=random.integers(-3, 8, (count, before)), neuron=Neuron(
            bias=np.zeros(count, int), theta=np.full(count, theta), v_init=np.zeros(count, int)))

    network = IntegerNetwork(name="direct", layers=(layer("a", 6, PIXELS, 40), layer("b", 3, 6, 9)),
                             readout="spike_count", steps=STEPS, steps_max=STEPS, input_kind="direct", in_min=-8,
                             in_max=7)
    timeout = TIMEOUT if port == "events" else 0
    return compile_network(network, timeout=timeout, port=port).program, random.integers(-8, 8, (1, PIXELS))


def beats_of(image):
    padded = np.zeros((1, 16), np.uint8)
    padded[:, :PIXELS] = image & 0xFF
    return padded.view("<u8")[0].tolist()


def test_restart_ends_a_part_of_an_image_with_a_result_of_one_step():
    program, image = direct("image")
    seen, counters = run(program, [beats_of(image)[0], "restart", *beats_of(image), "restart", *beats_of(image)], 3)
    part = np.where(np.arange(PIXELS) < 8, image, 0)
    short = dataclasses.replace(program, network=dataclasses.replace(program.network, steps=1))
    assert seen == [expected(short, part), *[expected(program, image)] * 2]
    assert (counters["cut"], counters["bad_address"], counters["inferences"]) == (1, 0, 3)


def test_a_pixel_out_of_range_counts_and_is_zero():
    program, image = direct("image")
    wrong, right = image.copy(), image.copy()
    wrong[0, [1, 10]], right[0, [1, 10]] = (8, -9), 0
    seen, counters = run(program, [*beats_of(image), *beats_of(wrong), *beats_of(image)], 3)
    assert seen == [expected(program, one) for one in (image, right, image)]
    assert (counters["cut"], counters["bad_address"]) == (0, 2)  # beats


def test_numbers_from_nowhere_or_too_late_are_dropped_and_counted():
    program, image = direct("events")
    layout = program.network.input_layout
    good = tokens_from_spikes(encode_direct(image, STEPS), layout)[0].tolist()
    late = layout.events(np.array([2, 3]), np.array([7, -8])).tolist()
    nowhere = good[0] | 15 << ADDRESS_SHIFT
    seen, counters = run(program, [nowhere, *good[:-1], *late, good[-1], *good], 2)
    assert seen == [expected(program, image)] * 2
    assert (counters["cut"], counters["bad_address"]) == (0, 3)


def test_words_that_the_program_port_keeps_out_are_no_silence(program, spikes):
    """The rest of an inference that is too long, while weights are written for longer than the timeout."""
    good = tokens_from_spikes(spikes, program.network.input_layout)[0].tolist()
    words = [*good[:-1], MARKER, *[MARKER] * 30, *good[:2], FINAL_MARKER, *good]
    accelerator, layout, seen, kept_out = Accelerator(program, program.images()), result_layout(program), [], 0

    async def bench(ctx):
        nonlocal kept_out
        left, writing = list(words), 0
        ctx.set(accelerator.result.ready, 1)
        ctx.set(accelerator.program_port.payload.memory, 99)  # of no core
        while left or len(seen) < 2:
            writing = writing + bool(seen)
            ctx.set(accelerator.program_port.valid, 0 < writing < 3 * TIMEOUT)
            ctx.set(accelerator.source.valid, bool(left))
            ctx.set(accelerator.source.payload, accelerator.source.payload.shape().from_bits(left[0] if left else 0))
            if ctx.get(accelerator.result.valid):
                seen.append(layout.unpack(ctx.get(accelerator.result.payload.as_value())))
            if left and ctx.get(accelerator.source.ready):
                left.pop(0)
            elif left:
                kept_out += writing > 0
            await ctx.tick()
        for _ in range(5 * TIMEOUT):
            assert not ctx.get(accelerator.result.valid), "an inference that nobody sent"
            await ctx.tick()

    simulator = Simulator(accelerator)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen == [expected(program, spikes)] * 2 and kept_out > TIMEOUT


def repeated(kind):
    """A network whose membranes wrap if every event comes several times, its input, and the tokens of an inference."""
    signed = np.where(np.arange(PIXELS) % 2, 7, -7) * np.array([[1], [-1], [1]])
    neuron = Neuron(bias=np.zeros(3, int), theta=np.full(3, 20), v_init=np.zeros(3, int), reset="none")
    layer = Layer(name="a", weight_bits=4, weights=signed, neuron=neuron)
    numbers = {"in_min": -8, "in_max": 7} if kind == "direct" else {}
    network = IntegerNetwork(name="wide", layers=(layer,), readout="first_spike", steps=1, steps_max=1,
                             input_kind=kind, **numbers)
    inputs = np.where(np.arange(PIXELS) % 2, 1, 0)[None] * (7 if kind == "direct" else 1)
    spikes = encode_direct(inputs, 1) if kind == "direct" else inputs[:, None]
    return network, spikes if kind == "events" else inputs, tokens_from_spikes(spikes, network.input_layout)[0].tolist()


@pytest.mark.parametrize("kind", ["events", "direct"])
def test_ordered_events_keep_membranes_within_their_widths_whatever_comes(kind):
    network, inputs, good = repeated(kind)
    lost = 2 if kind == "events" else 4
    merged = [*good[:-1] * (lost + 1), good[-1]]  # of inferences whose markers were lost
    open_, ordered = (compile_network(network, ordered=one).program for one in (False, True))
    right = expected(ordered, inputs)
    seen, counters = run(ordered, [*good, *merged, *good], 3)
    assert seen == [right] * 3
    assert (counters["bad_address"], counters["overrun"]) == (lost * (len(good) - 1), 0)
    # Without the option this is the host's to ensure, as docs/semantics.md says: membranes wrap, and nothing counts.
    seen, counters = run(open_, [*good, *merged, *good], 3)
    assert seen[0] == seen[2] == right and seen[1][0] != right[0] and counters["bad_address"] == 0


def test_ordered_is_refused_where_it_would_not_do(program):
    latency = dataclasses.replace(program.network, input_kind="latency")
    for port, network in (("image", direct("image")[0].network), ("events", latency)):
        with pytest.raises(CompileError, match=r"^ordered must be off with port 'image', which sends events in order, "
                                               r"and with latency input, which has each address once in all steps, "
                                               r"not once in each$"):
            compile_network(network, ordered=True, port=port)


def test_the_program_port_opens_after_a_restart_in_any_cycle(monkeypatch):
    """One image is whole, a part of the next is forgotten: in a cycle in which a decision ends the first, too."""
    random = np.random.default_rng(23)
    network = IntegerNetwork(
        name="latency", readout="first_spike", steps=STEPS, steps_max=STEPS, input_kind="latency",
        layers=(Layer(name="a", weight_bits=4, weights=random.integers(-3, 8, (3, PIXELS)), neuron=Neuron(
            bias=np.zeros(3, int), theta=np.full(3, 9), v_init=np.zeros(3, int), single_spike=True)),))
    program = compile_network(network, port="image").program
    beats, closes, waits = beats_of(random.integers(0, 256, (1, PIXELS))), set(), []
    readouts, build = [], Accelerator._readout

    def kept(self, m):
        readouts.append(build(self, m))
        return readouts[-1]

    monkeypatch.setattr(Accelerator, "_readout", kept)
    accelerator, restarts = Accelerator(program, program.images()), iter(range(4, 40))

    async def bench(ctx):
        at, offered = next(restarts), [*beats, beats[0]]
        for cycle in range(200):
            ctx.set(accelerator.source.valid, bool(offered))
            ctx.set(accelerator.source.payload, offered[0] if offered else 0)
            ctx.set(accelerator.restart, cycle == at)
            ctx.set(accelerator.program_port.valid, cycle > at)
            if ctx.get(readouts[-1].closes):
                closes.add(cycle)
            if ctx.get(accelerator.program_port.ready):
                waits.append(cycle - at)
                return
            if offered and ctx.get(accelerator.source.ready):
                offered.pop(0)
            await ctx.tick()

    simulator = Simulator(accelerator)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    for number in range(36):
        if number:
            simulator.reset()
        simulator.run()
    assert closes <= set(range(4, 40)) and closes  # among the cycles of the restart
    assert len(waits) == 36, "the program port stayed shut"
