# SPDX-License-Identifier: MIT
"""Hardware against golden and timing model: every class, evidence, spike and cycle, in every simulator."""

import dataclasses

import numpy as np
import pytest
from firstspike_arch.backend import DecidedBy
from firstspike_arch.network_builder import NetworkBuilder
from firstspike_compiler.compile import compile_network
from firstspike_sim.backends.pysim import PysimBackend
from firstspike_sim.backends.verilator import VerilatorBackend
from firstspike_sim.compare import compare
from firstspike_sim.models.golden import GoldenModel
from firstspike_sim.models.prediction import predict_inputs


@pytest.mark.parametrize("part", range(5))
def test_random_networks(varied_programs, part, agree):
    """Five of 25 in Amaranth's simulator, a few inferences each; the others as Verilog."""
    for number, (program, inputs) in enumerate(varied_programs[part::5]):
        if number == 0:
            agree(PysimBackend(), program, inputs[:3], seed=part or None)
        else:
            agree(VerilatorBackend(optimise=False), program, inputs, seed=number if number > 2 else None)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(60))
def test_many_random_networks_in_both_simulators(alive_programs, part, agree):
    for number, (program, inputs) in enumerate(alive_programs(100_000 + 1000 * part, 5, neurons_max=8)):
        for backend in (PysimBackend(), VerilatorBackend(optimise=False)):
            agree(backend, program, inputs, seed=number if number % 2 else None)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(70))
def test_many_more_random_networks_as_verilog(alive_programs, part, agree):
    """With those in both simulators, a thousand. Each has a build of its own: most of that is to compile the network's
    own model."""
    for number, (program, inputs) in enumerate(alive_programs(200_000 + 1000 * part, 10, neurons_max=8)):
        agree(VerilatorBackend(optimise=False), program, inputs, seed=number if number % 2 else None)


GEOMETRIES = {
    "dilated": {"dilation": (2, 3), "stride": (1, 2)}, "transposed": {"transposed": True, "stride": 2},
    "spread": {"transposed": True, "dilation": 2, "stride": (2, 3), "padding": (1, 0), "output_padding": (1, 2)},
    "pooled": {"pool": (3, 1)}, "plain": {},
}


@pytest.mark.thinned(4)
@pytest.mark.parametrize("winner", ["tree", "scan"])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_maps_that_are_the_output(name, winner, agree):
    """Of every geometry; ties between the classes, which come position by position."""
    size = (2, 2, 2) if "transposed" in GEOMETRIES[name] else (2, 6, 7)
    for seed in range(100):
        rng = np.random.default_rng(seed)
        net = NetworkBuilder(size, steps=4, readout="spike_count" if winner == "tree" else "first_spike")
        net.layer(rng.integers(-2, 4, (2, 2, 2, 2)), theta=2, reset="zero", **GEOMETRIES[name])
        net.layer(rng.integers(-1, 3, (3, 2, 1, 2)), theta=4, leak=0.5)
        network = net.build()
        inputs = (rng.random((4, 4, network.inputs)) < 0.3).astype(np.uint8)
        decided = GoldenModel(network).run(inputs)
        ties = decided.decided_by == DecidedBy.TIE_BY_INDEX.value
        if len(set(decided.classes[ties].tolist())) > 1:
            break
    else:
        pytest.fail("no network has ties of several classes")
    parallel = name in ("plain", "pooled")
    program = compile_network(network, lanes=2, winner=winner, kernel_parallel=parallel).program
    assert program.cores[-1].plan.bank_count == (2 if parallel else 1)
    agree(PysimBackend(), program, inputs, seed=1)


@pytest.mark.parametrize("rows", [2, 3])
@pytest.mark.parametrize("theta", [5, [[5, 9]] * 12])
def test_a_silent_first_step_right_behind_an_inference(agree, theta, rows):
    """All rows in registers start together, in the cycle before the first of them is compared."""
    rng = np.random.default_rng(rows)
    net = NetworkBuilder(6, steps=2, readout="spike_count")
    net.layer(rng.integers(-2, 5, (12, 6)), theta=theta, reset="none")
    net.layer(rng.integers(-2, 5, (3, 12)), theta=4)
    inputs = (rng.random((12, 2, 6)) < 0.8).astype(np.uint8)
    inputs[:, 0] = 0
    program = compile_network(net.build(), lanes=[12 // rows, 3]).program
    assert program.cores[0].plan.in_registers
    agree(PysimBackend(), program, inputs)


@pytest.fixture(scope="module")
def one_program(alive_programs):
    return next((program, inputs) for program, inputs in alive_programs(7, 6) if program.config.port == "events")


def test_a_difference_is_found_and_named(one_program):
    program, inputs = one_program
    prediction = predict_inputs(program, inputs)
    backend = PysimBackend()
    backend.load(program)
    trace = backend.run(prediction.stimulus)
    cycles = [edges.copy() for edges in trace.edge_cycles]
    cycles[1][5] += 1
    later = dataclasses.replace(trace, edge_cycles=tuple(cycles))
    checks = compare(program.network, prediction.stimulus, prediction.trace, later)
    (check,) = (check for check in checks if check.different)
    assert check.different == 1
    assert "spikes of layer 0 into layer 1" in check.first
    assert f"in cycle {cycles[1][5]}" in check.first


def test_images_through_the_program_port(one_program):
    program, inputs = one_program
    prediction = predict_inputs(program, inputs)
    backend = VerilatorBackend(optimise=False)
    backend.load(program)
    trace = backend.run(prediction.stimulus, images=program.port_words())
    wanted, got = prediction.trace, trace
    for name in ("classes", "steps", "decided_by", "scores"):
        assert np.array_equal(getattr(wanted, name), getattr(got, name)), name
    # The cores start over after the last word, as after reset: all cycles are later by the same number.
    delays = set((got.decided - wanted.decided).tolist()) | set((got.accepted - wanted.accepted).tolist())
    assert len(delays) == 1


def test_the_model_is_not_the_hardware(one_program):
    """Other weights must be noticed: the comparison can fail."""
    program, inputs = one_program
    prediction = predict_inputs(program, inputs)
    layer = program.network.layers[0]
    layers = (dataclasses.replace(layer, weights=np.roll(layer.weights, 1, axis=0)), *program.network.layers[1:])
    other = dataclasses.replace(program, network=dataclasses.replace(program.network, layers=layers))
    backend = PysimBackend()
    backend.load(other)
    checks = compare(program.network, prediction.stimulus, prediction.trace, backend.run(prediction.stimulus))
    assert any(check.different for check in checks)


@pytest.mark.parametrize("backend", [PysimBackend(), VerilatorBackend()], ids=lambda backend: backend.name)
def test_nothing_runs_before_a_program_is_loaded(one_program, backend):
    with pytest.raises(RuntimeError, match=r"^load a program first$"):
        backend.run(predict_inputs(*one_program).stimulus)
