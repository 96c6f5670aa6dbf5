# SPDX-License-Identifier: MIT
"""Membranes in LUT RAM: what the Verilog says of them, what yosys makes of it, and what the mapping counts."""

import re
from collections import Counter
from dataclasses import replace

import firstspike as fs
import numpy as np
import pytest
from firstspike import mapping
from firstspike_arch.connectivity import Conv2d, Dense
from firstspike_arch.memory import MemoryShape
from firstspike_arch.network import IntegerNetwork, Layer, Neuron
from firstspike_boards.bitstream import project_files
from firstspike_boards.boards import BOARDS
from firstspike_boards.devices import DEVICES
from firstspike_boards.ecp5 import ECP5
from firstspike_boards.gowin import GOWIN
from firstspike_boards.lut_model import core_luts
from firstspike_boards.open_flow import synthesise
from firstspike_boards.xilinx7 import XILINX7
from firstspike_compiler.compile import compile_network
from firstspike_compiler.errors import CompileError
from firstspike_hw.accelerator import Accelerator
from firstspike_hw.row_memory import RowMemory
from firstspike_hw.toolchain import ToolError
from firstspike_hw.verilog import TOP, memories_of, verilog


def direct() -> IntegerNetwork:
    """13 × 12 numbers → 3 channels, with currents, of 132 positions → 4 classes."""
    random, layers = np.random.default_rng(4), []
    for synapses, theta in ((Conv2d(in_shape=(1, 13, 12), channels=3, kernel=(3, 2)), 60),
                            (Dense(in_shape=(3, 11, 11), neurons=4), 30)):
        layers.append(Layer(
            name=f"layer{len(layers)}", weights=random.integers(-3, 5, synapses.weight_shape), weight_bits=4,
            connectivity=synapses, neuron=Neuron(
                bias=np.zeros(synapses.channels, int), theta=np.full(synapses.channels, theta),
                v_init=np.zeros(synapses.channels, int))))
    return IntegerNetwork(name="direct", layers=tuple(layers), readout="spike_count", steps=3, steps_max=3,
                          input_kind="direct", in_min=0, in_max=15)


STORES = {(False, False): [], (True, False): ["membranes"], (False, True): ["currents"],
          (True, True): ["currents", "membranes"]}


@pytest.mark.parametrize(("wanted", "stores"), STORES.items())
def test_the_verilog_marks_the_memories_that_are_wanted(wanted, stores):
    program = compile_network(direct(), lanes=[3, 4], lut_ram=[wanted, False]).program
    text = verilog(Accelerator(program), program.memories())
    modules = re.findall(r'^module \\firstspike\.core0\.(\w+) [^;]*;(?:(?!^endmodule).)*?ram_style = "distributed"',
                         text, re.MULTILINE | re.DOTALL)
    assert sorted(modules) == stores and text.count("ram_style") == len(stores)
    assert sum(memory.lut_ram for memory in memories_of(text)) == len(stores)
    assert sorted(memory.name for memory in program.cores[0].memories if memory.lut_ram) == [
        f"core0_{store}" for store in stores]


def test_what_is_in_lut_ram_is_counted_in_luts_and_not_in_blocks():
    device = DEVICES["artix-100t"]
    plain, moved = (compile_network(direct(), lanes=[3, 4], lut_ram=lut_ram).program.cores[0]
                    for lut_ram in (False, True))
    assert [device.blocks_of(memory) for memory in plain.memories if memory.name.endswith(("anes", "ents"))] == [1, 1]
    assert device.blocks_of_all(moved.memories) == device.blocks_of_all(plain.memories) - 2
    assert DEVICES["ice40-up5k"].blocks_of_all(moved.memories) == DEVICES["ice40-up5k"].blocks_of_all(plain.memories)
    for inputs, least in ((4, 8), (6, 2)):
        bits = 3 * (moved.plan.membrane_bits + moved.plan.current_bits)
        assert core_luts(moved, inputs) > core_luts(plain, inputs) + least * bits
    assert moved.plan.current_bits < moved.plan.membrane_bits


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "bits"), [
    (32, 40), (38, 28), (38, 32), (38, 56), (38, 64), (64, 20), (64, 36), (65, 36)])
@pytest.mark.parametrize(("family", "device"), [(XILINX7, "artix-100t"), (ECP5, "ecp5-85"), (GOWIN, "gw1n-9")])
def test_yosys_takes_as_many_block_rams_for_few_rows_as_are_counted(family, device, rows, bits, tmp_path):
    """Where LUT RAM would be as dear as a block, it takes the block, on families with cells of 16 × 4 bits."""
    netlist = synthesise(family.synthesis, {"design.v": verilog(RowMemory(rows=rows, width=bits, registers=False), ())},
                         tmp_path, top=TOP)
    (module,) = (one for one in netlist["modules"].values() if int(one["attributes"].get("top", "0"), 2))
    found = Counter(part["type"] for part in module["cells"].values())
    blocks = sum(found[cell] for cell in ("RAMB18E1", "DP16KD", "SDPX9B", "SDPB")) + 2 * found["RAMB36E1"]
    assert blocks == DEVICES[device].blocks_of(MemoryShape(name="m", depth=rows, used_bits=bits)), found


@pytest.mark.slow
@pytest.mark.parametrize(("family", "inputs", "cells"), [(XILINX7, 6, ("RAM32M", "RAM64M")),
                                                         (ECP5, 4, ("TRELLIS_DPR16X4",))])
def test_yosys_makes_lut_ram_of_about_as_many_luts_as_are_counted(family, inputs, cells, tmp_path):
    core = compile_network(direct(), lanes=[3, 4], lut_ram=[(True, False), False]).program.cores[0]
    (shape,) = (memory for memory in core.memories if memory.lut_ram)
    text = verilog(RowMemory(rows=shape.depth, width=shape.used_bits, registers=False, lut_ram=True), ())
    netlist = synthesise(family.synthesis, {"design.v": text}, tmp_path, top=TOP)
    (module,) = (one for one in netlist["modules"].values() if int(one["attributes"].get("top", "0"), 2))
    found = Counter(part["type"] for part in module["cells"].values())
    rams = sum(found[cell] for cell in cells)
    assert rams and not any(name.startswith(("RAMB", "DP16K")) for name in found)
    luts = 4 * rams + sum(number for name, number in found.items() if name.startswith("LUT"))
    counted = [core_luts(replace(core, plan=replace(core.plan, options=replace(core.plan.options, lut_ram=lut_ram))),
                         inputs) for lut_ram in ((True, False), (False, False))]
    assert shape.depth == 121 and counted[0] - counted[1] == pytest.approx(luts, rel=0.15)


INPUTS = np.random.default_rng(3).integers(0, 16, (8, 156)).astype(np.uint8)


def test_a_mapping_takes_it_where_block_ram_is_short(monkeypatch):
    def found(blocks, lut_depth=64, **options):
        device = replace(DEVICES["artix-100t"], name="small", blocks=blocks, lut_depth=lut_depth)
        monkeypatch.setitem(mapping.DEVICES, "small", device)
        return fs.map_to_device(direct(), INPUTS, device="small", lane_budget=4, **options)

    def in_lut_ram(one) -> bool:
        return any(any(options.lut_ram) for options in one.compilation.program.config.layers)

    plain = found(270, lut_ram=False)
    fewer = plain.blocks - 2
    short = found(fewer)
    assert in_lut_ram(short) and not in_lut_ram(plain) and short.blocks <= fewer
    assert short.luts > plain.luts and short.interval <= plain.interval  # rows in LUT RAM are near the lanes
    assert "in LUT RAM" in short.compilation.report()
    without = found(fewer, lut_ram=False)
    assert not in_lut_ram(without) and without.interval > short.interval
    with pytest.raises(CompileError, match=rf"^direct must fit the {fewer} block RAMs of small, "):
        found(fewer, lut_depth=0)


def test_a_device_without_it_refuses_it():
    sentence = r"^lut_ram must be off: ice40-up5k has no LUT RAM$"
    with pytest.raises(CompileError, match=sentence):
        fs.map_to_device(direct(), INPUTS, device="ice40-up5k", lane_budget=9, lut_ram=True)
    board = BOARDS["icebreaker"]
    setting = board.family.pll.fastest(board.input_hz, board.clock_hz)
    with pytest.raises(ToolError, match=sentence):
        project_files(board, setting, compile_network(direct(), lanes=1, lut_ram=True).program, board.baud)


@pytest.mark.parametrize("wanted", [5, "yes", [True], [True, (False, 1)]])
def test_a_wrong_option_is_one_sentence(wanted):
    with pytest.raises(CompileError, match=r"^lut_ram must be true or false, or that, or a pair of that, for each of "
                                           rf"the 2 layers, not {re.escape(repr(wanted))}$"):
        compile_network(direct(), lanes=1, lut_ram=wanted)
