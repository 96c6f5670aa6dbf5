# SPDX-License-Identifier: MIT
"""Clock frequency after place and route: MNIST on an ECP5-85F, digits on an iCE40 UP5K."""

import json
import re
import statistics
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import firstspike as fs
from firstspike.verb_demo import shipped
from firstspike_arch.toolchain import ToolError, find_tool
from firstspike_boards.ecp5_netlist import absorb_output_registers
from firstspike_hw.accelerator import Accelerator
from firstspike_hw.verilog import TOP, verilog
from table import Row, publish

SEEDS = (1, 2, 3)


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


def place_and_route(tool: str, arguments: list[str], folder: Path, seed: int) -> dict:
    """nextpnr's report; it must exist, the exit status alone proves nothing."""
    find_tool(tool).run([*arguments, "--seed", str(seed), "--report", f"report{seed}.json", "-q",
                         "--timing-allow-fail"], folder=folder)
    path = folder / f"report{seed}.json"
    if not path.exists():
        raise ToolError(f"{tool} ended without a report")
    return json.loads(path.read_text())


def synthesise(text: str, command: str, top: str) -> dict:
    """yosys JSON netlist."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "top.v").write_text(text)
        find_tool("yosys").run(["-q", "-p", f"read_verilog top.v; {command} -top {top} -json top.json"], folder=folder)
        return json.loads((folder / "top.json").read_text())


def measure(netlist: dict, tool: str, arguments: list[str]) -> tuple[float, dict]:
    """Median Fmax in MHz over `SEEDS`, and one utilisation."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "top.json").write_text(json.dumps(netlist))
        with ThreadPoolExecutor(2) as pool:
            reports = list(pool.map(
                lambda seed: place_and_route(tool, ["--json", "top.json", *arguments], folder, seed), SEEDS))
    fmax = statistics.median(min(clock["achieved"] for clock in report["fmax"].values()) for report in reports)
    return fmax, reports[0]["utilization"]


def main() -> None:
    rows = []
    digits = fs.compile(
        fs.load(shipped("zoo", "digits_ettfs.safetensors")), lanes=8, early_exit=True, winner="scan", register_rows=2,
    ).program
    fmax, used = measure(
        synthesise(harness(verilog(Accelerator(digits), ())), "synth_ice40", "harness"), "nextpnr-ice40",
        ["--up5k", "--package", "sg48", "--pcf-allow-unconstrained", "--freq", "36"],
    )
    cells = used["ICESTORM_LC"]["used"]
    rows.append(Row(what="digits on iCE40 UP5K, 8 lanes, harness included", floor="< 2,500 cells, ≥ 36 MHz",
                    measured=f"{cells} cells, {fmax:.1f} MHz", met=cells < 2500 and fmax >= 36))
    mnist = fs.compile(fs.load(shipped("zoo", "mnist_ettfs.safetensors")), lanes=64, early_exit=True).program
    netlist = synthesise(verilog(Accelerator(mnist), ()), "synth_ecp5", TOP)
    ecp5 = ["--85k", "--package", "CABGA381", "--speed", "6", "--out-of-context", "--freq", "150"]
    plain, _ = measure(netlist, "nextpnr-ecp5", ecp5)
    absorb_output_registers(netlist)
    fmax, used = measure(netlist, "nextpnr-ecp5", ecp5)
    rows.append(Row(what="MNIST on ECP5-85F speed 6, 64 lanes, median of 3 seeds", floor="≥ 130 MHz",
                    measured=f"{fmax:.1f} MHz, {used['TRELLIS_COMB']['used']} TRELLIS_COMB "
                             f"({plain:.1f} MHz without the block RAMs' output registers)", met=fmax >= 130))
    publish("fmax", rows)


if __name__ == "__main__":
    main()
