# SPDX-License-Identifier: MIT
"""The native driver on a stand-in whose every cycle is known, and both simulators on a run with a long tail."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from firstspike_arch.backend import Stimulus
from firstspike_arch.events import FINAL_MARKER, MARKER, TokenLayout, tokens_from_spikes
from firstspike_arch.network import IntegerNetwork, Layer, Neuron
from firstspike_arch.program import Program
from firstspike_arch.result import result_layout
from firstspike_arch.status import COUNTERS
from firstspike_arch.work import quiet_cycles
from firstspike_compiler.compile import compile_network
from firstspike_hw.toolchain import ToolError
from firstspike_sim.backends.pysim import PysimBackend
from firstspike_sim.backends.verilator import VerilatorBackend
from firstspike_sim.compare import compare
from firstspike_sim.models.prediction import predict_inputs

READY_EVERY = 3

# Takes a word in cycles 0, 3, 6, …; offers a result one cycle after a final marker and takes nothing meanwhile.
# Class: parity of the inference's events; step: its markers before the last. Score 0: low bits of weight word 0.
STAND_IN = """
module firstspike(
    input clk, input rst, input source_valid, output source_ready, input [{token_top}:0] source_payload,
    output result_valid, input result_ready, output [{result_top}:0] result_payload,
    input program_port_valid, output program_port_ready, input [63:0] program_port_payload,
    input restart, input [4:0] status_address, output reg [31:0] status_data);
  reg [{width_top}:0] core0_weights [{depth_top}:0];
  initial $readmemh("core0_weights.hex", core0_weights);
  reg [31:0] phase; reg [{step_top}:0] step; reg label; reg pending; reg program_phase; reg [15:0] tail;
  wire edge0_valid = source_valid & source_ready | tail == 1;
  wire edge0_ready = 1;
  wire [{token_top}:0] edge0_payload = tail == 1 ? {token_bits}'d3 : source_payload;
  assign source_ready = phase == 0 & ~pending & {accepts};
  assign result_valid = pending;
  assign result_payload = {{{{{score_rest}{{1'b0}}}}, core0_weights[0][{score_top}:0], 2'd0, step, label}};
  assign program_port_ready = program_phase & {writable};
  always @(posedge clk) begin
    status_data <= status_address * 7 + 1;
    program_phase <= ~program_phase;
    phase <= phase == {period} - 1 ? 0 : phase + 1;
    if (tail != 0) tail <= tail - 1;
    if (program_port_valid & program_port_ready) begin
      core0_weights[program_port_payload[55:32]] <= program_port_payload[{width_top}:0];
      phase <= 0;  // loading ends in phase 0
    end
    if (source_valid & source_ready) begin
      if (source_payload[1:0] == 0) label <= ~label;
      if (source_payload[1:0] == 2) step <= step + 1;
      if (source_payload[1:0] == 3) begin pending <= 1; tail <= {tail}; end
    end
    if (result_valid & result_ready) begin pending <= 0; label <= 0; step <= 0; end
    if (rst) begin phase <= 0; step <= 0; label <= 0; pending <= 0; program_phase <= 0; tail <= 0; end
  end
endmodule
"""


def layer(name: str, weights: np.ndarray, *, theta: int, **neuron) -> Layer:
    zeros = np.zeros(len(weights), dtype=np.int64)
    return Layer(name=name, weight_bits=4, weights=weights, neuron=Neuron(
        bias=zeros, theta=zeros + theta, v_init=zeros, **neuron))


@pytest.fixture(scope="module")
def program() -> Program:
    network = IntegerNetwork(
        name="stand-in", layers=(layer("only", np.array([[5, 1, 2, 3], [1, 2, 3, 4]]), theta=9),),
        readout="first_spike", steps=3, steps_max=3, input_kind="events")
    return compile_network(network).program


def stand_in(program: Program, *, accepts: int = 1, writable: int = 1, tail: int = 0) -> str:
    token, result, (shape,) = TokenLayout(shape=(4,)).bits, result_layout(program), program.memories()
    assert (shape.chunks, result.class_bits) == (1, 1)
    return STAND_IN.format(
        token_bits=token, token_top=token - 1, result_top=result.bits - 1, width_top=shape.width - 1,
        depth_top=shape.depth - 1, step_top=result.step_bits - 1, score_top=result.score_bits - 1,
        score_rest=result.score_bits, period=READY_EVERY, accepts=accepts, writable=writable, tail=tail)


def loaded(program: Program, **options) -> VerilatorBackend:
    backend = VerilatorBackend(optimise=False)
    backend.load(program, stand_in(program, **options))
    return backend


@pytest.fixture(scope="module")
def stimulus() -> Stimulus:
    spikes = np.random.default_rng(3).random((5, 3, 4)) < 0.5
    words, starts = tokens_from_spikes(spikes, TokenLayout(shape=(4,)))
    return Stimulus(words=words, starts=starts)


def expected_cycles(stimulus: Stimulus) -> tuple[list[int], list[int], list[int]]:
    """Cycles of acceptance, decision and transfer, from the conventions of `Stimulus` and `Trace` alone."""
    accepted: list[int] = []
    decided: list[int] = []
    taken: list[int] = []
    free = 0
    for index, word in enumerate(stimulus.words.tolist()):
        gap = 0 if stimulus.gaps is None else int(stimulus.gaps[index])
        offered = (accepted[-1] + 1 if accepted else 0) + gap
        at = max(offered, free)
        at += -at % READY_EVERY
        accepted.append(at)
        if word == FINAL_MARKER:
            stall = 0 if stimulus.sink_stalls is None else int(stimulus.sink_stalls[len(taken)])
            decided.append(at + 1)
            taken.append(at + 1 + stall)
            free = taken[-1] + 1
    return accepted, decided, taken


@pytest.mark.parametrize("waits", [False, True])
def test_every_cycle_is_as_defined(program, stimulus, waits):
    if waits:
        random = np.random.default_rng(4)
        stimulus = replace(stimulus, gaps=random.integers(0, 9, len(stimulus.words)),
                           sink_stalls=random.integers(0, 20, stimulus.inferences))
    backend = loaded(program)
    trace = backend.run(stimulus)
    accepted, decided, taken = expected_cycles(stimulus)
    assert trace.accepted.tolist() == accepted
    assert trace.decided.tolist() == decided
    assert trace.taken.tolist() == taken
    assert trace.edge_cycles[0].tolist() == accepted
    assert np.array_equal(trace.edge_tokens[0], stimulus.words)
    parts = [stimulus.words[a:b] for a, b in zip(stimulus.starts[:-1], stimulus.starts[1:], strict=True)]
    assert trace.classes.tolist() == [int((part & MARKER == 0).sum()) % 2 for part in parts]
    assert trace.steps.tolist() == [2] * len(parts)
    assert trace.counters == {name: 7 * index + 1 for index, name in enumerate(COUNTERS)}
    assert backend.cycles_per_second > 0


def test_memories_come_from_files_or_through_the_program_port(program, stimulus):
    backend = loaded(program)
    bits = result_layout(program).score_bits
    low = program.images()["core0_weights"][0] & (1 << bits) - 1
    wanted = low - (1 << bits if low >> (bits - 1) else 0)
    assert wanted != 0
    for trace in (backend.run(stimulus), backend.run(stimulus, images=program.port_words())):
        assert trace.scores[:, 0].tolist() == [wanted] * stimulus.inferences


def test_many_runs_are_independent(program, stimulus):
    traces = loaded(program).run_many([stimulus] * 3, processes=2)
    assert len(traces) == 3
    assert all(np.array_equal(trace.taken, expected_cycles(stimulus)[2]) for trace in traces)


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty one."""
    monkeypatch.setenv("FIRSTSPIKE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_simulator_is_built_once_and_without_python_on_the_path(program, cache, monkeypatch, tmp_path):
    """An environment that is not activated, on a system that has only python3: `.venv/bin/firstspike`."""
    (tmp_path / "python").write_text("#!/bin/sh\nexit 127\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    loaded(program)
    (folder,) = cache.glob("build-*")
    built = (folder / "simulator").stat().st_mtime_ns
    loaded(program)
    assert list(cache.glob("build-*")) == [folder] and not list(cache.glob("unfinished-*"))
    assert (folder / "simulator").stat().st_mtime_ns == built
    (runtime,) = cache.glob("runtime-*")
    assert "verilated.o" in {file.name for file in runtime.iterdir()}


@pytest.mark.slow
def test_the_compiler_that_is_named_builds_a_simulator_of_its_own(program, stimulus, cache, monkeypatch, tmp_path):
    loaded(program)
    script = tmp_path / "my c++"
    script.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\nexec c++ "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("CXX", str(script))
    assert loaded(program).run(stimulus).taken.tolist() == expected_cycles(stimulus)[2]
    calls = (tmp_path / "calls").read_text()
    assert "driver.cpp" in calls and "-o simulator" in calls  # compiles and links
    assert len(list(cache.glob("build-*"))) == len(list(cache.glob("runtime-*"))) == 2


def test_a_machine_that_hangs_ends_in_a_sentence(program, stimulus):
    with pytest.raises(ToolError, match=r"no end within 500 cycles: 0 of \d+ input words taken, 0 of 5 results"):
        loaded(program, accepts=0).run(stimulus, limit=500)


def test_a_program_port_that_hangs_ends_in_a_sentence(program, stimulus):
    with pytest.raises(ToolError, match=r"program port not ready within 500 cycles: 0 of \d+ words taken"):
        loaded(program, writable=0).run(stimulus, images=program.port_words(), limit=500)


def test_waves_need_no_system_package(program, stimulus, tmp_path):
    backend = VerilatorBackend(waves=tmp_path / "wave.fst", optimise=False)
    backend.load(program, stand_in(program))
    assert backend.run(stimulus).taken.tolist() == expected_cycles(stimulus)[2]
    written = (tmp_path / "wave.fst").read_bytes()
    assert written[:9] == bytes(7) + (329).to_bytes(2, "big")  # block type 0, an FST header, 329 bytes long
    assert b"edge0_valid" in written


def test_a_late_token_is_waited_for(program, stimulus):
    late = quiet_cycles(program) - 1
    trace = loaded(program, tail=late).run(stimulus)
    assert trace.edge_cycles[0][-1] == trace.accepted[-1] + late
    assert len(trace.edge_tokens[0]) == len(stimulus.words) + 1


def test_verilog_that_does_not_compile_ends_in_a_sentence(program, cache):
    with pytest.raises(ToolError, match="verilator ended with status"):
        VerilatorBackend(optimise=False).load(program, "module firstspike(input clk; endmodule")
    assert not [*cache.glob("build-*"), *cache.glob("unfinished-*")]


@pytest.mark.parametrize("runner", [VerilatorBackend(optimise=False), PysimBackend()], ids=lambda one: one.name)
def test_what_an_early_exit_leaves_is_seen_to_its_end(runner):
    """One lane, many rows, a leak of many passes: long after the last result, cores still finish what they began."""
    random = np.random.default_rng(0)
    leak = {"leak_num": 11, "leak_shift": 4}
    network = IntegerNetwork(
        name="slow", steps=4, steps_max=4, input_kind="events", readout="first_spike", layers=(
            layer("a", random.integers(-3, 8, (8, 4)), theta=4),
            layer("b", random.integers(-3, 8, (150, 8)), theta=12, **leak),
            layer("c", random.integers(-3, 8, (3, 150)), theta=20),
        ))
    program = compile_network(network, lanes=[8, 1, 3], early_exit=True).program
    prediction = predict_inputs(program, (random.random((2, 4, 4)) < 0.6).astype(np.uint8))
    trace = prediction.trace
    end = max(trace.accepted[-1], trace.taken[-1])
    cycles = np.unique(np.concatenate([[end], *trace.edge_cycles]))
    assert 256 < np.diff(cycles[cycles >= end]).max() < quiet_cycles(program)
    runner.load(program)
    assert [check.first for check in compare(network, prediction.stimulus, trace, runner.run(prediction.stimulus))
            if check.different] == []
