# SPDX-License-Identifier: MIT
"""Two events a cycle: the same spikes, in fewer cycles, as the timing model says."""

from itertools import product

import numpy as np
import pytest
from firstspike_arch.events import MARKER
from firstspike_arch.network_builder import NetworkBuilder
from firstspike_arch.program import Program
from firstspike_compiler.compile import compile_network
from firstspike_sim.backends.pysim import PysimBackend
from firstspike_sim.compare import compare
from firstspike_sim.models.prediction import Prediction, predict_inputs

INPUTS, HIDDEN, STEPS = 28, 20, 3

KINDS = {
    "TTFS": ({"input_kind": "latency"}, {"single_spike": True, "bias": 1}),
    "TTFS, image port": ({"input_kind": "latency"}, {"single_spike": True, "bias": 1}),
    "LIF with leak": ({}, {"leak": 0.75, "bias": -1}),
    "counts": ({"in_max": 5}, {"reset": "zero"}),
    "polarity": ({"in_min": -1}, {"leak": 0.5}),
    "direct": ({"input_kind": "direct", "in_max": 9}, {"leak": 0.75}),
}


def program_of(kind: str, *, events: int | list[int], lanes: list[int], **options) -> Program:
    random, (inputs, neuron) = np.random.default_rng(5), KINDS[kind]
    builder = NetworkBuilder(INPUTS, steps=STEPS, readout="first_spike", **inputs)
    builder.layer(random.integers(-5, 8, (HIDDEN, INPUTS)), theta=18, **neuron)
    builder.layer(random.integers(-6, 8, (4, HIDDEN)), theta=9, single_spike=True)
    return compile_network(
        builder.build(), lanes=lanes, events_per_cycle=events, port="image" if "image" in kind else "events",
        register_rows=2, **options).program


def inputs_of(program: Program, count: int) -> np.ndarray:
    random, network = np.random.default_rng(9), program.network
    if network.input_kind != "events":
        return np.where(random.random((count, INPUTS)) < 0.6, random.integers(0, network.in_max + 1 if
                        network.input_kind == "direct" else 256, (count, INPUTS)), 0).astype(np.uint8)
    values = random.integers(network.in_min, network.in_max + 1, (count, STEPS, INPUTS))
    return np.where(random.random(values.shape) < 0.6, values, 0)


def differences(program: Program, prediction: Prediction) -> list[str]:
    backend = PysimBackend()
    backend.load(program)
    checks = compare(program.network, prediction.stimulus, prediction.trace, backend.run(prediction.stimulus))
    return [check.first for check in checks if check.different]


def pairs(prediction: Prediction, edge: int) -> int:
    """Events that came with another one."""
    trace = prediction.trace
    together = np.diff(trace.edge_cycles[edge]) == 0
    assert not (trace.edge_tokens[edge][1:][together] & MARKER).any()
    return int(together.sum())


@pytest.mark.thinned(4)
@pytest.mark.parametrize("mapping", [([20, 4], None), ([3, 2], 7)])
@pytest.mark.parametrize("kind", KINDS)
def test_hardware_equals_the_models(kind, mapping):
    lanes, waits = mapping
    program = program_of(kind, events=2, lanes=lanes, early_exit=waits is not None)
    prediction = predict_inputs(program, inputs_of(program, 5), waits=waits)
    assert not differences(program, prediction)
    assert pairs(prediction, 1) > 5
    # One event a cycle comes from the port of events; they wait for each other only where a row is not all neurons.
    assert pairs(prediction, 0) > 5 or (lanes[0] == 20 and "image" not in kind)


def test_events_of_a_dropped_inference_come_two_at_once():
    program = program_of("TTFS, image port", events=2, lanes=[4, 4], early_exit=True)
    prediction = predict_inputs(program, inputs_of(program, 12))
    assert (prediction.golden.steps < STEPS - 1).any() and not differences(program, prediction)


@pytest.mark.parametrize("lanes", [[20, 4], [4, 4]])
def test_spikes_are_the_same_in_fewer_cycles(lanes):
    found = {}
    for events in ([1, 1], [2, 1], [2, 2]):
        program = program_of("TTFS, image port", events=events, lanes=lanes)
        prediction = predict_inputs(program, inputs_of(program, 30))
        found[tuple(events)] = prediction
        for edge, count in enumerate(events):
            assert (pairs(prediction, edge) > 0) == (count == 2)
    one = found[1, 1].trace
    for many in (found[2, 1].trace, found[2, 2].trace):
        assert all(map(np.array_equal, one.edge_tokens, many.edge_tokens))
    ends = [int(found[events].trace.taken[-1]) for events in ((1, 1), (2, 1), (2, 2))]
    assert ends[0] > 1.15 * ends[1] and ends[1] >= ends[2]


def test_a_core_takes_what_the_encoder_sends_two_at_a_time():
    """⌈n / 2⌉ tokens for n events of a step, but for one where two beats with pixels have an odd number together."""
    program = program_of("TTFS, image port", events=2, lanes=[20, 4])
    prediction = predict_inputs(program, inputs_of(program, 20))
    spikes = prediction.golden.spikes[0]
    beats = np.pad(spikes, ((0, 0), (0, 0), (0, -INPUTS % 8))).reshape(*spikes.shape[:2], -1, 8).sum(3)
    wanted = 0
    for image, step in product(*map(range, beats.shape[:2])):
        filled = beats[image, step][beats[image, step] > 0]
        wanted += sum(-(-int(filled[at:at + 2].sum()) // 2) for at in range(0, len(filled), 2)) + 1
    assert len(np.unique(prediction.trace.edge_cycles[0])) == wanted
