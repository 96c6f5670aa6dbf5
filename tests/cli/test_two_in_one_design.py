# SPDX-License-Identifier: MIT
"""Two accelerators in one design: with a name each, no module and no memory image of one is taken for the other's."""

from itertools import pairwise
from pathlib import Path

import firstspike as fs
import numpy as np
import pytest
from firstspike_arch.network import IntegerNetwork, Layer, Neuron
from firstspike_arch.result import result_layout
from firstspike_hw.toolchain import ToolError, find_tool
from firstspike_sim.backends.native_build import build_simulator
from firstspike_sim.stimulus import make_stimulus

INPUTS, STEPS, COUNT = 20, 5, 6


def network(name: str, sizes: tuple[int, ...], seed: int) -> IntegerNetwork:
    random = np.random.default_rng(seed)
    layers = tuple(
        Layer(name=f"dense{index}", weight_bits=4, weights=random.integers(-3, 8, (count, before)), neuron=Neuron(
            bias=np.zeros(count, int), theta=random.integers(8, 24, count), v_init=np.zeros(count, int),
            single_spike=True)) for index, (before, count) in enumerate(pairwise(sizes)))
    return IntegerNetwork(name=name, layers=layers, readout="first_spike", steps=STEPS, steps_max=STEPS,
                          step_weights=tuple(range(STEPS, 0, -1)))


COMPILATIONS = {
    "vision": fs.compile(network("same", (INPUTS, 12, 5), 1), lanes=[4, 5]),
    "hearing": fs.compile(network("same", (INPUTS, 30, 10), 2), lanes=[4, 2], winner="scan"),
}
"""Of the same layers' names, with memories of other shapes."""

SIDE = """
module {name}_side(input wire clk, input wire rst, input wire [31:0] cycle);
{wires}
  reg [{width}:0] words [0:{last}];
  reg [31:0] sent;
  initial $readmemh("{name}_words.hex", words);
  assign source_payload = words[sent][{width}:0];
  assign source_valid = !rst && sent <= {last};
  assign result_ready = 1'b1;
  assign {{program_port_valid, program_port_payload, restart, status_address}} = 0;
  always @(posedge clk) begin
    if (rst) sent <= 0;
    else if (source_valid && source_ready) sent <= sent + 1;
    if (!rst && result_valid) $display("{name} %d %h", cycle, result_payload);
  end
{instance}
endmodule
"""
BENCH = """
module bench(input wire clk, input wire rst);
  reg [31:0] cycle;
  always @(posedge clk) cycle <= rst ? 0 : cycle + 1;
  vision_side one(.clk(clk), .rst(rst), .cycle(cycle));
  hearing_side other(.clk(clk), .rst(rst), .cycle(cycle));
endmodule
"""
MAIN = """
#include "Vfirstspike.h"
#include "verilated.h"
int main() {
    VerilatedContext context;
    Vfirstspike top{&context};
    for (int cycle = -2; cycle < 4000; cycle++) {
        top.rst = cycle < 0;
        top.clk = 0; top.eval();
        top.clk = 1; top.eval();
    }
    top.final();
}
"""


@pytest.fixture(scope="module")
def design(tmp_path_factory) -> dict[str, str]:
    """The files of a design with both, by name; the Verilog of each build, its images and its template as exported."""
    files, inputs = {}, np.random.default_rng(3).integers(0, 256, (COUNT, INPUTS)).astype(np.uint8)
    for name, compilation in COMPILATIONS.items():
        folder = tmp_path_factory.mktemp("two") / name
        manifest = fs.export(compilation, folder, name=name)
        assert manifest["top"] == name
        written = {path.name: path.read_text() for path in folder.iterdir() if path.suffix in (".v", ".hex")}
        words = make_stimulus(compilation.program, inputs).words
        width = next(port["width"] for port in manifest["ports"] if port["name"] == "source_payload")
        wires = "\n".join(f"  wire [{port['width'] - 1}:0] {port['name']};" for port in manifest["ports"]
                          if port["name"] not in ("clk", "rst"))
        written[f"{name}_words.hex"] = "".join(f"{word:x}\n" for word in words.tolist())
        written[f"{name}_side.v"] = SIDE.format(name=name, wires=wires, width=width - 1, last=len(words) - 1,
                                                instance=written.pop(f"{name}_inst.v"))
        assert not set(files) & set(written)
        files |= written
    return files | {"bench.v": BENCH}


def test_both_run_in_verilator_as_predicted(design, tmp_path):
    text = "".join(part for name, part in design.items() if name.endswith(".v"))
    for name, part in design.items():
        (tmp_path / name).write_text(part)
    said = build_simulator(text, {"main.cpp": MAIN}, top="bench", optimise=False).run([], folder=tmp_path)
    inputs = np.random.default_rng(3).integers(0, 256, (COUNT, INPUTS)).astype(np.uint8)
    for name, compilation in COMPILATIONS.items():
        layout, wanted = result_layout(compilation.program), fs.estimate(compilation.program, inputs)
        lines = [line.split() for line in said.splitlines() if line.startswith(f"{name} ")]
        found = [(int(cycle), *layout.unpack(int(payload, 16))[:3]) for _, cycle, payload in lines]
        assert found == list(zip(*(getattr(wanted, part).tolist() for part in ("taken", "classes", "steps",
                                                                               "decided_by")), strict=True))
        assert len({one[1] for one in found}) > 1


def lint(folder: Path, design: dict[str, str]) -> str:
    for name, part in design.items():
        (folder / name).write_text(part)
    return find_tool("verilator").run(["--lint-only", "-Wno-fatal", "-Wno-WIDTH", "--top-module", "bench",
                                       *(name for name in design if name.endswith(".v"))], folder=folder)


def test_verilator_sees_no_module_twice(design, tmp_path):
    assert "MODDUP" not in lint(tmp_path, design)
    with pytest.raises(ToolError, match="PINNOTFOUND"):  # of the modules of one name, the first is taken for both
        lint(tmp_path, {name: part.replace("\\hearing.", "\\vision.") for name, part in design.items()})


@pytest.mark.slow
def test_yosys_reads_both_into_one_design(design, tmp_path):
    for name, part in design.items():
        (tmp_path / name).write_text(part)
    sources = " ".join(name for name in design if name.endswith(".v"))
    script = (f"read_verilog {sources}; hierarchy -check -top bench; proc; check -assert; "
              "select -assert-count 6 t:$meminit_v2")  # four memories, and the words of the benches
    yosys = find_tool("yosys")
    assert yosys.run(["-q", "-p", script], folder=tmp_path) == ""
    (tmp_path / "vision.v").write_text((tmp_path / "vision.v").read_text().replace("\\vision.", "\\hearing."))
    with pytest.raises(ToolError, match="Re-definition of module"):
        yosys.run(["-q", "-p", script], folder=tmp_path)


def test_a_named_build_is_verified_and_exported_as_any_other(tmp_path, run, command):
    fs.export(COMPILATIONS["vision"], tmp_path / "b", name="vision")
    np.save(tmp_path / "x.npy", np.random.default_rng(3).integers(0, 256, (COUNT, INPUTS)).astype(np.uint8))
    assert "different" in run("verify", tmp_path / "b", "--data", tmp_path / "x.npy")
    core = (tmp_path / "b" / "vision.core").read_text()
    assert "name: ::vision:0" in core and "- vision_core0_weights.hex:" in core and "toplevel: vision" in core
    assert "-top vision " in (tmp_path / "b" / "vivado.tcl").read_text()
    run("export-axi", tmp_path / "b", "-o", tmp_path / "axi")
    assert {path.name for path in (tmp_path / "axi").iterdir()} == {
        "vision.v", "vision_core0_weights.hex", "vision_core1_weights.hex", "vision_identity.hex", "package_ip.tcl",
        "README.md", "manifest.json", "port_words.bin", "program.fsp", "vision_registers.h"}
    script = (tmp_path / "axi" / "package_ip.tcl").read_text()
    assert "set_property name vision_axi" in script and "vision_identity.hex" in script
    assert "display_name {vision}" in script
    run("export-axi", tmp_path / "b", "-o", tmp_path / "other", "--name", "hearing")
    assert "module hearing(" in (tmp_path / "other" / "hearing.v").read_text()
