# SPDX-License-Identifier: MIT
"""Output registers of block RAM: absorbed where that changes nothing, left alone where it would."""

import pytest
from firstspike_boards.ecp5_netlist import absorb_output_registers

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
    "change", [other_reader, without_register, other_enable, other_clock, with_reset, starts_at_one, inverted_clock],
)
def test_anything_else_is_left_as_it_is(change):
    design = netlist()
    module = design["modules"]["top"]
    change(module["cells"], module["ports"])
    names = set(module["cells"])
    assert absorb_output_registers(design) == 0
    assert set(module["cells"]) == names and module["cells"]["ram"]["parameters"]["REGMODE_B"] == "NOREG"
