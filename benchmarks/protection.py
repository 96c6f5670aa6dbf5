# SPDX-License-Identifier: MIT
"""What parity in all memories of the cores costs, by yosys; and what it notices, of upsets in the digits network."""

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import firstspike as fs
from area import lut4_equivalents
from firstspike.upset_campaign import Effect, UpsetCase, UpsetMachine
from firstspike.upset_sites import PLACES
from firstspike.verb_demo import shipped
from firstspike_arch.program import Program
from firstspike_boards.ecp5 import ECP5
from firstspike_boards.open_flow import cells, synthesise
from firstspike_hw.accelerator import Accelerator
from firstspike_hw.verilog import verilog
from firstspike_hw.verilog_files import TOP
from firstspike_train.data import load
from table import Row, publish

UPSETS, INFERENCES, RUNS = 400, 4, 8

DESIGNS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("digits network, 8 lanes, membranes in memory", "digits_ettfs",
     {"lanes": 8, "early_exit": True, "winner": "scan", "register_rows": 2}),
    ("MNIST 784-128-10, 128 lanes, membranes in registers", "mnist_ettfs",
     {"lanes": 128, "early_exit": True, "port": "image"}),
    ("MNIST 784-128-10, 16 lanes, membranes in memory", "mnist_ettfs",
     {"lanes": [16, 10], "early_exit": True, "port": "image", "register_rows": 2}),
)
"""What the design is, its checkpoint, and how it is compiled."""


def cells_on_ecp5(program: Program, folder: Path) -> Counter:
    """Cells of an accelerator on an ECP5, as before placement."""
    # The statistics do not depend on what is in the memories: no images.
    netlist = synthesise(ECP5.synthesis, {"accelerator.v": verilog(Accelerator(program), ())}, folder, top=TOP)
    ECP5.flow.improve(netlist)
    return cells(netlist)


def cost(what: str, network: Any, options: dict[str, Any], folder: Path) -> Row:
    """The row of a design without and with parity."""
    plain, guarded = (cells_on_ecp5(fs.compile(network, **options, protect=protect).program, folder)
                      for protect in ("none", "parity"))
    # A cell of LUT RAM occupies four LUTs.
    luts = [lut4_equivalents(one) + 4 * one["TRELLIS_DPR16X4"] for one in (plain, guarded)]
    registers, blocks = ([one[cell] for one in (plain, guarded)] for cell in ("TRELLIS_FF", "DP16KD"))
    return Row(
        what=f"{what}, with parity, on ECP5: LUT4-eq., flip-flops, block RAMs", floor="≤ +15 % LUT4-eq., no block RAM",
        measured=f"{luts[0]} → {luts[1]} (+{luts[1] / luts[0] - 1:.0%}), {registers[0]} → {registers[1]}, "
        f"{blocks[0]} → {blocks[1]}", met=luts[1] <= 1.15 * luts[0] and blocks[1] == blocks[0])


def noticed() -> list[Row]:
    """Rows of a campaign of upsets in the memories of the digits network."""
    _, name, options = DESIGNS[0]
    program = fs.compile(fs.load(shipped("zoo", f"{name}.safetensors")), **options, protect="parity").program
    machine = UpsetMachine(UpsetCase(
        program=program, text=verilog(Accelerator(program), program.memories()),
        inputs=load("digits", "test")[0][: INFERENCES * RUNS], inferences=INFERENCES, seed=0))
    rows = []
    for kind in PLACES:
        trials = [trial for number, site in enumerate(machine.sites) if site.kind == kind
                  for trial in machine.trials(number, range(UPSETS))]
        if trials:
            felt = [one for one in trials if one.effect is not Effect.NONE]
            found = sum(one.noticed for one in felt)
            rows.append(Row(
                what=f"digits network with parity, upsets in memories of {kind}: noticed, of those that changed a "
                "class, evidence or cycles / of all", floor="all", met=found == len(felt),
                measured=f"{found} of {len(felt)} / {sum(one.noticed for one in trials)} of {len(trials)}"))
    return rows


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        rows = [cost(what, fs.load(shipped("zoo", f"{checkpoint}.safetensors")), options, Path(name))
                for what, checkpoint, options in DESIGNS]
    publish("protection", [*rows, *noticed()])


if __name__ == "__main__":
    main()
