# SPDX-License-Identifier: MIT
"""Gate level: what yosys makes of an accelerator for each family does, cycle by cycle, what golden and timing model
predict; and a fault in one LUT is noticed."""

import re
import subprocess
from copy import deepcopy
from importlib.resources import files
from itertools import product

import firstspike as fs
import numpy as np
import pytest
from firstspike.verb_demo import shipped
from firstspike_arch.program import Program
from firstspike_boards import gates
from firstspike_boards.gates import GATES, cell_models_of, gates_of, netlist_verilog, synthesise_accelerator
from firstspike_hw.accelerator import Accelerator
from firstspike_hw.toolchain import ToolError
from firstspike_hw.verilog import verilog
from firstspike_sim.backends.native_build import build_simulator
from firstspike_train.data import load

ADDER = {"attributes": {"top": "1"}, "ports": {}, "netnames": {}, "cells": {"one": {"type": "CCU2C"}}}


def digits() -> Program:
    network = fs.load(shipped("zoo", "digits_ettfs.safetensors"))
    return fs.compile(network, lanes=8, early_exit=True, winner="scan", register_rows=2).program


def convolution() -> Program:
    """Events on 6 × 6, a convolution of 4 channels, and 3 classes."""
    random = np.random.default_rng(5)
    builder = fs.NetworkBuilder((1, 6, 6), steps=4, readout="potential")
    builder.layer(random.integers(-3, 4, (4, 1, 3, 3)), theta=4, reset="subtract")
    builder.layer(random.integers(-3, 4, (3, 64)))
    return fs.compile(builder.build(), lanes=2).program


def text_of(program: Program) -> str:
    return verilog(Accelerator(program), program.memories())


def inverted(netlist: dict, unit: str) -> dict:
    """The netlist with the function of one LUT that drives a net of a unit inverted."""
    changed = deepcopy(netlist)
    (top,) = (module for module in changed["modules"].values() if int(module["attributes"].get("top", "0"), 2))
    nets = {bit for name, net in top["netnames"].items() if name.startswith(f"{unit}.") for bit in net["bits"]}
    lut = next(cell["parameters"] for cell in top["cells"].values() if re.fullmatch("SB_LUT4|LUT[4-6]", cell["type"])
               and not nets.isdisjoint(cell["connections"].get("O") or cell["connections"]["Z"]))
    key = "LUT_INIT" if "LUT_INIT" in lut else "INIT"
    lut[key] = lut[key].translate(str.maketrans("01", "10"))
    return changed


@pytest.mark.slow
@pytest.mark.parametrize("family", GATES)
def test_the_gates_of_the_digits_network_equal_the_models_on_50_digits_and_a_fault_does_not(family):
    program, images = digits(), load("digits", "test")[0][:50]
    models = cell_models_of(family)
    netlist = synthesise_accelerator(program, text_of(program), models.family)
    outcome = fs.verify(program, images, verilog=netlist_verilog(netlist, models), optimise=False)
    assert outcome.equal and all(check.compared for check in outcome.checks)
    faulty = netlist_verilog(inverted(netlist, "core0.control"), models)
    try:
        assert not fs.verify(program, images[:5], verilog=faulty, optimise=False).equal
    except ToolError as error:  # it stands still
        assert "no end within" in str(error)


@pytest.mark.slow
@pytest.mark.parametrize("family", GATES)
def test_the_gates_of_a_convolution_equal_the_models(family):
    program = convolution()
    spikes = np.random.default_rng(6).random((5, 4, 36)) < 0.3
    found = gates_of(program, text_of(program), family)
    assert sum(found.cells.values()) > 100
    assert fs.verify(program, spikes.astype(np.uint8), verilog=found.text, optimise=False).equal


def direct() -> Program:
    """Pixels of 8 bits on 6 × 6, which the first layer multiplies by its weights, and 3 classes."""
    random = np.random.default_rng(8)
    builder = fs.NetworkBuilder((1, 6, 6), steps=2, readout="potential", input_kind="direct", in_max=255)
    builder.layer(random.integers(-30, 31, (4, 1, 3, 3)), theta=1500, reset="subtract")
    builder.layer(random.integers(-3, 4, (3, 64)))
    return fs.compile(builder.build(), lanes=2).program


@pytest.mark.slow
@pytest.mark.parametrize(("family", "multiplier"), [("ecp5", "MULT18X18D"), ("xilinx", "DSP48E1")])
def test_the_gates_of_multiplied_pixels_equal_the_models(family, multiplier):
    program = direct()
    pixels = np.random.default_rng(6).integers(0, 256, (5, 36)).astype(np.uint8)
    found = gates_of(program, text_of(program), family)
    assert found.cells[multiplier] == 2
    assert fs.verify(program, pixels, verilog=found.text, optimise=False).equal


def test_the_model_of_a_multiplier_multiplies():
    """Signed and unsigned factors, the extremes among them."""
    model = (files("firstspike_boards") / "cell_models" / "mult18x18d.v").read_text()
    pins = [f".{pin}{bit}({pin.lower()}[{bit}])" for pin, width in (("A", 18), ("B", 18), ("P", 36))
            for bit in range(width)]
    top = f"""
module top(input [17:0] a, b, input signed_a, signed_b, output [35:0] p);
  MULT18X18D one({", ".join(pins)}, .SIGNEDA(signed_a), .SIGNEDB(signed_b));
endmodule
"""
    main = """
#include "Vfirstspike.h"
#include <cstdio>
int main() {
    Vfirstspike top;
    unsigned a, b, signed_a, signed_b;
    while (std::scanf("%u %u %u %u", &a, &b, &signed_a, &signed_b) == 4) {
        top.a = a; top.b = b; top.signed_a = signed_a; top.signed_b = signed_b;
        top.eval();
        std::printf("%llu\\n", static_cast<unsigned long long>(top.p));
    }
}
"""
    words = [0, 1, (1 << 17) - 1, 1 << 17, (1 << 17) + 1, (1 << 18) - 1, 98765]
    cases = list(product(words, words, (0, 1), (0, 1)))
    simulator = build_simulator(model + top, {"main.cpp": main}, top="top", optimise=False)
    done = subprocess.run(simulator.command, input="\n".join(" ".join(map(str, case)) for case in cases), text=True,
                          capture_output=True, check=True)
    wanted = [(a - (signed_a * (a >> 17) << 18)) * (b - (signed_b * (b >> 17) << 18)) % (1 << 36)
              for a, b, signed_a, signed_b in cases]
    assert [int(line) for line in done.stdout.split()] == wanted


def test_a_multiplier_with_registers_has_no_model():
    model = (files("firstspike_boards") / "cell_models" / "mult18x18d.v").read_text()
    top = 'module top(output p);\n  MULT18X18D #(.REG_OUTPUT_CLK("CLK0")) one(.P0(p));\nendmodule\n'
    with pytest.raises(ToolError, match="MULT18X18D_without_registers_or_bypass"):
        build_simulator(model + top, {"main.cpp": "int main() {}"}, top="top", optimise=False)


@pytest.mark.slow
def test_output_registers_of_block_rams_are_in_the_netlist_that_is_simulated():
    program = digits()
    netlist = synthesise_accelerator(program, text_of(program), GATES["ecp5"].family)
    (top,) = (module for module in netlist["modules"].values() if int(module["attributes"].get("top", "0"), 2))
    modes = [cell["parameters"]["REGMODE_B"] for cell in top["cells"].values() if cell["type"] == "DP16KD"]
    assert modes and set(modes) == {"OUTREG"}


def test_another_family_is_refused():
    with pytest.raises(ValueError, match=r"^gates must be those of ecp5, ice40, xilinx, not 'gowin'$"):
        cell_models_of("gowin")


def test_a_cell_without_a_model_is_named(monkeypatch):
    monkeypatch.setattr(gates, "_library", lambda name: "module LUT4(input A);\nendmodule\n")
    with pytest.raises(ValueError, match=r"^gates of ECP5 must be cells that have a model, not CCU2C$"):
        netlist_verilog({"modules": {"top": ADDER}}, GATES["ecp5"])


def test_our_models_replace_those_of_yosys():
    library = "module A;\nendmodule\n(* blackbox *)\nmodule B(\n  input x);\nendmodule\nmodule C;\nendmodule\n"
    assert gates._without(library, ("B",)) == "module A;\nendmodule\nmodule C;\nendmodule\n"
