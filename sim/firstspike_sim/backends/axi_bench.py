# SPDX-License-Identifier: MIT
"""Bench for the accelerator on AXI: its exported Verilog, driven by independent bus models in cocotb.

The bench also checks the bus rules on all outputs: a valid payload stays unchanged until it is taken, and nothing is
valid during reset.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from firstspike_arch.program import Program
from firstspike_hw.axi.axi_accelerator import AxiAccelerator
from firstspike_hw.link.linked_accelerator import linked_memories
from firstspike_hw.toolchain import ToolError
from firstspike_hw.verilog import verilog
from firstspike_hw.verilog_files import TOP, hex_image

from .cocotb_run import run_bench

__all__ = ["AxiScenario", "AxiTrace", "run_axi"]


@dataclass(frozen=True, kw_only=True)
class AxiScenario:
    """Actions on the bus, which begin with a reset. Memories keep the contents that the previous scenario left.

    Parameters
    ----------
    actions : sequence of mappings
        Actions, carried out one after the other. {"packet": words} offers a packet, and the next action follows at
        once; {"beats": n} waits until n beats have been received since reset; {"write": address, "data": value} and
        {"read": address} access a register; {"write": address, "octet": value} writes with a single strobe;
        {"program": pairs} writes (address, value) pairs to the program port; {"idle": cycles} waits; {"reset": cycles}
        resets.
    stalls : "none", "random", "late" or "shut"
        Waits on all channels. "late": ready rises only after valid. "shut": no result is ever taken.
    seed : int
        Seed of random waits.
    limit : int
        Cycles within which an action must end.
    """

    actions: Sequence[Mapping[str, Any]]
    stalls: Literal["none", "random", "late", "shut"] = "none"
    seed: int = 0
    limit: int = 100_000


@dataclass(frozen=True, kw_only=True)
class AxiTrace:
    """Results of a scenario. Cycle 0 is the first after its last reset.

    Parameters
    ----------
    answers : list
        Response of each write, (value, response) of each read, set of responses of each "program".
    beats : list of (cycle, tdata, tlast)
        Beats taken from m_axis.
    offered, accepted : list of int
        Cycle in which each beat was first offered on m_axis; cycle in which each beat was taken on s_axis.
    cycles : int
        Total number of cycles.
    """

    answers: list
    beats: list[tuple[int, int, int]]
    offered: list[int]
    accepted: list[int]
    cycles: int


def run_axi(
    program: Program, scenarios: Sequence[AxiScenario], *, simulator: str = "verilator", initialised: bool = True,
    optimise: bool = False,
) -> list[AxiTrace]:
    """Run scenarios on a program's accelerator, one after the other in one simulation.

    Parameters
    ----------
    simulator : "verilator" or "icarus"
    initialised : bool
        Whether the memories hold the program from the start.
    optimise : bool
        Whether the simulator is compiled with optimisation, which does not pay off for short runs.

    Raises
    ------
    ToolError
        The simulator is missing, an action waited too long, or the accelerator broke a rule of the bus.
    """
    contents = linked_memories(program, buffer_bytes=0, initialised=initialised)
    shapes = [*contents, *(shape for shape in program.memories() if not initialised)]
    with tempfile.TemporaryDirectory(prefix="firstspike-") as name:
        folder = Path(name)
        (folder / f"{TOP}.v").write_text(verilog(AxiAccelerator(program), shapes))
        for shape in shapes:
            words = contents.get(shape, [0] * shape.depth)
            (folder / f"{shape.name}.hex").write_text(hex_image(words, shape))
        (folder / "plan.json").write_text(json.dumps([asdict(scenario) for scenario in scenarios]))
        outcome = run_bench(
            folder, simulator, "firstspike_sim.backends.benches.bench_axi", "seen.json", optimise=optimise)
        seen = json.loads(outcome.read_text())
    if seen["broken"]:
        raise ToolError(f"{program.network.name} on AXI in {simulator}: {seen['broken'][0]}")
    return [AxiTrace(**{**one, "beats": [tuple(beat) for beat in one["beats"]]}) for one in seen["scenarios"]]
