# SPDX-License-Identifier: MIT
"""Output registers of block RAM, also behind multiplexers, and LUTs before adders: absorbed where that changes nothing,
else left alone."""

from collections import Counter
from copy import deepcopy
from itertools import product
from random import Random

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from firstspike_boards.ecp5 import ECP5
from firstspike_boards.ecp5_netlist import (
    absorb_adder_inputs,
    absorb_output_registers,
    retime_block_multiplexers,
)
from firstspike_boards.open_flow import synthesise
from firstspike_hw.row_memory import RowMemory
from firstspike_hw.verilog import verilog
from firstspike_hw.verilog_files import TOP

CLOCK, ENABLE = 2, 3


def netlist(bits: int = 2) -> dict:
    """A block RAM whose port B is read through a flip-flop a bit; nets 10… before, 20… behind them."""
    ram = {
        "type": "DP16KD", "parameters": {"REGMODE_A": "NOREG", "REGMODE_B": "NOREG"},
        "port_directions": {"CLKA": "input", "CLKB": "input", "OCEA": "input", "OCEB": "input"},
        "connections": {"CLKA": [CLOCK], "CLKB": [CLOCK], "OCEA": ["1"], "OCEB": ["1"]},
    }
    cells = {"ram": ram}
    for bit in range(18):
        for side in "AB":
            ram["port_directions"][f"DO{side}{bit}"] = "output"
            ram["connections"][f"DO{side}{bit}"] = [100 * (side == "A") + 10 + bit]
    for bit in range(bits):
        cells[f"ff{bit}"] = {
            "type": "TRELLIS_FF",
            "parameters": {"CEMUX": "CE", "CLKMUX": "CLK", "GSR": "DISABLED", "LSRMUX": "LSR", "REGSET": "RESET"},
            "port_directions": {"CE": "input", "CLK": "input", "DI": "input", "LSR": "input", "Q": "output"},
            "connections": {"CE": [ENABLE], "CLK": [CLOCK], "DI": [10 + bit], "LSR": ["0"], "Q": [40 + bit]},
        }
    ports = {"out": {"direction": "output", "bits": [40 + bit for bit in range(bits)]}}
    return {"modules": {"top": {"ports": ports, "cells": cells}}}


def test_the_register_takes_over_nets_and_clock_enable():
    design = netlist()
    assert absorb_output_registers(design) == 1
    cells = design["modules"]["top"]["cells"]
    assert list(cells) == ["ram"]
    assert cells["ram"]["parameters"] == {"REGMODE_A": "NOREG", "REGMODE_B": "OUTREG"}
    assert cells["ram"]["connections"]["DOB0"] == [40] and cells["ram"]["connections"]["DOB1"] == [41]
    assert cells["ram"]["connections"]["OCEB"] == [ENABLE]


def test_a_register_without_clock_enable_always_moves():
    design = netlist(1)
    design["modules"]["top"]["cells"]["ff0"]["parameters"]["CEMUX"] = "1 "  # as yosys writes it
    assert absorb_output_registers(design) == 1
    assert design["modules"]["top"]["cells"]["ram"]["connections"]["OCEB"] == ["1"]


def wide(cells, ports):
    """A word of 36 bits, whose lower half is at the outputs of port A."""
    cells["ram"]["parameters"]["DATA_WIDTH_B"] = f"{36:032b}"


def test_a_wide_word_has_both_registers_under_one_enable():
    design = netlist()
    module = design["modules"]["top"]
    wide(module["cells"], module["ports"])
    assert absorb_output_registers(design) == 1
    ram = module["cells"]["ram"]
    assert {ram["parameters"][f"REGMODE_{side}"] for side in "AB"} == {"OUTREG"}
    assert {tuple(ram["connections"][f"OCE{side}"]) for side in "AB"} == {(ENABLE,)}


def half_of_a_wide_word(cells, ports):
    wide(cells, ports)
    ports["spy"] = {"direction": "output", "bits": [110]}


def reset_of_the_block_ram(cells, ports):
    cells["ram"]["connections"]["RSTB"] = [6]
    cells["ram"]["port_directions"]["RSTB"] = "input"


def other_reader(cells, ports):
    ports["spy"] = {"direction": "output", "bits": [10]}


def without_register(cells, ports):
    del cells["ff1"]
    ports["out"]["bits"] = [40, 11]


def other_enable(cells, ports):
    cells["ff1"]["connections"]["CE"] = [4]


def other_clock(cells, ports):
    for name in ("ff0", "ff1"):
        cells[name]["connections"]["CLK"] = [5]


def with_reset(cells, ports):
    cells["ff1"]["connections"]["LSR"] = [6]


def starts_at_one(cells, ports):
    cells["ff0"]["parameters"]["REGSET"] = "SET"


def inverted_clock(cells, ports):
    cells["ff0"]["parameters"]["CLKMUX"] = "INV"


@pytest.mark.parametrize(
    "change", [other_reader, without_register, other_enable, other_clock, with_reset, starts_at_one, inverted_clock,
               half_of_a_wide_word, reset_of_the_block_ram],
)
def test_anything_else_is_left_as_it_is(change):
    design = netlist()
    module = design["modules"]["top"]
    change(module["cells"], module["ports"])
    names = set(module["cells"])
    assert absorb_output_registers(design) == 0
    assert set(module["cells"]) == names and module["cells"]["ram"]["parameters"]["REGMODE_B"] == "NOREG"


def adder(function: str = "ternary") -> dict:
    """Half of an adder of nets 10 and 20, where a LUT of nets 21, 22 and 23 drives net 20."""
    init = {"ternary": 0xCACA, "leak": 0xAEAE, "gated": 0xA0A0}[function]
    cells = {
        "sum": {
            "type": "CCU2C", "parameters": {f"{name}{half}": value for half in "01"
                           for name, value in (("INIT", f"{0x96AA:016b}"), ("INJECT1_", "NO"))},
            "port_directions": {**{f"{pin}{half}": "input" for pin in "ABCD" for half in "01"}, "S0": "output"},
            "connections": {"A0": [10], "B0": [20], "C0": ["0"], "D0": ["1"],
                            "A1": ["0"], "B1": ["0"], "C1": ["0"], "D1": ["1"], "S0": [30]},
        },
        "lut": {
            "type": "LUT4", "parameters": {"INIT": f"{init:016b}"},
            "port_directions": {**dict.fromkeys("ABCD", "input"), "Z": "output"},
            "connections": {"A": [21], "B": [22], "C": [23], "D": ["0"], "Z": [20]},
        },
    }
    return {"modules": {"top": {"ports": {"out": {"direction": "output", "bits": [30]}}, "cells": cells}}}


def lut(init: str, inputs: list[int]) -> int:
    return int(init, 2) >> sum(bit << place for place, bit in enumerate(inputs)) & 1


def sums(design: dict) -> list[tuple[int, int]]:
    """Sum and carry of the half for all values of its nets.

    Ref: yosys, techlibs/lattice/ccu2c_sim.vh: the carry is made by the LUT of A and B with C = D = 0.
    """
    cells, found = design["modules"]["top"]["cells"], []
    for values in product((0, 1), repeat=5):
        nets = {**dict(zip((10, 21, 22, 23, "carry"), values, strict=True)), "0": 0, "1": 1}
        if "lut" in cells:
            pins = [nets[cells["lut"]["connections"][pin][0]] for pin in "ABCD"]
            nets[20] = lut(cells["lut"]["parameters"]["INIT"], pins)
        pins = [nets[cells["sum"]["connections"][f"{pin}0"][0]] for pin in "ABCD"]
        init = cells["sum"]["parameters"]["INIT0"]
        differs, makes = lut(init, pins), lut(init, [*pins[:2], 0, 0])
        found.append((differs ^ nets["carry"], nets["carry"] if differs else makes))
    return found


@pytest.mark.parametrize("function", ["ternary", "leak", "gated"])
@pytest.mark.parametrize("swapped", [False, True])
def test_an_adder_takes_over_the_lut_before_it(function, swapped):
    design = adder(function)
    if swapped:
        pins = design["modules"]["top"]["cells"]["sum"]["connections"]
        pins["A0"], pins["B0"] = pins["B0"], pins["A0"]
    wanted = sums(design)
    assert absorb_adder_inputs(design) == 1
    assert list(design["modules"]["top"]["cells"]) == ["sum"] and sums(design) == wanted


def other_sum(cells, ports):
    ports["spy"] = {"direction": "output", "bits": [20]}


def other_function(cells, ports):
    cells["sum"]["parameters"]["INIT0"] = f"{0x66AA:016b}"


def not_carried(cells, ports):
    cells["sum"]["parameters"]["INJECT1_0"] = "YES"


def four_inputs(cells, ports):
    cells["lut"]["connections"]["D"] = [24]


def both_summands(cells, ports):
    cells["sum"]["connections"]["A0"] = [20]


def never_zero(cells, ports):
    cells["lut"]["parameters"]["INIT"] = f"{0x0101:016b}"


@pytest.mark.parametrize("change", [
    other_sum, other_function, not_carried, four_inputs, both_summands, never_zero,
])
def test_a_lut_that_an_adder_cannot_replace_stays(change):
    design = adder()
    change(design["modules"]["top"]["cells"], design["modules"]["top"]["ports"])
    before = deepcopy(design)
    assert absorb_adder_inputs(design) == 0 and design == before


def deep_memory(bits: int = 2) -> dict:
    """Two block RAMs, whose outputs 10… and 110… a flip-flop chooses by net 7 in front of the flip-flops for 40…."""
    cells = {}
    for number in range(2):
        pins = {f"DOB{bit}": [100 * number + 10 + bit] for bit in range(18)} | {
            "CLKA": [CLOCK], "CLKB": [CLOCK], "OCEA": ["1"], "OCEB": ["1"]}
        cells[f"ram{number}"] = {
            "type": "DP16KD", "parameters": {"REGMODE_A": "NOREG", "REGMODE_B": "NOREG"}, "connections": pins,
            "port_directions": {pin: "output" if pin.startswith("DO") else "input" for pin in pins}}

    def flip_flop(source: int, target: int) -> dict:
        return {"type": "TRELLIS_FF",
                "parameters": {"CEMUX": "CE", "CLKMUX": "CLK", "GSR": "DISABLED", "LSRMUX": "LSR", "REGSET": "RESET"},
                "port_directions": {"CE": "input", "CLK": "input", "DI": "input", "LSR": "input", "Q": "output"},
                "connections": {"CE": [ENABLE], "CLK": [CLOCK], "DI": [source], "LSR": ["0"], "Q": [target]}}

    cells["select"] = flip_flop(6, 7)
    for bit in range(bits):
        cells[f"choice{bit}"] = {
            "type": "LUT4", "parameters": {"INIT": f"{0xCACA:016b}"},
            "port_directions": {**dict.fromkeys("ABCD", "input"), "Z": "output"},
            "connections": {"A": [10 + bit], "B": [110 + bit], "C": [7], "D": ["0"], "Z": [30 + bit]}}
        cells[f"ff{bit}"] = flip_flop(30 + bit, 40 + bit)
    ports = {"out": {"direction": "output", "bits": [40 + bit for bit in range(bits)]}}
    return {"modules": {"top": {"ports": ports, "cells": cells}}}


def outputs(design: dict, seed: int) -> list[int]:
    """What the outputs are in each cycle while the outputs of the block RAMs, net 6 and the enable are random."""
    cells, random = design["modules"]["top"]["cells"], Random(seed)
    nets, seen = Counter(), []
    held = Counter()  # by output net: what flip-flops and output registers hold
    for _ in range(200):
        fresh = {net: random.randrange(2) for net in (6, ENABLE, *range(10, 12), *range(110, 112))}
        if not seen:
            fresh |= dict.fromkeys([*range(10, 12), *range(110, 112)], 0)  # nothing is read yet
        registers = {}
        for name, cell in cells.items():
            pins = cell["connections"]
            if cell["type"] == "TRELLIS_FF":
                registers[pins["Q"][0]] = pins["DI"][0], pins["CE"][0]
            if cell["type"] == "DP16KD" and cell["parameters"]["REGMODE_B"] == "OUTREG":
                number = int(name[3:])
                registers |= {pins[f"DOB{bit}"][0]: (100 * number + 10 + bit, pins["OCEB"][0]) for bit in range(2)}
        nets = Counter({"1": 1}) | Counter(fresh) | held
        for cell in cells.values():
            if cell["type"] == "LUT4":
                pins = cell["connections"]
                nets[pins["Z"][0]] = lut(cell["parameters"]["INIT"], [nets[pins[pin][0]] for pin in "ABCD"])
        seen.append(nets[40] + 2 * nets[41])
        held = Counter({net: nets[source if nets[enable] else net] for net, (source, enable) in registers.items()})
    return seen


def test_flip_flops_go_to_the_block_rams_before_a_multiplexer():
    design, before = deep_memory(), deep_memory()
    assert retime_block_multiplexers(design) == 2 and absorb_output_registers(design) == 2
    cells = design["modules"]["top"]["cells"]
    assert sum(cell["type"] == "TRELLIS_FF" for cell in cells.values()) == 2  # the select, and what it was
    assert {cells[f"ram{number}"]["parameters"]["REGMODE_B"] for number in range(2)} == {"OUTREG"}
    assert [outputs(design, seed) for seed in range(5)] == [outputs(before, seed) for seed in range(5)]


def read_twice(cells, ports):
    ports["spy"] = {"direction": "output", "bits": [10]}


def chosen_twice(cells, ports):
    ports["spy"] = {"direction": "output", "bits": [30]}


def chosen_by_an_input(cells, ports):
    del cells["select"]


def one_moves_later(cells, ports):
    cells["ff1"]["connections"]["CE"] = [4]


def one_at_power_up(cells, ports):
    cells["choice0"]["parameters"]["INIT"] = f"{0xCACB:016b}"


@pytest.mark.parametrize("change", [read_twice, chosen_twice, chosen_by_an_input, one_moves_later, one_at_power_up])
def test_other_flip_flops_behind_block_rams_stay(change):
    design = deep_memory()
    change(design["modules"]["top"]["cells"], design["modules"]["top"]["ports"])
    before = deepcopy(design)
    assert retime_block_multiplexers(design) == 0 and design == before


class Unpeeked(wiring.Component):
    """Rows that are used where they are replaced, alone."""

    def __init__(self, rows: RowMemory):
        self._rows = rows
        super().__init__({name: member for name, member in rows.signature.members.items() if name != "peek"})

    def elaborate(self, platform):
        m = Module()
        m.submodules.rows = self._rows
        for name, member in self.signature.members.items():
            outside, inside = getattr(self, name), getattr(self._rows, name)
            m.d.comb += inside.eq(outside) if member.flow == wiring.In else outside.eq(inside)
        return m


@pytest.mark.slow
@pytest.mark.parametrize("forwards", [False, True])
def test_yosys_adds_nothing_between_rows_and_their_register(forwards, tmp_path):
    """Neither what is forwarded nor a read of the row that is written comes in between."""
    text = verilog(Unpeeked(RowMemory(rows=600, width=18, registers=False, forwards=forwards)), ())
    found = synthesise(ECP5.synthesis, {"design.v": text}, tmp_path, top=TOP)
    assert absorb_output_registers(found) == 1
    (module,) = (one for one in found["modules"].values() if int(one["attributes"].get("top", "0"), 2))
    cells = Counter(cell["type"] for cell in module["cells"].values())
    registers = 2 * 18 + 10 + 4  # twice what is written, the row behind that fetched, and what is compared
    assert cells["DP16KD"] == 1 and cells["TRELLIS_FF"] == forwards * registers
