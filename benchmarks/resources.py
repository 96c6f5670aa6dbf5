# SPDX-License-Identifier: MIT
"""What a whole accelerator takes of a device, by yosys."""

import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from firstspike_arch.program import Program
from firstspike_boards.ecp5 import ECP5
from firstspike_boards.family import Family
from firstspike_boards.open_flow import cells, synthesise
from firstspike_boards.xilinx7 import XILINX7
from firstspike_hw.accelerator import Accelerator
from firstspike_hw.verilog import verilog
from firstspike_hw.verilog_files import TOP

__all__ = ["FAMILIES", "LUTS_OF_CELL", "MULTIPLIERS", "Resources", "resources"]

FAMILIES: dict[int, Family] = {4: ECP5, 6: XILINX7}
"""Number of LUT inputs, and the family of which yosys's cells are counted."""

# Ref: AMD UG474: a dual-port LUT RAM of 64 × 1 takes two LUTs, 32M and 64M (three read ports) four; Lattice
# FPGA-DS-02012; a carry cell of ECP5 is two LUTs.
LUTS_OF_CELL = {
    4: {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 4},
    6: {**{f"LUT{inputs}": 1 for inputs in range(1, 7)}, "RAM32M": 4, "RAM64M": 4, "RAM32X1D": 2, "RAM64X1D": 2,
        "RAM128X1D": 4, "SRL16E": 1, "SRLC32E": 1},
}

BLOCKS_OF_CELL = {"DP16KD": 1, "RAMB18E1": 1, "RAMB36E1": 2}
"""Block RAMs of 18 kbit."""

MULTIPLIERS = ("MULT18X18D", "DSP48E1")


@dataclass(frozen=True, kw_only=True)
class Resources:
    """LUTs, those used as memory and in carry chains too; block RAMs of 18 kbit; multipliers."""

    luts: int
    blocks: int
    multipliers: int


def resources(program: Program, lut_inputs: int) -> Resources:
    """Synthesise an accelerator without its weights' contents for LUTs of 4 or 6 inputs, and count its cells.

    Raises
    ------
    ToolError
        yosys failed.
    """
    with tempfile.TemporaryDirectory() as name:
        text = verilog(Accelerator(program), ())
        found = cells(synthesise(FAMILIES[lut_inputs].synthesis, {"accelerator.v": text}, Path(name), top=TOP))
    return Resources(luts=_weighted(found, LUTS_OF_CELL[lut_inputs]), blocks=_weighted(found, BLOCKS_OF_CELL),
                     multipliers=sum(found[cell] for cell in MULTIPLIERS))


def _weighted(found: Counter, weights: dict[str, int]) -> int:
    return sum(weight * found[cell] for cell, weight in weights.items())
