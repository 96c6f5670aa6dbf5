# SPDX-License-Identifier: MIT
"""Projects of every board; and the way to a bitstream, its tools replaced by those of `fake_tools`.

With the real tools: `test_real_tools`.
"""

import json
import os
import platform
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from firstspike_arch.network import IntegerNetwork, Layer, Neuron
from firstspike_arch.program import Program
from firstspike_boards.bitstream import (
    PROGRAM_FILE,
    REPORT,
    block_rams,
    build_bitstream,
    project_files,
    write_project,
)
from firstspike_boards.board_top import BoardTop
from firstspike_boards.boards import BOARDS
from firstspike_boards.ice40 import ICE40
from firstspike_boards.icebreaker import ICEBREAKER
from firstspike_boards.memory_patch import find_memories
from firstspike_boards.open_flow import delay_by_unit
from firstspike_boards.rebuild import rebuild
from firstspike_compiler.compile import compile_network
from firstspike_hw.link.linked_accelerator import linked_memories
from firstspike_hw.toolchain import ToolError

HERE = Path(__file__).parent


def program(seed: int = 1, **options) -> Program:
    """12 inputs, 6 neurons, 3 classes. Another seed shuffles each neuron's weights: nothing but the images changes."""
    fixed, random = np.random.default_rng(0), np.random.default_rng(seed)
    layers = []
    for name, inputs, neurons in (("hidden", 12, 6), ("output", 6, 3)):
        weights = random.permuted(fixed.integers(-7, 8, (neurons, inputs)), axis=1)
        layers.append(Layer(name=name, weights=weights, weight_bits=4, neuron=Neuron(
            bias=np.zeros(neurons, int), theta=np.full(neurons, 9), v_init=np.zeros(neurons, int), single_spike=True)))
    network = IntegerNetwork(name="small", layers=tuple(layers), readout="first_spike", steps=4, steps_max=4)
    return compile_network(network, lanes=3, register_rows=2, **options).program


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """``tools(FMAX, icepack="copy", …)``: stand-ins, reaching these MHz by seed; what reads the log of placements."""
    log = tmp_path / "log"
    log.write_text("")

    def use(fmax: str, **other: str):
        monkeypatch.setenv("FAKE_FMAX", fmax)
        monkeypatch.setenv("FAKE_LOG", str(log))
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        monkeypatch.setenv("AMARANTH_USE_YOSYS", "builtin")  # Verilog is written for real
        command = shlex.join([sys.executable, str(HERE / "fake_tools.py")])
        for tool, action in {"yosys": "yosys", "nextpnr-ice40": "nextpnr", "icepack": "copy", "iceunpack": "copy",
                             **other}.items():
            monkeypatch.delenv(tool.upper().replace("-", "_"), raising=False)
            (tmp_path / tool).write_text(f'#!/bin/sh\nexec {command} {tool} {action} "$@"\n')
            (tmp_path / tool).chmod(0o755)
        return lambda: log.read_text().splitlines()

    return use


WITH_SPI = [board.with_transport("spi") for name, board in BOARDS.items() if name != "tangnano9k"]


@pytest.mark.parametrize("board", [*BOARDS.values(), *WITH_SPI], ids=lambda board: f"{board.name}-{board.transport}")
def test_the_top_of_a_board(board):
    platform = board.platform()
    platform.add_resources(board.resources)
    setting = board.family.pll.fastest(board.input_hz, board.clock_hz)
    files = platform.prepare(BoardTop(board, setting), "top", debug_verilog=False, emit_src=False).files
    constraints = next(text for name, text in files.items() if name.endswith((".pcf", ".lpf", ".cst", ".xdc")))
    pins = set(re.findall(r"(\w+_\d+(?:__\w+)?__io)", constraints))
    lights = {"__".join([f"{name}_{number}", *part, "io"]) for name, number, *part in board.leds[:3]}
    wires = {"host_spi_0__cs__io", "host_spi_0__clk__io", "host_spi_0__copi__io", "host_spi_0__cipo__io"}
    wires = wires if board.transport == "spi" else {"uart_0__rx__io", "uart_0__tx__io"}
    assert pins == lights | wires | {f"{platform.default_clk}_0__io",
                             f"{board.reset[0]}_{board.reset[1]}__io"}
    top = files.get("top.il") or files["top.v"]
    primitive = {"iCE40": "SB_PLL40_PAD", "ECP5": "EHXPLLL", "GW1N": "rPLL", "7 series": "PLLE2_BASE"}
    assert primitive[board.family.name] in top and re.search(r"\\?firstspike ", top)


def test_a_project_holds_placeholders_or_the_images():
    image = program().images()["core0_weights"]
    with_spi = ICEBREAKER.with_transport("spi")
    for board, exchanged in ((ICEBREAKER, True), (BOARDS["arty-z7-20"], False), (with_spi, True)):
        setting = board.family.pll.fastest(board.input_hz, board.clock_hz)
        files = project_files(board, setting, program(), board.baud)
        assert files["firstspike.v"].count("$readmemh") == 3
        words = [int(line, 16) for line in files["core0_weights.hex"].split()]
        assert (words[:len(image)] != image) == exchanged


@pytest.mark.parametrize("board, large", [
    ("icebreaker", 1), *(pytest.param(board, 0, marks=pytest.mark.slow) for board in ("orangecrab", "arty-z7-20"))])
def test_weights_that_a_host_loads_have_no_image(board, large):
    chosen, one = BOARDS[board], program(single_port=[0])
    setting = chosen.family.pll.fastest(chosen.input_hz, chosen.clock_hz)
    files = project_files(chosen, setting, one, chosen.baud)
    assert files["firstspike.v"].count("$readmemh") == 2 and "core0_weights.hex" not in files
    huge = re.findall(r'ram_style = "huge" \*\)\n  reg \[31:0\] (\w+)', files["firstspike.v"])
    assert huge == ["core0_weights"] * large
    assert [shape.name for shape in linked_memories(one)] == ["identity", "core1_weights"]
    assert "core0_weights" not in block_rams(chosen, one)  # without large RAM so few words are LUT RAM
    assert chosen.device.large_blocks_of(one.memories()[0]) == large  # 12 words of 12 bits


def test_only_other_weights_leave_the_project_as_it_is():
    setting = ICEBREAKER.family.pll.fastest(12_000_000, 24_000_000)
    first, second = (project_files(ICEBREAKER, setting, program(seed), 1_000_000) for seed in (1, 2))
    assert first == second and program(1).images() != program(2).images()


def test_a_transport_without_pins_is_refused():
    with pytest.raises(ValueError,
                       match=r"^transport must be 'uart' on tangnano9k, not 'spi': it has no pins for that$"):
        BOARDS["tangnano9k"].with_transport("spi")
    with pytest.raises(ValueError, match=r"^transport must be 'uart' or 'spi', not 'usb'$"):
        ICEBREAKER.with_transport("usb")


def test_a_bit_rate_that_the_clock_does_not_divide_to_is_refused():
    setting = ICEBREAKER.family.pll.fastest(12_000_000, 24_000_000)
    with pytest.raises(ValueError, match=r"^baud must be within 2% of a whole fraction of 24 MHz, not 5000000; the "
                                         r"nearest is 4800000$"):
        project_files(ICEBREAKER, setting, program(), 5_000_000)


def test_the_best_seed_is_taken_and_new_weights_are_patched_in(tools, tmp_path):
    log = tools("25.5,28.25,27")
    output, first, second = tmp_path / "out", program(1), program(2)
    report = build_bitstream(ICEBREAKER, first, output, clock_hz=24e6, seeds=(1, 2, 3))
    assert (report["seed"], report["fmax_mhz"], report["clock"]["mhz"]) == (2, 28.25, 24.0)
    assert report["utilisation"] == {"ICESTORM_LC": (3386, 5280)}
    assert report["critical_path_ns"] == {
        "linked.decoder": {"logic": 1.39, "routing": 0.0}, "linked.buffer.crc": {"logic": 1.23, "routing": 1.76},
        "top": {"logic": 0.5, "routing": 0.0}}
    assert sorted(log()) == ["24.000 1", "24.000 2", "24.000 3"]
    again = build_bitstream(ICEBREAKER, second, output, clock_hz=24e6, seeds=(1, 2, 3))
    assert len(log()) == 3, "placed again for other weights"
    assert again["program"] == second.digest() != report["program"] and again["seed"] == 2
    assert json.loads((output / REPORT).read_text()) == json.loads(json.dumps(again))
    contents = linked_memories(second, clk_hz=24_000_000)
    memories = find_memories((output / "placed.asc").read_text(), list(contents), ICE40.flow.blocks)
    assert memories.read((output / "firstspike.bin").read_text()) == {
        shape.name: words for shape, words in contents.items()}
    (output / "placed.asc").write_text((output / "placed.asc").read_text() + "altered\n")
    build_bitstream(ICEBREAKER, second, output, clock_hz=24e6, seeds=(1, 2, 3))
    assert len(log()) == 6, "an altered design was used again"


def test_a_missed_clock_gives_way_to_the_fastest_that_is_reached(tools, tmp_path):
    log = tools("19.5,21.3")
    report = build_bitstream(ICEBREAKER, program(), tmp_path / "out", seeds=(1, 2))
    assert report["clock"]["mhz"] == 21 and report["seed"] == 2  # 21.3 MHz are reached, of 12 MHz · 56 / 32 next below
    assert [one["mhz"] for one in report["tried"]] == [24, 21]
    assert len(log()) == 4
    again = rebuild(tmp_path / "out", tmp_path / "again")
    assert len(log()) == 8 and again["made_from"] == report["made_from"] and again["files"] == report["files"]
    assert report["made_with"]["python"] == platform.python_version()
    assert Program.load(tmp_path / "again" / PROGRAM_FILE).digest() == report["program"]


def test_what_does_not_say_how_it_was_built_is_not_built_again(tools, tmp_path):
    tools("30")
    write_project(BOARDS["arty-a7-35t"], program(), tmp_path / "out", clock_hz=50e6)
    again = rebuild(tmp_path / "out", tmp_path / "again")
    assert json.loads((tmp_path / "out" / REPORT).read_text()) == json.loads(json.dumps(again))
    for change, sentence in (({"board": "b"}, "made_from: board must be one of icebreaker, "),
                             ({"baud": "fast"}, "made_from: baud must be a valid integer, not 'fast'")):
        text = json.dumps(again | {"made_from": again["made_from"] | change})
        (tmp_path / "out" / REPORT).write_text(text)
        with pytest.raises(ValueError, match=sentence):
            rebuild(tmp_path / "out", tmp_path / "other")
    (tmp_path / "out" / REPORT).write_text(json.dumps({name: value for name, value in again.items()
                                                       if name != "made_from"}))
    with pytest.raises(ValueError, match="must say what the folder was built from"):
        rebuild(tmp_path / "out", tmp_path / "other")


@pytest.mark.thinned(2)
@pytest.mark.parametrize(("fmax", "other", "options", "sentence"), [
    ("21.3", {}, {"clock_hz": 24e6},
     r"clock must be ≤ 21 MHz on icebreaker, as place and route reach 21.30 MHz, not 24 MHz"),
    ("30", {"yosys": "nothing"}, {}, "yosys ended without a netlist"),
    ("30", {"nextpnr-ice40": "nothing"}, {}, r"nextpnr-ice40 ended without seed1.report.json"),
    ("30", {"icepack": "nothing"}, {}, "icepack ended without a result"),
    ("30", {"icepack": "copy_with_an_error"}, {},
     r"identity in the bitstream must equal its image, but word 0 is 0x[0-9a-f]+, not 0x[0-9a-f]+"),
])
def test_what_fails_is_one_sentence(tools, tmp_path, fmax, other, options, sentence):
    tools(fmax, **other)
    with pytest.raises(ToolError, match=f"^{sentence}$"):
        build_bitstream(ICEBREAKER, program(), tmp_path / "out", seeds=(1,), **options)
    assert not (tmp_path / "out" / REPORT).exists()


def test_a_project_for_the_vendors_tools(tools, tmp_path):
    tools("0")
    board = BOARDS["arty-a7-35t"]
    report = write_project(board, program(), tmp_path / "out")
    assert report["clock"]["mhz"] == 100 and report["cells"] == {}
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"top.tcl", "top.xdc", "top.v", "firstspike.v", "core0_weights.hex", "identity.hex", REPORT} <= names
    with pytest.raises(ToolError, match=r"^arty-a7-35t must be placed and routed by the vendor's tools"):
        build_bitstream(board, program(), tmp_path / "other")


def test_block_rams_are_counted_before_synthesis():
    found = block_rams(ICEBREAKER, program())
    # 12 and 6 words of three weights of 4 bits, and 256 words of 32 bits.
    assert (found["core0_weights"], found["core1_weights"], found["identity"]) == (1, 1, 2)


def test_a_path_is_told_by_units():
    report = json.loads((HERE / "nextpnr_ice40_report.json").read_text())
    found = delay_by_unit(report, ["accelerator.linked.buffer", "accelerator.linked"])
    assert found == {"accelerator.linked": {"logic": 1.39, "routing": 0.0},
                     "accelerator.linked.buffer": {"logic": 1.23, "routing": 1.76},
                     "top": {"logic": 0.5, "routing": 0.0}}
    assert delay_by_unit({"critical_paths": []}, []) == {}
