# SPDX-License-Identifier: MIT
"""Inferences without end: a result for every window of steps, while membranes go on."""

import firstspike as fs
import numpy as np
import pytest
from amaranth.sim import Simulator
from firstspike_arch.events import FINAL_MARKER, MARKER
from firstspike_arch.program import Program
from firstspike_arch.real_network import real_network
from firstspike_arch.result import result_layout, scores_from_raw
from firstspike_compiler.errors import CompileError
from firstspike_hw.accelerator import Accelerator
from firstspike_sim.backends.pysim import PysimBackend
from firstspike_sim.models.float_reference import run_float
from firstspike_sim.models.golden import GoldenModel
from firstspike_sim.models.prediction import predict_inputs

READOUTS = ("first_spike", "weighted_spikes", "potential", "spike_count")


def network_of(readout, size, *, endless=True, seed=0, **fields):
    """Two layers with a leak, the second recurrent where it fires."""
    random = np.random.default_rng(seed)
    builder = fs.NetworkBuilder(8, steps=size, readout=readout, endless=endless, in_max=2, **fields,
                                step_weights=range(size, 0, -1) if readout == "weighted_spikes" else ())
    builder.layer(random.integers(-6, 9, (7, 8)), theta=12, leak=0.75, bias=1)
    fires = {} if readout == "potential" else {"theta": [[9, 20]] * 5}
    builder.layer(random.integers(-6, 9, (5, 7)), leak=0.5, v_init=2, reset_delay=True, **fires)
    if fires:
        builder.branch(random.integers(-3, 4, (5, 5)), source=1)
    return builder.build()


def inputs_of(batch, steps, seed=1):
    random = np.random.default_rng(seed)
    return random.integers(0, 3, (batch, steps, 8)) * (random.random((batch, steps, 8)) < 0.4)


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("size", [1, 3])
def test_a_window_means_what_its_steps_mean_in_one_long_inference(readout, size):
    network, counts = network_of(readout, size), inputs_of(4, 7)
    result = GoldenModel(network).run(counts, membranes=True)
    windows = -(-7 // size)
    assert result.classes.shape == (4 * windows,)
    spikes, membranes = result.spikes[-1].astype(int), result.membranes[-1]
    for inference in range(4):
        for number in range(windows):
            part = slice(number * size, (number + 1) * size)
            scores = result.scores[inference * windows + number]
            if readout == "potential":
                assert scores.tolist() == membranes[inference, part][-1].tolist()
            elif readout == "spike_count":
                assert scores.tolist() == spikes[inference, part].sum(0).tolist()
            elif readout == "weighted_spikes":
                weights = np.arange(size, 0, -1)[: len(spikes[inference, part])]
                assert scores.tolist() == (weights @ spikes[inference, part]).tolist()
            else:
                fires = np.flatnonzero(spikes[inference, part].any(1))
                step = fires[0] if fires.size else len(spikes[inference, part]) - 1
                assert result.steps[inference * windows + number] == step
                assert scores.tolist() == membranes[inference, part][step].tolist()
    # The layers know nothing of windows.
    whole = GoldenModel(network_of(readout, 7, endless=False)).run(counts)
    for one, other in zip(result.spikes, whole.spikes, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.thinned(2)
@pytest.mark.parametrize("windows", [
    (1, 4, (7, 2), "scan"), (2, 5, (2, 5), "tree"), (3, 6, (4, 3), "tree")])
@pytest.mark.parametrize("readout", READOUTS)
def test_hardware_and_models_agree_on_every_window(agree, readout, windows):
    size, steps, lanes, winner = windows
    program = fs.compile(network_of(readout, size), lanes=lanes, winner=winner, register_rows=2).program
    prediction = agree(PysimBackend(), program, inputs_of(2, steps), None if size == 2 else 4)
    assert prediction.stimulus.results == 2 * -(-steps // size) == len(prediction.trace.taken)


@pytest.mark.parametrize("readout", READOUTS)
def test_a_stream_that_never_ends_gives_the_results_of_its_windows(readout):
    program = fs.compile(network_of(readout, 3), lanes=3).program
    counts = inputs_of(1, 40)
    golden = fs.infer(program, counts)
    words = predict_inputs(program, counts).stimulus.words.tolist()
    words[-1] = MARKER  # no final one
    assert FINAL_MARKER not in words and program.network.steps_max == 3
    accelerator, layout, seen = Accelerator(program, program.images()), result_layout(program), []

    async def bench(ctx):
        ctx.set(accelerator.result.ready, 1)
        for word in [*words, *[None] * 200]:
            if word is not None:
                ctx.set(accelerator.source.payload, accelerator.source.payload.shape().from_bits(word))
            ctx.set(accelerator.source.valid, word is not None)
            while True:
                ready = word is None or ctx.get(accelerator.source.ready)
                if ctx.get(accelerator.result.valid):
                    seen.append(layout.unpack(ctx.get(accelerator.result.payload.as_value())))
                await ctx.tick()
                if ready:
                    break

    simulator = Simulator(accelerator)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert len(seen) == 13  # of 40 steps; the last one waits for two more
    steps = np.array([one[1] for one in seen])
    np.testing.assert_array_equal([one[0] for one in seen], golden.classes[:13])
    np.testing.assert_array_equal(steps, golden.steps[:13])
    scores = scores_from_raw(program, np.array([one[3] for one in seen]), steps)
    np.testing.assert_array_equal(scores, golden.scores[:13])


def test_a_window_of_one_step_is_the_potential_of_every_step():
    network, counts = network_of("potential", 1), inputs_of(2, 9)
    result = GoldenModel(network).run(counts, membranes=True)
    np.testing.assert_array_equal(result.scores.reshape(2, 9, 5), result.membranes[-1])
    assert fs.verify(fs.compile(network).program, counts, backend="pysim").equal


def test_widths_are_proved_for_any_number_of_steps():
    (proof, _) = fs.compile(network_of("spike_count", 2)).proofs
    assert proof.steps is None and "in any number of steps" in str(proof)
    long = fs.compile(network_of("spike_count", 1000, endless=False)).proofs[0]
    assert (proof.low, proof.high) == (long.low, long.high)


def leaky(leak, **neuron):
    builder = fs.NetworkBuilder(3, steps=2, readout="spike_count", endless=True)
    builder.layer([[5, -7, 3]], theta=40, leak=leak, **neuron)
    return builder.build()


def test_a_slow_leak_is_bounded_without_waiting_for_it():
    (proof,) = fs.compile(leaky(1 - 2**-15)).proofs
    # v ≤ 8·2^15 and v ≥ −7·2^15 − 2^15, in a power of two
    assert 18 <= proof.bits <= 20


@pytest.mark.parametrize("neuron", [{}, {"reset": "zero"}, {"v_max": 50}, {"bias": 1}])
def test_membranes_that_may_run_away_are_refused(neuron):
    network = leaky(1.0, **neuron)
    with pytest.raises(CompileError, match=r"^layer 0 \(dense0\): membranes must stay bounded in an inference without "
                                           r"end: every neuron must have a leak, or be reset to a value and clamped by "
                                           r"v_min$"):
        fs.compile(network)
    assert fs.compile(leaky(1.0, reset="zero", v_min=-60)).proofs[0].bits <= 8


@pytest.mark.parametrize(("change", "sentence"), [
    ({"input_kind": "latency"}, "input_kind must be 'events' of an endless network, not 'latency'"),
    ({"endless": 1}, "endless must be True or False, not 1"),
])
def test_what_is_not_endless_is_refused(change, sentence):
    fields = {"steps": 2, "readout": "spike_count", "endless": True, **change}
    builder = fs.NetworkBuilder(3, **fields)
    builder.layer([[5, -7, 3]], theta=40)
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        builder.build()


def test_neurons_that_fire_once_and_an_early_exit_are_refused():
    builder = fs.NetworkBuilder(3, steps=2, readout="first_spike", endless=True)
    builder.layer([[5, -7, 3]], theta=40, leak=0.5, single_spike=True)
    with pytest.raises(ValueError, match=r"^single_spike must be off in the output layer of an endless network, of "
                                         r"which every window is read$"):
        builder.build()
    with pytest.raises(CompileError, match=r"^early_exit must be off for an endless network, whose results come at the "
                                           r"end of each window$"):
        fs.compile(network_of("first_spike", 3), early_exit=True)


def test_memories_are_loaded_between_inferences_only():
    """The end of a window is not that of an inference: the program port stays shut until a final marker."""
    program = fs.compile(network_of("spike_count", 1), lanes=3).program
    accelerator, opened = Accelerator(program, program.images()), []

    async def bench(ctx):
        ctx.set(accelerator.result.ready, 1)
        for number, word in enumerate([MARKER, *[None] * 150, FINAL_MARKER, *[None] * 150]):
            ctx.set(accelerator.source.valid, word is not None)
            if word is not None:
                ctx.set(accelerator.source.payload, accelerator.source.payload.shape().from_bits(word))
            ctx.set(accelerator.program_port.valid, number > 3 and not opened)
            if number > 3 and ctx.get(accelerator.program_port.ready):
                opened.append(number)
            await ctx.tick()

    simulator = Simulator(accelerator)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert opened and opened[0] > 151


def test_files_and_options_keep_it(tmp_path):
    network = network_of("spike_count", 3)
    fs.save(network, tmp_path / "n.safetensors")
    program = fs.compile(fs.load(tmp_path / "n.safetensors")).program
    assert program.network.endless and program.network.steps_max == 3
    program.save(tmp_path / "p.fsp")
    assert Program.load(tmp_path / "p.fsp").network.endless
    plain = network_of("spike_count", 3, endless=False)
    fs.save(plain, tmp_path / "n.safetensors")
    loaded = fs.load(tmp_path / "n.safetensors")
    assert not fs.compile(loaded).program.network.endless and fs.compile(loaded, endless=True).program.network.endless
    assert program.architecture() != fs.compile(plain).program.architecture()


def test_real_numbers_have_the_same_windows():
    network, counts = network_of("spike_count", 2), inputs_of(3, 5)
    real = real_network(network)
    np.testing.assert_array_equal(run_float(real, counts).classes, GoldenModel(network).run(counts).classes)
    labels = np.array([1, 0, 2])
    calibration = fs.calibrate(real, counts, labels)
    right = GoldenModel(network).run(counts).classes == np.repeat(labels, 3)
    assert calibration.score(calibration.classes) == 100 * right.mean()
