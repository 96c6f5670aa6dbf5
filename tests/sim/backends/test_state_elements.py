# SPDX-License-Identifier: MIT
"""What holds state in Verilog is found, each register and memory once, and made public without another change."""

import firstspike as fs
import pytest
from firstspike_arch.program import Program
from firstspike_hw.accelerator import Accelerator
from firstspike_hw.verilog import verilog
from firstspike_sim.backends.state_elements import public_state, state_elements

TEXT = """module firstspike(clk, out);
  wire \\$1 ;
  reg \\$2 ;
  reg [3:0] a__b = 4'h0;
  reg [7:0] rows [5:0];
  reg [7:0] _0_;
  output [3:0] out;
  always @(posedge clk)
    a__b <= \\$1 ;
  always @* begin
    \\$2  = 0;
    if (a__b <= 4'h3) \\$2  = 1;
  end
  always @(posedge clk) begin
    if (\\$2 )
      rows[a__b][3:0] <= a__b;
  end
  always @(posedge clk) begin
    if (\\$1 ) begin
      _0_ <= rows[a__b];
    end
  end
endmodule

module \\firstspike.core0.weights$1 (clk);
  reg [79:0] \\$4  = 80'h0;
  always @(posedge clk)
    \\$4  <= \\$3 ;
endmodule
"""


def test_registers_and_memories_are_found_and_nothing_else():
    found = [(one.unit, one.name, one.width, one.depth, one.member) for one in state_elements(TEXT)]
    assert found == [
        ("", "a__b", 4, 1, "firstspike__DOT__a___05Fb"), ("", "rows", 8, 6, "firstspike__DOT__rows"),
        ("", "_0_", 8, 1, "firstspike__DOT___0_"),
        ("core0.weights$1", "$4", 80, 1, "firstspike__DOT__core0__DOT__weights__0241__DOT____0244")]


def test_only_comments_are_added():
    public = public_state(TEXT)
    comment = "/*verilator public_flat_rw*/"
    assert public.replace(f" {comment}", "") == TEXT
    assert f"  reg [3:0] a__b {comment} = 4'h0;\n  reg [7:0] rows [5:0] {comment};" in public


@pytest.fixture(scope="module")
def program() -> Program:
    network = fs.NetworkBuilder((1, 5, 5), steps=3, readout="first_spike")
    network.layer([[[[1, 2], [-1, 1]]], [[[2, -1], [1, 1]]]], theta=3, leak=0.75, reset="subtract")
    network.layer([[1, -1] * 16, [-1, 1] * 16, [1] * 32], theta=4)
    return fs.compile(network.build(), lanes=2, register_rows=4).program


def test_of_an_accelerator_all_that_a_clock_changes_is_found(program):
    text = verilog(Accelerator(program), program.memories())
    found = state_elements(text)
    assert len(found) == len({(one.unit, one.name) for one in found}) == text.count("@(posedge clk)")
    for shape in program.memories():
        (one,) = (one for one in found if one.name == shape.name)
        assert (one.depth, one.width) == (shape.depth, shape.width)
    (rows,) = (one for one in found if one.unit == "core0.membranes" and one.depth > 1)
    assert rows.width == 2 * program.cores[0].plan.membrane_bits
