# SPDX-License-Identifier: MIT
"""The same way as in `test_bitstream`, with the real yosys, nextpnr and packers: a small network for each family."""

import random
from dataclasses import replace

import firstspike as fs
import pytest
from firstspike.verb_demo import shipped
from firstspike_arch.program import Program
from firstspike_arch.toolchain import find_tool
from firstspike_boards.bitstream import build_bitstream
from firstspike_boards.boards import BOARDS
from firstspike_boards.ecp5 import ECP5
from firstspike_boards.memory_patch import find_memories, placeholder, whole_slices
from firstspike_hw.linked_accelerator import linked_memories
from firstspike_hw.verilog import hex_image

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
    assert again["tried"] == report["tried"] and again["program"] == second.digest()
    assert (tmp_path / "out" / f"firstspike.{board.family.flow.bitstream}").read_bytes() != bitstream
    if name != "orangecrab":
        return
    # ecpbram, which knows nothing of our map, puts the same into the same places.
    placed = (tmp_path / "out" / "placed.config").read_text()
    contents, blocks = linked_memories(second, clk_hz=round(again["clock"]["mhz"] * 1e6)), ECP5.flow.blocks
    (tmp_path / "0.config").write_text(placed)
    for number, (shape, words) in enumerate(contents.items()):
        held = whole_slices(shape, blocks)
        padded = [*words, *[0] * (held.depth - shape.depth)]
        (tmp_path / "from.hex").write_text(hex_image(placeholder(held), held))
        (tmp_path / "to.hex").write_text(hex_image(padded, held))
        find_tool("ecpbram").run(["-i", f"{number}.config", "-o", f"{number + 1}.config", "-f", "from.hex", "-t",
                                  "to.hex"], folder=tmp_path)
    theirs = blocks.read((tmp_path / f"{len(contents)}.config").read_text())
    images = {shape.name: words for shape, words in contents.items()}
    ours = blocks.read(find_memories(placed, list(contents), blocks).write(placed, images))
    assert theirs.keys() == ours.keys() and all((theirs[block] == ours[block]).all() for block in ours)
