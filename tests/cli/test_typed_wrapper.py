# SPDX-License-Identifier: MIT
"""The module with SystemVerilog's structs as ports: the fields are where the hardware has them, and it runs."""

import re

import firstspike as fs
import numpy as np
import pytest
from firstspike_arch.events import FINAL_MARKER, MARKER
from firstspike_arch.program import Program
from firstspike_arch.result import result_layout
from firstspike_arch.status import PROGRAM_WORD
from firstspike_compiler.compile import Compilation
from firstspike_hw.toolchain import find_tool
from firstspike_sim.backends.native_build import build_simulator
from firstspike_sim.stimulus import make_stimulus


def of_a_map() -> Compilation:
    """Of signed numbers, for one step."""
    network = fs.NetworkBuilder((2, 3, 5), steps=1, readout="potential", input_kind="direct", in_min=-5, in_max=200)
    network.layer(np.arange(60).reshape(2, 30) % 7 - 3)
    return fs.compile(network.build(), lanes=2)


def of_a_vector() -> Compilation:
    random = np.random.default_rng(0)
    network = fs.NetworkBuilder(6, steps=4, readout="spike_count")
    network.layer(random.integers(-3, 7, (5, 6)), theta=7)
    network.layer(random.integers(-5, 8, (3, 5)), theta=5)
    return fs.compile(network.build(), lanes=[2, 3])


def fields(text: str, name: str) -> dict[str, tuple[int, int]]:
    """First bit and width of each field of a struct."""
    typed = re.findall(r"typedef (?:enum )?logic (?:signed )?\[(\d+):0\].* (\w+);", text)
    widths = {name: int(high) + 1 for high, name in typed}
    found, low = {}, 0
    (body,) = re.findall(rf"struct packed \{{([^}}]*)\}} {name};", text)
    for kind, high, field in reversed(re.findall(r"^    (\w+) (?:\[(\d+):0\] )?(\w+);", body, re.MULTILINE)):
        width = int(high or 0) + 1
        found[field] = low, width * (1 if kind == "logic" else widths[kind])
        low += found[field][1]
    return found


def word_of(places: dict[str, tuple[int, int]], **values: int) -> int:
    assert places.keys() == values.keys()
    return sum((value & (1 << places[name][1]) - 1) << places[name][0] for name, value in values.items())


@pytest.mark.parametrize("make", [of_a_map, pytest.param(of_a_vector, marks=pytest.mark.slow)])
def test_fields_are_where_the_hardware_has_them(make, tmp_path):
    compilation = make()
    program = compilation.program
    manifest = fs.export(compilation, tmp_path, name="snn")
    text = (tmp_path / "snn_typed.sv").read_text()
    source, result, word = (fields(text, name) for name in ("source_t", "result_t", "program_word_t"))
    widths = {port["name"]: port["width"] for port in manifest["ports"]}
    for port, places in (("source", source), ("result", result), ("program_port", word)):
        assert widths[f"{port}_payload"] == sum(width for _, width in places.values())
    assert (source["last"], source["marker"]) == ((0, 1), (1, 1)) and (FINAL_MARKER, MARKER) == (3, 2)
    token = program.network.input_layout
    for neuron in range(program.network.inputs):
        event = int(token.events(np.array([neuron]), np.array([token.low]))[0])
        names = ("channel", "y", "x") if len(token.shape) == 3 else ("neuron",)
        given = dict(zip(names, token.fields(int(token.split(np.array([event]))[0][0])), strict=True))
        value = {"value": token.low} if token.value_bits else {}
        assert word_of(source, marker=0, last=0, **given, **value) == event
    layout = result_layout(program)
    scores = [-(1 << layout.score_bits - 1), *range(1, layout.classes)]
    packed = sum((score & (1 << layout.score_bits) - 1) << layout.score_bits * place
                 for place, score in enumerate(scores))
    label, step = layout.classes - 1, (1 << layout.step_bits) - 1
    values = {"scores": packed, "decided_by": 2, "step": step, "label": label}
    assert layout.unpack(word_of(result, **{name: values[name] for name in result})) == (label, step, 2, scores)
    assert {name: width for name, (_, width) in word.items()} == PROGRAM_WORD
    find_tool("verilator").run(
        ["--lint-only", "-Wall", "-Wno-DECLFILENAME", "-Wno-UNUSEDSIGNAL", "-Wno-PROCASSINIT", "--top-module",
         "snn_typed", "snn.vlt", "snn_typed.sv", "snn.v"], folder=tmp_path)


BENCH = """
module bench(input wire clk, input wire rst);
  logic [63:0] words [0:{last}];
  logic [31:0] sent;
  logic source_ready, result_valid, program_port_ready;
  logic [31:0] status_data;
  snn_types::result_t result;
  initial $readmemh("words.hex", words);
  snn_typed dut(
    .clk, .rst, .restart(1'b0), .status_address('0), .status_data, .program_port_valid(1'b0), .program_port_payload('0),
    .program_port_ready, .source_valid(!rst && sent <= {last}), .source_ready, .source_payload({payload}),
    .result_valid, .result_ready(1'b1), .result_payload(result));
  always @(posedge clk) begin
    if (rst) sent <= 0;
    else if (sent <= {last} && source_ready) sent <= sent + 1;
    if (!rst && result_valid)
      $display("%0d %0d %s {shown}", result.label, result.step, result.decided_by.name(), {scores});
  end
endmodule
"""
MAIN = """
#include "Vfirstspike.h"
#include "verilated.h"
int main() {
    VerilatedContext context;
    Vfirstspike top{&context};
    for (int cycle = -2; cycle < 2000; cycle++) {
        top.rst = cycle < 0;
        top.clk = 0; top.eval();
        top.clk = 1; top.eval();
    }
    top.final();
}
"""


def simulated(program: Program, inputs: np.ndarray, payload: str, folder) -> list[list[str]]:
    words = make_stimulus(program, inputs).words
    (folder / "words.hex").write_text("".join(f"{word:x}\n" for word in words.tolist()))
    classes = range(program.network.classes)
    bench = BENCH.format(last=len(words) - 1, payload=payload, shown=" ".join("%0d" for _ in classes),
                         scores=", ".join(f"int'(result.scores[{place}])" for place in classes))
    text = "".join((folder / name).read_text() for name in ("snn.v", "snn_typed.sv")) + bench
    said = build_simulator(text, {"main.cpp": MAIN}, top="bench", optimise=False).run([], folder=folder)
    return [line.split() for line in said.splitlines() if line.count(" ") == 2 + len(classes)]


@pytest.mark.slow
@pytest.mark.parametrize("port", ["events", "image"])
def test_it_runs_by_its_fields(port, tmp_path):
    random = np.random.default_rng(5)
    if port == "events":
        compilation, inputs = of_a_vector(), (random.random((4, 4, 6)) < 0.5).astype(np.uint8)
        at = {name: f"words[sent][{low + width - 1}:{low}]" for name, (low, width) in {
            "neuron": (2, 3), "marker": (1, 1), "last": (0, 1)}.items()}
        payload = "'{neuron: " + at["neuron"] + ", marker: " + at["marker"] + ", last: " + at["last"] + "}"
    else:
        network = fs.NetworkBuilder(16, steps=4, readout="first_spike", input_kind="latency")
        network.layer(random.integers(-3, 7, (5, 16)), theta=9, single_spike=True)
        compilation = fs.compile(network.build(), lanes=2, port="image")
        inputs = random.integers(0, 256, (4, 16)).astype(np.uint8)
        payload = "'{" + ", ".join(f"words[sent][{8 * place + 7}:{8 * place}]" for place in reversed(range(8))) + "}"
    fs.export(compilation, tmp_path, name="snn")
    seen = simulated(compilation.program, inputs, payload, tmp_path)
    golden = fs.infer(compilation.program, inputs)
    assert [[int(one) for one in (*line[:2], *line[3:])] for line in seen] == [
        [label, step, *scores] for label, step, scores in zip(
            golden.classes.tolist(), golden.steps.tolist(), golden.scores.tolist(), strict=True)]
    assert {line[2] for line in seen} <= {"PLAIN", "TIE_BY_MEMBRANE", "TIE_BY_INDEX", "SILENT"}
