# SPDX-License-Identifier: MIT
"""The ways to an accelerator, on simulated pins: UART and SPI with the host link, and AXI. Payload, faults, area."""

import tempfile
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import firstspike as fs
import numpy as np
from amaranth.lib.wiring import Component
from firstspike.verb_demo import shipped
from firstspike_arch.backend import Stimulus
from firstspike_arch.memory import MemoryShape
from firstspike_arch.program import Program
from firstspike_boards.driver import WireBackend
from firstspike_boards.link import Link, LinkError
from firstspike_boards.open_flow import cells, synthesise
from firstspike_boards.spi_port import SpiPort
from firstspike_boards.xilinx7 import XILINX7
from firstspike_hw.accelerator import Accelerator
from firstspike_hw.axi.axi_accelerator import AxiAccelerator
from firstspike_hw.axi.registers import result_beats, result_words
from firstspike_hw.link.frames import IDENTITY, STAMP_BYTES, Kind, Transport, wire_format
from firstspike_hw.link.linked_accelerator import LinkedAccelerator, linked_memories
from firstspike_hw.link.spi import SCK_CYCLES_MIN
from firstspike_hw.link.spi_accelerator import SpiAccelerator
from firstspike_hw.link.uart_accelerator import UartAccelerator
from firstspike_hw.verilog import verilog
from firstspike_hw.verilog_files import TOP, hex_image
from firstspike_sim.backends.axi_bench import AxiScenario, run_axi
from firstspike_sim.boards.faulty_transport import FaultyTransport
from firstspike_sim.boards.simulated_board import SimulatedBoard
from firstspike_sim.boards.simulated_spi import SimulatedSpi
from firstspike_sim.models.prediction import Prediction, predict_inputs
from firstspike_train.data import load
from table import Row, publish

DIVISOR = 8
TIMEOUT = 0.05
"""Seconds of the board at 12 MHz."""

ALONE, AXI_IMAGES = 10_000, 50

FRAMES, FAULTS = 10_000, 1e-3
VALUES = ("classes", "steps", "decided_by", "scores")


def payload_share(program: Program, stimulus: Stimulus, transport: Transport) -> float:
    """Bytes of input words over the time in which they could have crossed the wire, for the whole run."""
    backend = WireBackend(Link(lambda: transport, timeout=TIMEOUT))
    backend.load(program)
    start = transport.now()
    backend.run(stimulus)
    seconds = transport.now() - start
    backend.link.close()
    return len(wire_format(program).pack_words(stimulus.words)) / transport.octets_per_second / seconds


def over_uart(program: Program) -> Transport:
    return SimulatedBoard(program, divisor=DIVISOR)


def over_spi(program: Program) -> Transport:
    return SpiPort(SimulatedSpi(program, sck_cycles=SCK_CYCLES_MIN))


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
    return synthesised("synth_ice40 -dsp", component, memories)


def synthesised(command: str, component: Component, memories: Mapping[MemoryShape, list[int]]) -> Counter[str]:
    files = {"top.v": verilog(component, memories)}
    files |= {f"{shape.name}.hex": hex_image(words, shape) for shape, words in memories.items()}
    with tempfile.TemporaryDirectory() as name:
        return cells(synthesise(command, files, Path(name), top=TOP))


def zynq(component: Component, memories: Mapping[MemoryShape, list[int]]) -> tuple[int, int]:
    """LUTs and flip-flops."""
    found = synthesised(XILINX7.synthesis, component, memories)
    return tuple(sum(number for cell, number in found.items() if cell.startswith(kind)) for kind in ("LUT", "FD"))


def on_axi(program: Program, images: np.ndarray) -> tuple[float, int, set[int]]:
    """Of images, each alone: words a cycle into s_axis, wrong results, and cycles that the timing model lacks."""
    wire = wire_format(program)
    size = result_beats(wire)
    gaps = np.zeros(len(images) * wire.image_words, dtype=np.int64)
    gaps[:: wire.image_words] = ALONE
    wanted = predict_inputs(program, images, gaps=gaps)
    starts, actions = wanted.stimulus.starts, []
    for number, (first, last) in enumerate(pairwise(starts.tolist()), start=1):
        actions += [{"packet": wanted.stimulus.words[first:last].tolist()}, {"beats": number * size}, {"idle": 100}]
    (trace,) = run_axi(program, [AxiScenario(actions=actions)], optimise=True)
    accepted = np.array(trace.accepted)
    cycles = accepted[starts[1:] - 1] - accepted[starts[:-1]] + 1
    later = (np.array(trace.offered[::size]) - accepted[starts[:-1]]
             - (wanted.trace.decided - wanted.trace.accepted[starts[:-1]]))
    said = [wire.result.unpack(word)[:3] for word in result_words(wire, [beat for _, beat, _ in trace.beats])]
    right = zip(wanted.trace.classes, wanted.trace.steps, wanted.trace.decided_by, strict=True)
    wrong = sum(one != other for one, other in zip(said, right, strict=True))
    return len(accepted) / int(cycles.sum()), wrong, set(later.tolist())


def main() -> None:
    rows = []
    images = load("digits", "test")[0]
    digits = fs.compile(
        fs.load(shipped("zoo", "digits_ettfs.safetensors")), lanes=8, early_exit=True, winner="scan", register_rows=2,
    ).program
    mnist = fs.compile(
        fs.load(shipped("zoo", "mnist_ettfs.safetensors")), lanes=64, early_exit=True, port="image").program
    shares = [
        payload_share(one, predict_inputs(one, inputs).stimulus, way(one))
        for way in (over_uart, over_spi) for one, inputs in (
            (digits.with_config(port="image"), np.tile(images, (3, 1))[:1000]), (mnist, load("mnist", "test")[0][:200]))
    ]
    for what, least, (first, second) in (
            ("baud / 10", 0.95, shares[:2]), (f"sck / 8 of SPI, sck = clock / {SCK_CYCLES_MIN}", 0.9, shares[2:])):
        rows.append(Row(what=f"host link: image bytes over {what}, on the pins", floor=f"≥ {100 * least:.0f} %",
                        measured=f"{first:.1%} (digits, 1,000 images), {second:.1%} (MNIST, 200)",
                        met=min(first, second) >= least))
    wanted = predict_inputs(digits, np.tile(images, (-(-FRAMES // len(images)), 1))[:FRAMES])
    wrong, lost, reported, resent, faults = with_faults(digits, wanted)
    rows.append(Row(what=f"host link: {FRAMES} frames, byte faults at {FAULTS:g} both ways",
                    floor="0 wrong results accepted, 0 lost without report",
                    measured=f"{wrong} wrong, {lost} lost, {reported} reported as lost; {faults} faults, "
                             f"{resent} requests sent again",
                    met=wrong == lost == 0))
    memories = linked_memories(digits)
    weights = {shape: words for shape, words in memories.items() if shape != IDENTITY}
    bare = ice40(Accelerator(digits), weights)
    readable = LinkedAccelerator(digits.with_config(read_back=True))
    for wires, most, component in (("UART", 1200, UartAccelerator(LinkedAccelerator(digits), divisor=12)),
                                   ("SPI", 1300, SpiAccelerator(LinkedAccelerator(digits))),
                                   ("UART and read-back", 1350, UartAccelerator(readable, divisor=12))):
        whole = ice40(component, memories)
        luts, rams = (whole[kind] - bare[kind] for kind in ("SB_LUT4", "SB_RAM40_4K"))
        rows.append(Row(what=f"host link with {wires} on iCE40, beside digits on 8 lanes", floor=f"< {most:,} LUT4",
                        measured=f"{luts} LUT4, {rams} block RAMs (whole: {whole['SB_LUT4']}, {whole['SB_RAM40_4K']})",
                        met=luts < most))
    share, wrong, later = on_axi(mnist, load("mnist", "test")[0][:AXI_IMAGES])
    rows.append(Row(what=f"AXI: words a cycle into s_axis, {AXI_IMAGES} MNIST images, each alone",
                    floor="1, 0 wrong, 2 cycles more than without AXI",
                    measured=f"{share:g}, {wrong} wrong, {', '.join(map(str, sorted(later)))} cycles",
                    met=share == 1 and not wrong and later == {2}))
    bare, whole = zynq(Accelerator(digits), weights), zynq(AxiAccelerator(digits), memories)
    luts, registers = (one - other for one, other in zip(whole, bare, strict=True))
    rows.append(Row(what="AXI ports by synth_xilinx, beside digits on 8 lanes", floor="< 500 LUT",
                    measured=f"{luts} LUT, {registers} flip-flops (whole: {whole[0]}, {whole[1]})", met=luts < 500))
    publish("link", rows)


if __name__ == "__main__":
    main()
