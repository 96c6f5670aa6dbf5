# SPDX-License-Identifier: MIT
"""Weights in a board's SDRAM: what is built and what is refused; and, slow, all that a bitstream of a ULX3S is made of,
with LiteDRAM's controller and a chip that checks every command, behind the driver."""

import re
from dataclasses import replace
from importlib import resources
from unittest.mock import create_autospec

import firstspike as fs
import numpy as np
import pytest
from firstspike.verb_demo import shipped
from firstspike_arch.program import Program
from firstspike_boards import bitstream
from firstspike_boards.bitstream import project_files
from firstspike_boards.board import BoardMemory
from firstspike_boards.board_memory import memory_of, pll_setting
from firstspike_boards.boards import BOARDS
from firstspike_boards.driver import WireBackend
from firstspike_boards.link import Link, LinkError
from firstspike_boards.ulx3s import ULX3S
from firstspike_hw.link.frames import Kind, identity_of, wire_format
from firstspike_hw.sdram.sdram_core import CORE, SdramChip, SdramCore, StartStep
from firstspike_hw.toolchain import find_tool
from firstspike_sim.backends.native_build import NATIVE, build_simulator
from firstspike_sim.boards import verilated_board
from firstspike_sim.boards.simulated_board import SimulatedBoard
from firstspike_sim.models.prediction import predict_inputs
from firstspike_sim.stimulus import make_stimulus
from firstspike_train.data import load

DIVISOR = 8
"""Cycles a bit."""


def program_of(*external: int) -> Program:
    """Two small layers, with the weights of some outside."""
    builder = fs.NetworkBuilder(8, steps=3, readout="spike_count", name="small")
    for inputs, neurons in ((8, 7), (7, 5)):
        builder.layer(np.arange(inputs * neurons).reshape(neurons, inputs) % 9 - 4, theta=8)
    return fs.compile(builder.build(), lanes=4, external=external).program


@pytest.fixture
def generated(monkeypatch):
    """Clocks for which a controller was asked for, in place of LiteDRAM."""
    asked = []

    def generate(chip, clk_hz):
        asked.append(clk_hz)
        return SdramCore(chip=chip, clk_hz=clk_hz, text=f"// for {clk_hz} Hz\n", steps=(StartStep(register=0, data=1),))

    monkeypatch.setattr(bitstream, "generate_core", create_autospec(bitstream.generate_core, side_effect=generate))
    return asked


def test_the_top_joins_accelerator_controller_and_pins(generated):
    program = program_of(0)
    files = project_files(ULX3S, pll_setting(ULX3S, program, None), program, 1_000_000)
    assert generated == [50_000_000] and files[f"{CORE}.v"] == "// for 50000000 Hz\n"
    top = files["top.il"]
    linked, controller = (re.search(rf"  cell \\{name} .*?\n  end", top, re.DOTALL) for name in ("firstspike", CORE))
    assert linked and controller
    wires = dict(re.findall(r"connect \\memory_(\w+) (.*)\n", linked[0]))
    assert set(wires) == {"started"} | {f"{name}_{part}" for name in ("requests", "responses", "writes")
                                        for part in ("valid", "ready", "payload")}
    assert not any(re.match(r"\d+'", wire) for wire in wires.values()) and len({*wires.values()}) == 10  # no constants
    assert "sdram_0__dq__io" in controller[0] and 'LOCATE COMP "sdram_0__dq__io[15]"' in files["top.lpf"]
    assert "core0_weights.hex" in files and files["firstspike.v"].count("$readmemh") == 3


def test_a_board_must_have_a_memory_with_room_and_a_clock_that_it_stands():
    program = program_of(0, 1)
    for name in ("icebreaker", "arty-a7-35t"):
        with pytest.raises(ValueError, match=rf"^{name} must have a memory for the weights of dense0, dense1, which "
                                             r"were compiled for one, but has none that is supported; ulx3s has$"):
            pll_setting(BOARDS[name], program, None)
    chip = SdramChip(module="none", row_bits=2, column_bits=2, bank_bits=1)
    small = replace(ULX3S, memory=BoardMemory(chip=chip, clock_hz=50_000_000))
    with pytest.raises(ValueError, match=r"^weights in the external memory must end within its 64 octets \(the SDRAM "
                                         r"of ulx3s\), but need 240: core0 "):
        memory_of(small, program)
    with pytest.raises(ValueError, match=r"^clock must be ≤ 50 MHz with weights in the SDRAM of ulx3s, whose data "
                                         r"comes back half a period later, not 60 MHz$"):
        pll_setting(ULX3S, program, 60e6)
    assert [pll_setting(ULX3S, program, hz).hz for hz in (None, 25e6)] == [50_000_000, 25_000_000]
    assert pll_setting(ULX3S, program_of(), None).hz == ULX3S.clock_hz


def test_slices_that_were_not_read_are_told_after_a_run():
    program = program_of(0)
    link, faults = create_autospec(Link, instance=True), iter((0xFFFF_FFFE, 3, 3, 3))
    link.identity = link.identify.return_value = identity_of(program, buffer_bytes=1024)
    record = bytes(wire_format(program).record_bytes + 1)
    link.exchange.side_effect = lambda requests, progress=None: [
        bytes(4 * 13) + next(faults).to_bytes(4, "little") if kind == Kind.STATUS else record for kind, _ in requests]
    backend, stimulus = WireBackend(link), make_stimulus(program, np.zeros((1, 3, 8), int))
    backend.load(program)
    with pytest.raises(LinkError, match=r"^the external memory must answer every request of weights, but 5 slices were "
                                        r"not read as they should: the results are not to be trusted$"):
        backend.run(stimulus)
    assert backend.run(stimulus).counters["faults"] == 3  # of before


def whole_board(program: Program, folder) -> str:
    """Verilog of all that is synthesised, its pins at those of a chip: module `board`."""
    setting = pll_setting(ULX3S, program, None)
    files = project_files(ULX3S, setting, program, round(setting.hz / DIVISOR))
    (folder / "top.il").write_text(files["top.il"])
    find_tool("yosys").run(["-q", "-p", "read_rtlil top.il; proc; write_verilog -noattr top.v"], folder=folder)
    models = [resources.files("firstspike_sim.boards").joinpath(name).read_text(encoding="utf-8")
              for name in ("sdram_chip.v", "ecp5_pins.v")]
    pins = {"a": "a", "ba": "ba", "cas": "cas_n", "clk_en": "cke", "cs": "cs_n", "dqm": "dm", "ras": "ras_n",
            "we": "we_n", "dq": "dq"}
    return "\n".join([(folder / "top.v").read_text(), files["firstspike.v"], files[f"{CORE}.v"], *models, f"""
module board(input clk, input rst, input rx, output tx, output busy, output fault);
  wire [12:0] a;
  wire [1:0] ba, dm;
  wire [15:0] dq;
  wire cas_n, chip_clk, cke, cs_n, ras_n, we_n, dropped, started;
  wire [3:0] broken;
  assign fault = broken != 0;
  top fpga(.clk25_0__io(clk), .button_fire_0__io(rst), .uart_0__rx__io(rx), .uart_0__tx__io(tx), .led_0__io(busy),
    .led_1__io(dropped), .led_2__io(started), .sdram_0__clk__io(chip_clk),
    {", ".join(f".sdram_0__{pin}__io({wire})" for pin, wire in pins.items())});
  sdram_chip #(.PS({round(1e12 / setting.hz)})) chip(.clk(chip_clk), .fault(broken),
    {", ".join(f".{wire}({wire})" for wire in pins.values())});
endmodule
"""])


@pytest.mark.slow
def test_a_whole_board_with_its_sdram_equals_golden(tmp_path, monkeypatch):
    network = fs.load(shipped("zoo", "digits_ettfs.safetensors"))
    program = fs.compile(network, lanes=8, external=[0], early_exit=True).program
    sources = {name: (NATIVE / name).read_text() for name in ("uart_board.cpp", "board.h")}
    built = build_simulator(whole_board(program, tmp_path), sources, top="board", optimise=False)
    monkeypatch.setattr(verilated_board, "_simulator", create_autospec(
        verilated_board._simulator.__wrapped__, return_value=built))
    board = SimulatedBoard(program, divisor=DIVISOR, clk_hz=50_000_000)
    try:
        backend = WireBackend(Link(lambda: board, timeout=0.004))
        backend.load(program)
        wanted = predict_inputs(program, load("digits", "test")[0][:20])
        trace = backend.run(wanted.stimulus)
    finally:
        board.close()
    for name in ("classes", "steps", "decided_by", "scores"):
        assert np.array_equal(getattr(trace, name), getattr(wanted.trace, name)), name
    assert len({*trace.classes.tolist()}) > 5 and trace.counters["faults"] == 0
    assert not board.fault  # no rule of the chip was broken
