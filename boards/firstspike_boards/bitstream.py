# SPDX-License-Identifier: MIT
"""From an accelerator to a bitstream: project, place and route at the best clock, weights patched in and proved."""

import hashlib
import json
import re
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

from amaranth.lib.wiring import Component
from firstspike_arch.memory import MemoryShape
from firstspike_arch.program import write_atomically
from firstspike_arch.toolchain import ToolError, find_tool
from firstspike_hw.verilog import TOP, hex_image, verilog

from .board import Board
from .board_top import BoardTop
from .family import OpenFlow
from .memory_patch import MemoryMap, find_memories, placeholder, whole_slices
from .open_flow import Placement, cells, delay_by_unit, place_and_route, synthesise
from .pll import PllSetting

__all__ = ["Design", "build_bitstream", "project_files", "write_project"]

REPORT = "report.json"
TRIES = 4
"""Clocks that are tried, each the fastest below what the one before has reached."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Design:
    """What goes onto a board.

    Parameters
    ----------
    name : str
    component : callable
        ``component(clock_hz)``: a module with ports rx, tx (one bit each, UART) and leds, for that clock.
    memories : tuple of MemoryShape
        Its loadable memories.
    images : mapping of str to sequence of int
        Their contents, int[depth] by name.
    """

    name: str
    component: Callable[[Fraction], Component]
    memories: tuple[MemoryShape, ...]
    images: Mapping[str, Sequence[int]]


def project_files(board: Board, setting: PllSetting, design: Design) -> dict[str, str]:
    """Everything that synthesis needs, by file name: the accelerator in Verilog, the top, pins and clocks, images.

    Where the open tools build the bitstream, the images are placeholders, to be exchanged in the finished design.
    """
    flow = board.family.flow
    platform = board.platform()
    platform.add_resources(board.resources)
    component = design.component(setting.hz)
    platform.add_file(f"{TOP}.v", verilog(component, design.memories, block_words=flow and flow.blocks.words))
    for shape in design.memories:
        held = whole_slices(shape, flow.blocks) if flow else shape
        image = placeholder(held) if flow else list(design.images[shape.name])
        platform.add_file(f"{shape.name}.hex", hex_image(image, held))
    plan = platform.prepare(BoardTop(board, setting), "top", debug_verilog=False, emit_src=False)
    return {name: content if isinstance(content, str) else content.decode() for name, content in plan.files.items()}


def build_bitstream(
    board: Board, design: Design, folder: Path, *, clock_hz: float | None = None, seeds: Sequence[int] = (1, 2, 3),
    progress: Callable[[str], None] = lambda text: None,
) -> dict:
    """Write the bitstream, the placed design and a report into ``folder``; the report.

    A placed design in ``folder`` that differs in its weights only is used again: new weights take seconds.

    Parameters
    ----------
    clock_hz : float or None
        To be met. None: the board's clock, or the fastest below that place and route reach.

    Raises
    ------
    PllError, ToolError
        No such clock; timing is not met; a tool failed or did not deliver.
    """
    flow = board.family.flow
    if flow is None:
        raise ToolError(f"{board.name} must be placed and routed by the vendor's tools; {board.family.name} has no "
                        "open ones here")
    setting = board.family.pll.fastest(board.input_hz, board.clock_hz if clock_hz is None else clock_hz)
    files = project_files(board, setting, design)
    digest = hashlib.sha256(json.dumps([files, list(seeds), clock_hz is None, board.place], sort_keys=True).encode())
    report = _placed_before(folder, digest.hexdigest(), flow)
    folder.mkdir(parents=True, exist_ok=True)
    if report is None:
        report = {"board": board.name, "device": board.device.name, "design": digest.hexdigest(),
                  **_place(board, design, setting, files, folder, seeds, clock_hz is not None, progress)}
    progress("patching the memories")
    start = time.perf_counter()
    placed = (folder / f"placed.{flow.config}").read_text()
    memories = find_memories(placed, design.memories, flow.blocks)
    bitstream = _pack(flow, board.pack, memories.write(placed, design.images))
    report["seconds"]["patch_and_pack"] = round(time.perf_counter() - start, 2)
    _prove(flow, bitstream, memories, design.images)
    report["seconds"]["patch_pack_and_prove"] = round(time.perf_counter() - start, 2)
    report["network"] = design.name
    report["memories"] = [{"name": shape.name, "words": shape.depth, "bits": shape.used_bits,
                           "blocks": memories.blocks_of(shape.name)} for shape in design.memories]
    write_atomically(folder / f"{TOP}.{flow.bitstream}", bitstream)
    report["files"] = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (
        folder / f"placed.{flow.config}", folder / f"{TOP}.{flow.bitstream}")}
    write_atomically(folder / REPORT, json.dumps(report, indent=1) + "\n")
    return report


def write_project(board: Board, design: Design, folder: Path, *, clock_hz: float | None = None) -> dict:
    """Write a project for the vendor's tools into ``folder``, and a report with yosys's cell counts; the report.

    Raises
    ------
    PllError, ToolError
    """
    setting = board.family.pll.fastest(board.input_hz, board.clock_hz if clock_hz is None else clock_hz)
    files = project_files(board, setting, design)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        found = cells(synthesise(board.family.synthesis, files, Path(name), top="top"))
    for name, text in files.items():
        write_atomically(folder / name, text)
    report = {"board": board.name, "device": board.device.name, "network": design.name, "clock": _clock(setting),
              "cells": dict(sorted(found.items()))}
    write_atomically(folder / REPORT, json.dumps(report, indent=1) + "\n")
    return report


def _place(
    board: Board, design: Design, setting: PllSetting, files: Mapping[str, str], folder: Path, seeds: Sequence[int],
    exact: bool, progress: Callable[[str], None],
) -> dict:
    """Place and route until timing is met; what to report about it. The placed design goes into ``folder``."""
    flow, tried = board.family.flow, []
    assert flow is not None
    seconds = {"synthesis": 0.0, "place_and_route": 0.0}
    for _ in range(TRIES):
        with tempfile.TemporaryDirectory() as name:
            start = time.perf_counter()
            progress("synthesis")
            netlist = synthesise(board.family.synthesis, files, Path(name), top="top")
            flow.improve(netlist)
            seconds["synthesis"] += time.perf_counter() - start
            progress(f"place and route for {setting.mhz:.2f} MHz")
            placements = place_and_route(flow, netlist, [*board.place, *flow.place], Path(name), seeds=seeds,
                                         mhz=setting.mhz)
        best = max(placements, key=lambda one: one.fmax_mhz)
        seconds["place_and_route"] += best.seconds
        tried.append({"mhz": setting.mhz, "fmax_mhz": {one.seed: round(one.fmax_mhz, 2) for one in placements}})
        if best.fmax_mhz >= setting.mhz:
            break
        slower = board.family.pll.fastest(board.input_hz, Fraction(best.fmax_mhz) * 1_000_000)
        if exact:
            raise ToolError(f"clock must be ≤ {slower.mhz:.2f} MHz on {board.name}, as place and route reach "
                            f"{best.fmax_mhz:.2f} MHz, not {setting.mhz:.2f} MHz")
        setting = slower
        files = project_files(board, setting, design)
    else:
        raise ToolError(f"timing must be met on {board.name}, but was not at any of "
                        f"{', '.join(str(round(one['mhz'], 2)) for one in tried)} MHz")
    write_atomically(folder / f"placed.{flow.config}", best.text)
    units = re.findall(rf"^module \\?{TOP}\.(\S+)", files[f"{TOP}.v"], re.MULTILINE)
    return {
        "clock": _clock(setting), "tried": tried, "seed": best.seed, "fmax_mhz": round(best.fmax_mhz, 2),
        "utilisation": best.used, "critical_path_ns": _path(best, units),
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
    }


def _clock(setting: PllSetting) -> dict:
    return {"mhz": setting.mhz, "pll": {name: value if isinstance(value, int) else float(value)
                                        for name, value in asdict(setting).items()}}


def _path(placement: Placement, units: Sequence[str]) -> dict:
    named = {f"accelerator.{unit}": unit for unit in units} | {"accelerator": TOP}
    return {named.get(unit, unit): {kind: round(delay, 2) for kind, delay in delays.items()}
            for unit, delays in delay_by_unit(placement.report, named).items()}


def _placed_before(folder: Path, design: str, flow: OpenFlow) -> dict | None:
    """The report of an earlier build of the same design, if its placed design is whole."""
    try:
        report = json.loads((folder / REPORT).read_text())
        placed = (folder / f"placed.{flow.config}").read_bytes()
        whole = report["design"] == design and report["files"][f"placed.{flow.config}"] == hashlib.sha256(
            placed).hexdigest()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return report if whole else None


def _pack(flow: OpenFlow, arguments: Sequence[str], text: str) -> bytes:
    return _converted(flow.packer, [*flow.pack, *arguments], text.encode(), flow.config, flow.bitstream)


def _prove(flow: OpenFlow, bitstream: bytes, memories: MemoryMap, images: Mapping[str, Sequence[int]]) -> None:
    """Unpack the bitstream and compare its memories with the images, bit for bit."""
    text = _converted(flow.unpacker, flow.unpack, bitstream, flow.bitstream, flow.config).decode()
    for name, found in memories.read(text).items():
        if found != list(images[name]):
            word = next(place for place, pair in enumerate(zip(found, images[name], strict=True)) if len(set(pair)) > 1)
            raise ToolError(f"{name} in the bitstream must equal its image, but word {word} is {found[word]:#x}, not "
                            f"{images[name][word]:#x}")


def _converted(tool: str, arguments: Sequence[str], data: bytes, before: str, after: str) -> bytes:
    """What a tool makes of one file; it must exist, the exit status alone proves nothing."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / f"design.{before}").write_bytes(data)
        find_tool(tool).run([argument.format(name="design") for argument in arguments], folder=folder)
        output = folder / f"design.{after}"
        if not output.exists() or not output.stat().st_size:
            raise ToolError(f"{tool} ended without a result")
        return output.read_bytes()
