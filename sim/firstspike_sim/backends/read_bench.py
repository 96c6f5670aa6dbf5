# SPDX-License-Identifier: MIT
"""Bench for units that read an external memory over AXI: their Verilog, and a memory of cocotbext-axi.

The bench also checks the rules of the bus in every cycle: an address stays unchanged until it is taken, bursts are
INCR, of whole beats and within 4 KiB, and no more of them are under way than allowed; and that of streams on every
answer. The memory model checks 4 KiB on its own, too.
"""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from amaranth.lib.wiring import Component
from firstspike_hw.toolchain import ToolError
from firstspike_hw.verilog import verilog
from firstspike_hw.verilog_files import TOP

from .cocotb_run import run_bench

__all__ = ["ReadScenario", "ReadTrace", "run_reads"]


@dataclass(frozen=True, kw_only=True)
class ReadScenario:
    """Requests, and how the memory behaves. It begins with a reset, and ends with the last beat.

    Parameters
    ----------
    requests : sequence of sequence of (int, int)
        Address and beats of each request, of each source.
    stalls : bool
        Random waits of all sources and on both channels of the bus, and before each beat.
    seed : int
        Seed of the waits.
    errors : sequence of (int, int)
        First octet, and the one behind the last, of ranges that the memory cannot read.
    silent_after : int, optional
        Beats that the memory gives before it falls silent.
    limit : int
        Cycles within which all answers must have come.
    """

    requests: Sequence[Sequence[tuple[int, int]]]
    stalls: bool = False
    seed: int = 0
    errors: Sequence[tuple[int, int]] = ()
    silent_after: int | None = None
    limit: int = 8_000


@dataclass(frozen=True, kw_only=True)
class ReadTrace:
    """What happened in a scenario; cycle 0 is the first after reset.

    Parameters
    ----------
    answers : list of list of (data, last, error)
        Beats that each source got.
    bursts : list of (cycle, address, beats)
        Bursts that the memory took.
    most : int
        Most bursts under way in one cycle.
    held : int
        Cycles in which a beat waited for ``rready``.
    dead : bool
        The memory was given up.
    cycles : int
        Cycles until the last answer.
    """

    answers: list[list[tuple[int, int, int]]]
    bursts: list[tuple[int, int, int]]
    most: int
    held: int
    dead: bool
    cycles: int


def run_reads(
    unit: Component, contents: bytes, scenarios: Sequence[ReadScenario], *, sources: int, simulator: str = "verilator",
) -> list[ReadTrace]:
    """Run scenarios on a unit with members ``requests0``, ``responses0``, …, ``bus`` and ``dead``, one after the other.

    Parameters
    ----------
    contents : bytes
        Of the memory, from address 0 on. All beyond is an error.
    simulator : "verilator" or "icarus"

    Raises
    ------
    ToolError
        The simulator is missing, a scenario did not end, or a rule was broken.
    """
    with tempfile.TemporaryDirectory(prefix="firstspike-") as name:
        folder = Path(name)
        (folder / f"{TOP}.v").write_text(verilog(unit, []))
        (folder / "memory.bin").write_bytes(contents)
        (folder / "plan.json").write_text(json.dumps(
            {"sources": sources, "scenarios": [asdict(one) for one in scenarios]}))
        outcome = run_bench(
            folder, simulator, "firstspike_sim.backends.benches.bench_read", "seen.json", optimise=False)
        seen = json.loads(outcome.read_text())
    if seen["broken"]:
        raise ToolError(f"{type(unit).__name__} in {simulator}: {seen['broken'][0]}")
    return [ReadTrace(**{**one, "answers": [[tuple(beat) for beat in source] for source in one["answers"]],
                         "bursts": [tuple(burst) for burst in one["bursts"]]}) for one in seen["scenarios"]]
