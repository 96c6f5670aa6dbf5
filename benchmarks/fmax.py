# SPDX-License-Identifier: MIT
"""Clock frequency after place and route: MNIST, dense and convolutional, on an ECP5-85F; digits on an iCE40 UP5K.

`python benchmarks/fmax.py NAME …` measures some of "digits", "dense", "convolutions" and "leaks"; the other rows are
kept.
"""

import re
import statistics
import sys
import tempfile
from pathlib import Path

import firstspike as fs
from area import hidden_core
from firstspike.verb_demo import shipped
from firstspike_arch.program import Program
from firstspike_boards.board import Board
from firstspike_boards.ecp5 import ECP5
from firstspike_boards.family import Family
from firstspike_boards.ice40 import ICE40
from firstspike_boards.icebreaker import ICEBREAKER
from firstspike_boards.open_flow import place_and_route, synthesise
from firstspike_boards.timing_paths import slowest_paths
from firstspike_boards.ulx3s import ULX3S
from firstspike_hw.accelerator import Accelerator
from firstspike_hw.verilog import verilog
from firstspike_hw.verilog_files import TOP
from table import Row, publish, published

SEEDS = (1, 2, 3)
PATHS = 5
"""Number of slowest paths that are told, each between other units."""


def harness(text: str) -> str:
    """The accelerator behind four pins, as a UP5K has fewer pins than the accelerator has ports.

    Inputs from a shift register, outputs folded into one bit: one cell for each input bit and for three output bits.
    """
    top = re.search(rf"^module {TOP}\(.*?^endmodule", text, re.MULTILINE | re.DOTALL).group(0)
    ports = re.findall(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);", top, re.MULTILINE)
    sizes = {name: (direction, int(high or 0) + 1) for direction, high, name in ports if name not in ("clk", "rst")}
    inputs = sum(size for direction, size in sizes.values() if direction == "input")
    outputs = sum(size for direction, size in sizes.values() if direction == "output")
    places, low = [], {"input": 0, "output": 0}
    for name, (direction, size) in sizes.items():
        vector = "given" if direction == "input" else "made"
        places.append(f".{name}({vector}[{low[direction] + size - 1}:{low[direction]}])")
        low[direction] += size
    folds = -(-outputs // 4)
    folding = "\n".join(
        f"    seen[{fold}] <= ^made[{min(4 * fold + 4, outputs) - 1}:{4 * fold}];" for fold in range(folds)
    )
    return text + f"""
module harness(input clk, input rst, input bit_in, output reg bit_out);
  reg [{inputs - 1}:0] given;
  wire [{outputs - 1}:0] made;
  reg [{folds - 1}:0] seen;
  always @(posedge clk) begin
    given <= {{given, bit_in}};
{folding}
    bit_out <= ^seen;
  end
  {TOP} dut(.clk(clk), .rst(rst), {", ".join(places)});
endmodule
"""


def netlist(text: str, family: Family, top: str) -> dict:
    """yosys JSON netlist."""
    with tempfile.TemporaryDirectory() as name:
        return synthesise(family.synthesis, {"top.v": text}, Path(name), top=top)


def measure(
    netlist: dict, board: Board, arguments: list[str], mhz: float, seeds: tuple[int, ...] = SEEDS,
) -> tuple[float, dict, str]:
    """Median Fmax in MHz over the seeds, one utilisation, and the `PATHS` slowest paths of the first seed."""
    flow = board.family.flow
    with tempfile.TemporaryDirectory() as name:
        placements = place_and_route(
            flow, netlist, [*board.place, *arguments, "--sdf", "{name}.sdf"], Path(name), seeds=seeds, mhz=mhz)
        paths = slowest_paths((Path(name) / f"seed{seeds[0]}.sdf").read_text(), units_of(netlist))
    told = ", ".join(f"{path.begin} → {path.end} {path.nanoseconds:.1f} ns" for path in paths[:PATHS])
    return statistics.median(one.fmax_mhz for one in placements), placements[0].used, told


def units_of(netlist: dict) -> list[str]:
    """Hierarchical names of the modules that a flattened netlist was made of."""
    return [name for module in netlist["modules"].values() for name, cell in module["cells"].items()
            if cell["type"] == "$scopeinfo"]


def digits() -> list[Row]:
    program = fs.compile(
        fs.load(shipped("zoo", "digits_ettfs.safetensors")), lanes=8, early_exit=True, winner="scan", register_rows=2,
    ).program
    fmax, used, _ = measure(
        netlist(harness(verilog(Accelerator(program), ())), ICE40, "harness"), ICEBREAKER,
        ["--pcf-allow-unconstrained", "--asc", "{name}.asc"], 36,
    )
    cells = used["ICESTORM_LC"][0]
    return [Row(what="digits on iCE40 UP5K, 8 lanes, harness included", floor="< 2,500 cells, ≥ 36 MHz",
                measured=f"{cells} cells, {fmax:.1f} MHz", met=cells < 2500 and fmax >= 36)]


def dense() -> list[Row]:
    program = fs.compile(fs.load(shipped("zoo", "mnist_ettfs.safetensors")), lanes=64, early_exit=True).program
    return on_ecp5("MNIST on ECP5-85F speed 6, 64 lanes", program, 165)


def convolutions() -> list[Row]:
    program = fs.compile(fs.load(shipped("zoo", "mnist_latency.safetensors")), lanes=96).program
    return on_ecp5("convolutional MNIST (mnist_latency) on ECP5-85F speed 6, 96 lanes", program, 125)


def on_ecp5(what: str, program: Program, floor: int) -> list[Row]:
    """Rows of an accelerator that must reach so many MHz: its clock, and what holds it."""
    design = netlist(verilog(Accelerator(program), ()), ECP5, TOP)
    ECP5.flow.improve(design)
    # Without pins there is no configuration to write.
    fmax, used, paths = measure(design, ULX3S, ["--out-of-context", "--write", "{name}.config"], floor)
    return [
        Row(what=f"{what}, median of {len(SEEDS)} seeds", floor=f"≥ {floor} MHz",
            measured=f"{fmax:.1f} MHz, {used['TRELLIS_COMB'][0]} TRELLIS_COMB", met=fmax >= floor),
        Row(what=f"{what}: slowest paths, by units", floor="–", measured=paths, met=True),
    ]


def leaks() -> list[Row]:
    """A core whose leak is halved or multiplied: a multiplication takes fewer passes, in longer cycles."""
    rows, before = [], 0.0
    for multiplies in (False, True):
        core = hidden_core(32, leaky=True, leak=(230, 8), multiplies=multiplies)
        design = netlist(verilog(core, ()), ECP5, TOP)
        ECP5.flow.improve(design)
        fmax, used, paths = measure(design, ULX3S, ["--out-of-context", "--write", "{name}.config"], 165)
        passes = len(core.core.spec.microcode.step)
        rows.append(Row(
            what=f"hidden core, LIF, leak 230/256 {'multiplied' if multiplies else 'in passes of halves'}, 32 lanes in "
                 "one row, on ECP5-85F speed 6", floor="less time than halves" if multiplies else "–",
            measured=f"{fmax:.1f} MHz, {used['TRELLIS_COMB'][0]} TRELLIS_COMB; {passes} passes: "
                     f"{1e3 * passes / fmax:.0f} ns a step; {paths.partition(',')[0]}",
            met=not multiplies or passes / fmax < before))
        before = passes / fmax
    return rows


DESIGNS = {"digits": digits, "dense": dense, "convolutions": convolutions, "leaks": leaks}


def main() -> None:
    wanted = sys.argv[1:] or list(DESIGNS)
    if unknown := set(wanted) - set(DESIGNS):
        sys.exit(f"NAME must be one of {', '.join(DESIGNS)}, not {', '.join(sorted(unknown))}")
    rows = [row for name in wanted for row in DESIGNS[name]()]
    known = [row.what.partition(",")[0].partition(":")[0] for row in rows]
    kept = [row for row in published("fmax") if row.what.partition(",")[0].partition(":")[0] not in known]
    publish("fmax", [*kept, *rows])


if __name__ == "__main__":
    main()
