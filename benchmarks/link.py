# SPDX-License-Identifier: MIT
"""The host link on simulated UART pins: payload on the wire, faults, and what it costs on an iCE40."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import firstspike as fs
import numpy as np
from amaranth.lib.wiring import Component
from firstspike.verb_demo import shipped
from firstspike_arch.backend import Stimulus
from firstspike_arch.frames import IDENTITY, STAMP_BYTES, Kind, wire_format
from firstspike_arch.memory import MemoryShape
from firstspike_arch.program import Program
from firstspike_arch.toolchain import find_tool
from firstspike_boards.driver import WireBackend
from firstspike_boards.link import Link, LinkError
from firstspike_hw.accelerator import Accelerator
from firstspike_hw.linked_accelerator import LinkedAccelerator, linked_memories
from firstspike_hw.uart_accelerator import UartAccelerator
from firstspike_hw.verilog import TOP, hex_image, verilog
from firstspike_sim.faulty_transport import FaultyTransport
from firstspike_sim.model import Prediction, predict_inputs
from firstspike_sim.simulated_board import SimulatedBoard
from firstspike_train.data import load
from table import Row, publish

DIVISOR = 8
TIMEOUT = 0.05
"""Seconds of the board at 12 MHz."""

FRAMES, FAULTS = 10_000, 1e-3
VALUES = ("classes", "steps", "decided_by", "scores")


def payload_share(program: Program, stimulus: Stimulus) -> float:
    """Bytes of input words over the time in which they could have crossed the wire, for the whole run."""
    board = SimulatedBoard(program, divisor=DIVISOR)
    backend = WireBackend(Link(lambda: board, timeout=TIMEOUT))
    backend.load(program)
    start = board.cycles
    backend.run(stimulus)
    backend.link.close()
    return len(wire_format(program).pack_words(stimulus.words)) * 10 * DIVISOR / (board.cycles - start)


def with_faults(program: Program, wanted: Prediction) -> tuple[int, int, int, int, int]:
    """One inference a frame: wrong results accepted, lost without and with report, requests sent again, faults."""
    wire, stimulus = wire_format(program), wanted.stimulus
    share = FAULTS / 4
    faults = FaultyTransport(SimulatedBoard(program, divisor=DIVISOR), flip=share, drop=share, repeat=share, cut=share,
                             seed=1)
    link = Link(lambda: faults, timeout=TIMEOUT, attempts=40)
    WireBackend(link).load(program)
    requests = [(Kind.INFER, wire.pack_words(stimulus.words[first:last]))
                for first, last in zip(stimulus.starts, stimulus.starts[1:], strict=False)]
    reported = 0
    try:
        answers: list = link.exchange(requests)
    except LinkError as error:
        answers = error.answers
        reported = answers.count(None)
    link.close()
    right = [getattr(wanted.trace, name) for name in VALUES]
    wrong = 0
    for index, answer in enumerate(answers):
        if answer is not None:
            said = wire.result.unpack(int.from_bytes(answer[STAMP_BYTES:-1], "little"))
            wrong += any(not np.array_equal(values[index], value) for values, value in zip(right, said, strict=True))
    return wrong, len(requests) - len(answers), reported, link.resent, faults.faults


def ice40(component: Component, memories: Mapping[MemoryShape, list[int]]) -> dict[str, int]:
    """Cells by type."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "top.v").write_text(verilog(component, memories))
        for shape, words in memories.items():
            (folder / f"{shape.name}.hex").write_text(hex_image(words, shape))
        find_tool("yosys").run(["-q", "-p", f"read_verilog top.v; synth_ice40 -dsp -top {TOP} -json top.json"],
                               folder=folder)
        cells = json.loads((folder / "top.json").read_text())["modules"][TOP]["cells"].values()
    kinds = [cell["type"] for cell in cells]
    return {kind: kinds.count(kind) for kind in ("SB_LUT4", "SB_RAM40_4K")}


def main() -> None:
    rows = []
    images = load("digits", "test")[0]
    digits = fs.compile(
        fs.load(shipped("zoo", "digits_ettfs.safetensors")), lanes=8, early_exit=True, winner="scan", register_rows=2,
    ).program
    mnist = fs.compile(
        fs.load(shipped("zoo", "mnist_ettfs.safetensors")), lanes=64, early_exit=True, port="image").program
    shares = [
        payload_share(digits.with_config(port="image"),
                      predict_inputs(digits.with_config(port="image"), np.tile(images, (3, 1))[:1000]).stimulus),
        payload_share(mnist, predict_inputs(mnist, load("mnist", "test")[0][:200]).stimulus),
    ]
    rows.append(Row(what="host link: image bytes over baud / 10, on the pins", floor="≥ 95 %",
                    measured=f"{shares[0]:.1%} (digits, 1,000 images), {shares[1]:.1%} (MNIST, 200)",
                    met=min(shares) >= 0.95))
    wanted = predict_inputs(digits, np.tile(images, (-(-FRAMES // len(images)), 1))[:FRAMES])
    wrong, lost, reported, resent, faults = with_faults(digits, wanted)
    rows.append(Row(what=f"host link: {FRAMES} frames, byte faults at {FAULTS:g} both ways",
                    floor="0 wrong results accepted, 0 lost without report",
                    measured=f"{wrong} wrong, {lost} lost, {reported} reported as lost; {faults} faults, "
                             f"{resent} requests sent again",
                    met=wrong == lost == 0))
    memories = linked_memories(digits)
    bare = ice40(Accelerator(digits), {shape: words for shape, words in memories.items() if shape != IDENTITY})
    whole = ice40(UartAccelerator(LinkedAccelerator(digits), divisor=12), memories)
    luts, rams = (whole[kind] - bare[kind] for kind in ("SB_LUT4", "SB_RAM40_4K"))
    rows.append(Row(what="host link with UART on iCE40, beside digits on 8 lanes", floor="< 1,200 LUT4",
                    measured=f"{luts} LUT4, {rams} block RAMs (whole: {whole['SB_LUT4']}, {whole['SB_RAM40_4K']})",
                    met=luts < 1200))
    readable = ice40(UartAccelerator(LinkedAccelerator(digits.with_config(read_back=True)), divisor=12), memories)
    more = readable["SB_LUT4"] - whole["SB_LUT4"]
    rows.append(Row(what="… reading back weights and biases", floor="< 150 LUT4", measured=f"{more} LUT4 more",
                    met=more < 150))
    publish("link", rows)


if __name__ == "__main__":
    main()
