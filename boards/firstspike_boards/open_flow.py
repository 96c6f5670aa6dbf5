# SPDX-License-Identifier: MIT
"""Synthesis by yosys, placement and routing by nextpnr, and what nextpnr reports."""

import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from firstspike_hw.toolchain import ToolError, find_tool

from .family import OpenFlow

__all__ = ["Placement", "cells", "delay_by_unit", "place_and_route", "synthesise"]


def synthesise(command: str, files: Mapping[str, str], folder: Path, *, top: str) -> dict:
    """Synthesise Verilog (.v) and RTLIL (.il) files to a JSON netlist. Other files, such as images, lie beside them.

    Parameters
    ----------
    command : str
        yosys commands, the last of which takes ``-top`` and ``-json``; in others, ``{top}`` is the top module.
    files : mapping of str to str
        Texts by file name.
    folder : Path
        Folder for the files.
    top : str
        Name of the top module.

    Raises
    ------
    ToolError
        yosys failed, or ended without a netlist: its exit status alone proves nothing.
    """
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
    reads = [f"{'read_verilog' if name.endswith('.v') else 'read_rtlil'} {name}" for name in files
             if name.endswith((".v", ".il"))]
    output = folder / f"{top}.json"
    output.unlink(missing_ok=True)
    commands = [*reads, f"{command.format(top=top)} -top {top} -json {output.name}"]
    find_tool("yosys").run(["-q", "-p", "; ".join(commands)], folder=folder)
    if not output.exists():
        raise ToolError("yosys ended without a netlist")
    return json.loads(output.read_text("utf-8"))


def cells(netlist: dict) -> Counter:
    """Count the cells of a flattened netlist by type."""
    return Counter(cell["type"] for module in netlist["modules"].values() for cell in module["cells"].values()
                   if int(module["attributes"].get("top", "0"), 2))


@dataclass(frozen=True, kw_only=True)
class Placement:
    """A placed and routed design.

    Parameters
    ----------
    seed : int
    seconds : float
        Wall-clock time of the run.
    report : dict
        Report of nextpnr, unchanged.
    text : str
        The placed design, in the format that the packer reads.
    """

    seed: int
    seconds: float
    report: dict
    text: str

    @property
    def fmax_mhz(self) -> float:
        """Maximum frequency of the slowest clock."""
        return min(clock["achieved"] for clock in self.report["fmax"].values())

    @property
    def used(self) -> dict[str, tuple[int, int]]:
        """Numbers of cells (used, available) by type, for the types in use."""
        return {name: (one["used"], one["available"]) for name, one in self.report["utilization"].items()
                if one["used"]}


def place_and_route(
    flow: OpenFlow, netlist: dict, arguments: Sequence[str], folder: Path, *, seeds: Iterable[int], mhz: float,
) -> list[Placement]:
    """Place and route once for each seed, in parallel.

    Parameters
    ----------
    arguments : sequence of str
        Arguments of the placer: device, package, constraints.
    folder : Path
        Folder of the files that the arguments name.
    mhz : float
        Clock to aim for; a placement that misses it is returned like any other.

    Raises
    ------
    ToolError
        The placer failed, or ended without results.
    """
    (folder / "netlist.json").write_text(json.dumps(netlist), "utf-8")
    tool = find_tool(flow.placer)

    def place(seed: int) -> Placement:
        name = f"seed{seed}"
        report, config = folder / f"{name}.report.json", folder / f"{name}.{flow.config}"
        for path in (report, config):
            path.unlink(missing_ok=True)
        start = time.perf_counter()
        tool.run([*flow.options, *(argument.format(name=name) for argument in arguments), "--json", "netlist.json",
                  "--seed", str(seed), "--freq", f"{mhz:.3f}", "--report", report.name, "--timing-allow-fail", "-q"],
                 folder=folder)
        for path in (report, config):
            if not path.exists():
                raise ToolError(f"{flow.placer} ended without {path.name}")
        return Placement(seed=seed, seconds=time.perf_counter() - start, report=json.loads(report.read_text("utf-8")),
                         text=config.read_text("utf-8"))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(place, seeds))


def delay_by_unit(report: dict, units: Iterable[str]) -> dict[str, dict[str, float]]:
    """Divide the delay of the longest path within a clock domain among the units that it passes, in that order.

    Parameters
    ----------
    report : dict
        Report of nextpnr.
    units : iterable of str
        Hierarchical names of the design's modules. A cell belongs to the module with the longest name that begins the
        cell's own name.

    Returns
    -------
    dict
        Nanoseconds by unit: ``logic``, and ``routing`` of the nets that lead there.
    """
    within = [path for path in report["critical_paths"] if path["from"] == path["to"]]
    if not within:
        return {}
    longest = max(within, key=lambda path: sum(step["delay"] for step in path["path"]))
    names, found = sorted(units, key=len, reverse=True), {}
    for step in longest["path"]:
        cell = step["to"]["cell"]
        unit = next((name for name in names if cell.startswith(f"{name}.")), "top")
        delays = found.setdefault(unit, {"logic": 0.0, "routing": 0.0})
        delays["routing" if step["type"] == "routing" else "logic"] += step["delay"]
    return found
