# SPDX-License-Identifier: MIT
"""External weights: the same values as with weights on the chip, and the cycles that the timing model says."""

from dataclasses import replace

import numpy as np
import pytest
from firstspike_arch.array import ArrayConfig
from firstspike_arch.backend import MemoryTiming
from firstspike_arch.core_spec import CoreSpec
from firstspike_arch.delaying import delayed
from firstspike_arch.external import external_obstacle
from firstspike_arch.network import IntegerNetwork
from firstspike_arch.network_builder import NetworkBuilder
from firstspike_arch.program import Program
from firstspike_compiler.compile import compile_network
from firstspike_hw import weight_fetcher
from firstspike_sim.backends.pysim import PysimBackend
from firstspike_sim.backends.verilator import VerilatorBackend
from firstspike_sim.compare import compare
from firstspike_sim.models.golden import GoldenModel
from firstspike_sim.models.prediction import Prediction, predict_inputs, predict_stimulus
from firstspike_sim.stimulus import make_stimulus
from firstspike_sim.testing.random_network import random_banks, random_inputs, random_network, random_rotates


def program_of(network: IntegerNetwork, external: list[int], lanes: list[int], buffers: int = 2, **options) -> Program:
    """A program whose external layers have so many buffers."""
    program = compile_network(network, lanes=lanes, external=external, **options).program
    layers = tuple(replace(one, external=buffers) if one.external else one for one in program.config.layers)
    return program.with_config(layers=layers)


def differences(program: Program, prediction: Prediction, backend=None) -> list[str]:
    """Differences between hardware and models; no slice may be read twice, or in vain."""
    backend = backend or PysimBackend()
    backend.load(program)
    trace = backend.run(prediction.stimulus)
    assert trace.counters["faults"] == 0
    if not program.config.early_exit:
        assert trace.counters["beats"] == beats_read(program, prediction.golden.spikes) > 0
    return [check.first for check in compare(program.network, prediction.stimulus, prediction.trace, trace)
            if check.different]


def slices_read(program: Program, spikes) -> list[int]:
    """How many slices each external layer reads: of each channel, or input, with a spike, once a step."""
    return [int(core.fetching.slices_read(taken_by(core, spikes)).sum()) for core in program.external]


def taken_by(core: CoreSpec, spikes) -> np.ndarray:
    """The spikes that a core takes, after their delays."""
    line = core.inputs[0].delaying
    return delayed(np.asarray(spikes[core.index]), line and line.delays)


def beats_read(program: Program, spikes) -> int:
    return sum(count * core.fetching.beats
               for count, core in zip(slices_read(program, spikes), program.external, strict=True))


def dense(**options) -> IntegerNetwork:
    random = np.random.default_rng(5)
    net = NetworkBuilder(12, steps=3, readout="spike_count", **options)
    net.layer(random.integers(-5, 8, (8, 12)), theta=8)
    net.layer(random.integers(-5, 8, (5, 8)), theta=5, leak=0.5)
    return net.build()


def maps(groups: int = 1) -> IntegerNetwork:
    random = np.random.default_rng(6)
    net = NetworkBuilder((4, 3, 4), steps=2, readout="spike_count")
    net.layer(random.integers(-3, 6, (6, 4 // groups, 3, 3)), theta=14, padding=1, groups=groups)
    net.layer(random.integers(-3, 6, (3, 6 * 3 * 4)), theta=30)
    return net.build()


def one_channel() -> IntegerNetwork:
    """A map whose addresses have a bit for the channel that is never 1, and values of either sign."""
    random = np.random.default_rng(9)
    net = NetworkBuilder((1, 4, 5), steps=2, readout="spike_count", in_min=-1)
    net.layer(random.integers(-3, 6, (3, 1, 3, 2)), theta=6)
    return net.build()


def pooled() -> IntegerNetwork:
    """A dense layer behind a pool of its whole map."""
    random = np.random.default_rng(8)
    net = NetworkBuilder((5, 2, 3), steps=2, readout="spike_count")
    net.layer(random.integers(-3, 6, (4, 5)), theta=9, pool=(2, 3))
    return net.build()


def spikes_for(network: IntegerNetwork, count: int, often: float = 0.3) -> np.ndarray:
    shape = (count, network.steps, network.inputs)
    return (np.random.default_rng(7).random(shape) < often).astype(np.uint8)


@pytest.mark.thinned(2)
@pytest.mark.parametrize("network, external, lanes, buffers, options", [
    (dense(), [0, 1], [8, 2], 2, {"beat_bits": 32}),
    (pooled(), [0], [3], 2, {}),
    (maps(groups=2), [0, 1], [2, 2], 2, {"beat_bits": 128}),
    (dense(in_max=3), [0], [4, 3], 4, {}),
    (one_channel(), [0], [3], 2, {}),
    (maps(), [0], [3, 3], 2, {"banks": [(3, 3), (1, 1)]}),
], ids=["dense", "a pool of the whole map", "groups, then a map into a dense layer", "the same address twice",
        "a map of one channel", "banks"])
def test_hardware_equals_the_models(network, external, lanes, buffers, options):
    program = program_of(network, external, lanes, buffers, **options)
    inputs = spikes_for(network, 3)
    if network.in_min < 0:
        inputs = inputs * np.random.default_rng(1).choice([network.in_min, 1], inputs.shape)
    if network.in_max > 1:
        inputs = inputs * np.random.default_rng(1).integers(1, network.in_max + 1, inputs.shape).astype(np.uint8)
    prediction = predict_inputs(program, inputs, waits=len(external))
    assert not differences(program, prediction)


def test_values_are_those_of_weights_on_the_chip_and_cycles_more():
    network = maps()
    inputs = spikes_for(network, 3)
    inside, outside = (predict_inputs(one, inputs) for one in (
        compile_network(network, lanes=[4, 3]).program, program_of(network, [0, 1], [4, 3])))
    assert np.array_equal(inside.trace.scores, outside.trace.scores)
    assert inside.trace.taken[-1] < outside.trace.taken[-1]


@pytest.mark.parametrize("beat_bits", [pytest.param(32, marks=pytest.mark.slow), 64,
                                       pytest.param(128, marks=pytest.mark.slow)])
def test_exported_verilog_equals_the_models(beat_bits):
    network = maps(groups=2)
    program = program_of(network, [0, 1], [3, 2], beat_bits=beat_bits)
    prediction = predict_inputs(program, spikes_for(network, 4), waits=9)
    assert not differences(program, prediction, VerilatorBackend(optimise=False))


def random_program(seed: int) -> tuple[Program, np.ndarray]:
    """A random program with external layers, and inputs."""
    rng = np.random.default_rng(seed)
    while True:
        network = random_network(rng, maps=bool(seed % 2), neurons_max=5, steps_max=3)
        able = [index for index in range(len(network.layers)) if external_obstacle(network, index) is None]
        external = [index for index in able if rng.random() < 0.7] or able[:1]
        inputs = random_inputs(rng, network, 2)
        if not external or inputs.size > 150:
            continue
        spikes = GoldenModel(network).run(inputs).spikes
        if min(np.count_nonzero(delayed(np.asarray(spikes[index]), network.layers[index].delays))
               for index in external) > 4:
            break
    lanes = [int(rng.integers(1, layer.channels // layer.groups + 1)) for layer in network.layers]
    program = program_of(
        network, external, lanes, int(rng.choice([2, 2, 4, 8])), register_rows=int(rng.choice([2, 8])),
        banks=random_banks(rng, network), rotates=random_rotates(rng, network),
        beat_bits=int(rng.choice([32, 64, 128])),
        early_exit=network.earliest_decides and not network.endless and bool(rng.random() < 0.5),
        skips=bool(rng.random() < 0.5))
    return program, inputs


def compare_random(seed: int) -> int:
    """Compare hardware and models on a random network with random waits; return how many slices were read."""
    program, inputs = random_program(seed)
    prediction = predict_inputs(program, inputs, waits=seed)
    assert not differences(program, prediction), f"seed {seed}"
    return sum(slices_read(program, prediction.golden.spikes))


@pytest.mark.parametrize("seed", range(10))
def test_random_networks(seed):
    assert compare_random(seed) > 0


@pytest.mark.slow
def test_many_random_networks():
    assert min(compare_random(seed) for seed in range(100, 310)) > 0


def one_layer() -> tuple[Program, np.ndarray]:
    network = dense()
    return program_of(network, [0], [5, 5]), spikes_for(network, 5, 0.5)


def run(program: Program, inputs: np.ndarray, memory: MemoryTiming, fails=None, gaps=None):
    backend = PysimBackend(fails=fails)
    backend.load(program)
    stimulus = replace(make_stimulus(program, inputs, gaps=gaps), memory=memory)
    return backend.run(stimulus), GoldenModel(program.network).run(inputs)


def waits(latency) -> MemoryTiming:
    return MemoryTiming(latency=np.asarray(latency), gaps=np.array([0]), stalls=np.array([0]))


def test_a_read_error_is_counted_and_the_other_inferences_are_right():
    program, inputs = one_layer()
    spikes = GoldenModel(program.network).run(inputs).spikes
    reads = np.cumsum(program.external[0].fetching.slices_read(spikes[0]))
    wrong = range(int(reads[0]), int(reads[1]))  # those of inference 1
    trace, golden = run(program, inputs, waits([3]), fails=wrong.__contains__)
    assert trace.counters["faults"] == len(wrong)
    right = np.array([0, 2, 3, 4])
    assert golden.scores.any(1).all()
    assert np.array_equal(trace.scores[right], golden.scores[right])
    assert (trace.scores[1] != golden.scores[1]).any()


def test_a_memory_that_is_late_is_counted_and_the_next_inference_is_right(monkeypatch):
    monkeypatch.setattr(weight_fetcher, "ANSWER_CYCLES", 50)
    program, inputs = one_layer()
    spikes = GoldenModel(program.network).run(inputs).spikes
    reads = program.external[0].fetching.slices_read(spikes[0])
    latency = np.full(int(reads.sum()), 3)
    latency[reads[0] + 2] = 60  # late, but not so late that inference 1 is over
    trace, golden = run(program, inputs, waits(latency))
    assert 0 < trace.counters["faults"] < reads[1]
    assert np.array_equal(trace.scores[[0, 2, 3, 4]], golden.scores[[0, 2, 3, 4]])


def test_a_memory_that_never_answers_ends_no_inference_and_after_it_lives_again_all_are_right(monkeypatch):
    monkeypatch.setattr(weight_fetcher, "ANSWER_CYCLES", 20)
    program, inputs = one_layer()
    golden = GoldenModel(program.network).run(inputs)
    reads = program.external[0].fetching.slices_read(golden.spikes[0])
    latency = np.full(2 * int(reads.sum()), 3)
    latency[reads[0] + 1] = 250  # in inference 1
    stimulus = make_stimulus(program, inputs)
    gaps = np.zeros(len(stimulus.words), int)
    gaps[stimulus.starts[3]] = 400  # behind what was given while the memory was silent
    trace, golden = run(program, inputs, waits(latency), gaps=gaps)
    asked = trace.accepted[stimulus.starts[1]], trace.taken[1]  # the request came in between
    assert trace.taken[2] < asked[0] + 250 < asked[1] + 251 < trace.accepted[stimulus.starts[3]]
    assert trace.counters["faults"] > reads[2]  # none of the slices of inference 2 came
    for number in range(5):
        assert np.array_equal(trace.scores[number], golden.scores[number]) == (number not in (1, 2)), number


def test_the_timing_model_refuses_a_memory_that_would_be_taken_for_dead():
    program, inputs = one_layer()
    stimulus = replace(make_stimulus(program, inputs), memory=waits([3, 1 << 17]))
    with pytest.raises(ValueError, match=r"the external memory must answer within 65536 cycles, .* up to 131072"):
        predict_stimulus(program, inputs, stimulus)


def test_what_is_not_possible_is_refused():
    network = dense()
    for options, said in (({"read_back": True}, "read_back must be off"), ({"external": [2]}, r"layers 0…1, not 2"),
                          ({"beat_bits": 16}, "beat_bits must be 32, 64 or 128, not 16"),
                          ({"single_port": [0]}, "single_port must be off for a layer with external weights")):
        with pytest.raises(ValueError, match=said):
            compile_network(network, lanes=2, **{"external": [0], **options})
    with pytest.raises(ValueError, match="beat_bits must be 32, 64 or 128"):
        ArrayConfig(layers=(), beat_bits=24)
    recurrent = NetworkBuilder(4, steps=2, readout="spike_count")
    recurrent.layer(np.ones((3, 4), int), theta=2)
    recurrent.branch(np.ones((3, 3), int), source=0)
    with pytest.raises(ValueError, match=r"layer 0.*: external must be off: the layer has several sets of synapses"):
        compile_network(recurrent.build(), lanes=1, external=[0])
