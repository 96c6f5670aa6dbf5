# SPDX-License-Identifier: MIT
"""Prover: yosys turns a proof into gates, and the ABC inside it proves them, or finds a run that breaks a property.

# Ref: A. R. Bradley, "SAT-Based Model Checking without Unrolling", VMCAI 2011 (IC3); N. Een, A. Mishchenko, R. Brayton,
"Efficient Implementation of Property Directed Reachability", FMCAD 2011 (PDR).
"""

import re
import tempfile
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

from amaranth.back import rtlil
from amaranth.hdl import Fragment
from firstspike_hw.toolchain import Tool, ToolError, find_tool
from proof import Proof

__all__ = ["Outcome", "Verdict", "prove", "run_of", "verdict_of"]

Verdict = Literal["proved", "broken", "open"]
"""A property holds; it does not; neither was found in the time given."""


class Outcome(NamedTuple):
    """A verdict, and the run that breaks a property: for each cycle the free signals that are not 0, by name."""

    verdict: Verdict
    run: list[dict[str, int]]


_SCRIPT = """
read_rtlil proof.il
hierarchy -top proof
proc
flatten
opt_clean
async2sync
chformal -lower
memory_collect
memory_map
opt -full -nodffe -nosdff
techmap
opt_expr
opt_merge
dffunmap
aigmap
opt_clean
write_aiger -zinit -map inputs.txt proof.aig

design -reset
read_verilog <<verilog
module any(input a, input b, output c); assign c = a ^ b; endmodule
verilog
techmap
abc -script +backup;read_aiger,proof.aig;fold;orpos;strash;{how};write_status,status.txt;write_cex,-a,run.txt;restore
"""
"""The pass `abc` runs ABC's commands, commas for spaces; what it makes of the module above does not matter."""


def prove(proof: Proof, *, seconds: int) -> Outcome:
    """Prove a proof, within its number of cycles or for ever.

    Raises
    ------
    ToolError
        There is no yosys, it failed, or it ended without a verdict.
    """
    fragment = Fragment.get(proof, None)  # makes the inputs
    text = rtlil.convert(fragment, ports=proof.inputs, name="proof", emit_src=False)
    how = f"dc2;pdr,-T,{seconds}" if proof.cycles is None else f"dc2;bmc3,-F,{proof.cycles},-T,{seconds}"
    yosys = _yosys()
    with tempfile.TemporaryDirectory(prefix="firstspike-proof-") as name:
        folder = Path(name)
        (folder / "proof.il").write_text(text)
        (folder / "proof.ys").write_text(_SCRIPT.format(how=how))
        yosys.run(["-q", "proof.ys"], folder=folder)
        status = folder / "status.txt"
        if not status.exists():
            raise ToolError(f"yosys must give a verdict on {proof.unit}, but ended without one")
        verdict = verdict_of(status.read_text(), proof.cycles)
        if verdict != "broken":
            return Outcome(verdict, [])
        return Outcome(verdict, run_of((folder / "inputs.txt").read_text(), (folder / "run.txt").read_text()))


@cache
def _yosys() -> Tool:
    return find_tool("yosys")


def verdict_of(status: str, cycles: int | None) -> Verdict:
    """What the status file of ABC says: a bounded search that found nothing tells its last cycle, counted from 0."""
    word, last, *_ = status.split()
    if word == "snl_SAT":
        return "broken"
    if word == "snl_UNSAT" or (cycles is not None and int(last) >= cycles - 1):
        return "proved"
    return "open"


def run_of(inputs: str, run: str) -> list[dict[str, int]]:
    """The free signals in each cycle of a run, from yosys's map of the inputs and ABC's lines of their bits."""
    places = [(int(place), int(bit), name) for place, bit, name in re.findall(
        r"^input (\d+) (\d+) (\S+)$", inputs, re.MULTILINE) if name != "clk"]
    cycles: list[dict[str, int]] = []
    for line in run.splitlines()[1:]:  # the first one has the registers
        if not line or set(line) - set("01x"):
            break
        cycles.append({})
        for place, bit, name in places:
            if line[place] == "1":
                cycles[-1][name] = cycles[-1].get(name, 0) | 1 << bit
    return cycles
