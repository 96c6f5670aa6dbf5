# SPDX-License-Identifier: MIT
"""The same way as in `test_bitstream`, with the real yosys, nextpnr and packers: a small network for each family."""

import random
from dataclasses import replace

import firstspike as fs
import pytest
from firstspike.verb_demo import shipped
from firstspike_arch.program import Program
from firstspike_boards.bitstream import build_bitstream
from firstspike_boards.boards import BOARDS

pytestmark = pytest.mark.slow


def digits() -> Program:
    network = fs.load(shipped("zoo", "digits_ettfs.safetensors"))
    return fs.compile(network, lanes=8, early_exit=True, winner="scan", register_rows=2).program


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
