# SPDX-License-Identifier: MIT
"""Bench for a single unit: sends words into its input streams and takes words from its output streams, with random
waits.

The same loop runs in Amaranth's simulator and, through cocotb, on the Verilog of the unit. It also checks the rule of
streams on every output: an offered word stays offered, unchanged, until it is taken.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from amaranth.hdl import Value
from amaranth.lib.wiring import Component
from amaranth.sim import Simulator
from firstspike_arch.memory import MemoryShape
from firstspike_hw.toolchain import ToolError
from firstspike_hw.verilog import verilog
from firstspike_hw.verilog_files import TOP, hex_image

from .cocotb_run import run_bench

__all__ = ["Pins", "exercise", "run_unit"]

class Pins(Protocol):
    """Access to the ports of a unit in a simulator, by their names."""

    def set(self, name: str, value: int) -> None: ...
    def get(self, name: str) -> int: ...
    async def settle(self) -> None: ...
    async def tick(self) -> None: ...


def run_unit(
    unit: Component, simulator: str, *, offers: Mapping[str, Sequence[int]], takes: Sequence[str],
    pulses: Mapping[str, Sequence[int]] | None = None, counts: Sequence[str] = (), cycles: int,
    quiet: int | None = None, seed: int | None = None, images: Mapping[MemoryShape, Sequence[int]] | None = None,
) -> dict[str, list[int]]:
    """Run a unit from reset for a number of cycles.

    Parameters
    ----------
    simulator : "pysim", "verilator" or "icarus"
    offers : mapping of str to sequence of int
        Words for each input stream.
    takes : sequence of str
        Output streams.
    pulses : mapping of str to sequence of int
        Cycles in which other inputs are high.
    counts : sequence of str
        Outputs whose high cycles are counted.
    cycles : int
        Length of the run, in clock cycles.
    quiet : int
        The run ends before that once all words are sent and no word has moved for so many cycles; None: it does not.
    seed : int
        Seed of the random waits on both sides; None: no waits.
    images : mapping of MemoryShape to sequence of int
        Contents of the memories that the Verilog loads from files.

    Returns
    -------
    dict
        The words taken from each output stream; for each of ``counts``, a list with its number of high cycles; and
        "left", a list with the number of words, of all input streams, that were not accepted.

    Raises
    ------
    ToolError
        The simulator is missing, or an output stream broke its rule.
    """
    plan = {
        "offers": {name: [int(word) for word in words] for name, words in offers.items()}, "takes": list(takes),
        "pulses": {name: [int(cycle) for cycle in at] for name, at in (pulses or {}).items()},
        "counts": list(counts), "cycles": cycles, "quiet": quiet, "seed": seed,
    }
    seen = _in_pysim(unit, plan) if simulator == "pysim" else _in_cocotb(unit, plan, simulator, images or {})
    if seen["broken"]:
        raise ToolError(f"{type(unit).__name__} in {simulator}: {seen['broken'][0]}")
    return seen


async def exercise(pins: Pins, plan: dict) -> dict:
    """Run the bench on a unit, one iteration per clock cycle; ``plan`` is made by `run_unit`."""
    random = np.random.default_rng(plan["seed"])
    inputs, outputs = plan["offers"], plan["takes"]
    sent, offered = dict.fromkeys(inputs, 0), dict.fromkeys(inputs, False)
    seen: dict = {name: [] for name in outputs} | {name: [0] for name in plan["counts"]} | {"broken": []}
    held: dict[str, int | None] = dict.fromkeys(outputs)
    left, moved = 0, 0
    for cycle in range(plan["cycles"]):
        idle = [plan["seed"] is not None and random.random() < 0.3 for _ in range(len(inputs) + len(outputs))]
        for name, wait in zip(inputs, idle, strict=False):
            offered[name] = sent[name] < len(inputs[name]) and (offered[name] or not wait)
            pins.set(f"{name}_valid", int(offered[name]))
            if offered[name]:
                pins.set(f"{name}_payload", inputs[name][sent[name]])
        for name, wait in zip(outputs, idle[len(inputs):], strict=True):
            pins.set(f"{name}_ready", int(not wait))
        for name, cycles in plan["pulses"].items():
            pins.set(name, int(cycle in cycles))
        await pins.settle()
        for name in inputs:
            if offered[name] and pins.get(f"{name}_ready"):
                sent[name], offered[name], moved = sent[name] + 1, False, cycle
        for name, wait in zip(outputs, idle[len(inputs):], strict=True):
            word = pins.get(f"{name}_payload") if pins.get(f"{name}_valid") else None
            if held[name] is not None and word != held[name]:
                seen["broken"].append(f"{name} changed in cycle {cycle} before it was taken")
            held[name] = word if wait else None
            if word is not None and not wait:
                seen[name].append(word)
                moved = cycle
        for name in plan["counts"]:
            seen[name][0] += pins.get(name)
        await pins.tick()
        left = sum(len(words) - sent[name] for name, words in inputs.items())
        if plan["quiet"] and not left and cycle - moved >= plan["quiet"]:
            break
    return seen | {"left": [left]}


class _PysimPins:
    def __init__(self, unit: Component, ctx):
        self._ctx = ctx
        self._values = {
            "_".join(map(str, path)): Value.cast(value) for path, _, value in unit.signature.flatten(unit)
        }

    def set(self, name: str, value: int) -> None:
        self._ctx.set(self._values[name], value)

    def get(self, name: str) -> int:
        return self._ctx.get(self._values[name])

    async def settle(self) -> None:
        """Do nothing: Amaranth's testbenches see settled values."""

    async def tick(self) -> None:
        await self._ctx.tick()


def _in_pysim(unit: Component, plan: dict) -> dict:
    seen: dict = {}

    async def bench(ctx):
        seen.update(await exercise(_PysimPins(unit, ctx), plan))

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return seen


def _in_cocotb(unit: Component, plan: dict, simulator: str, images: Mapping[MemoryShape, Sequence[int]]) -> dict:
    with tempfile.TemporaryDirectory(prefix="firstspike-") as name:
        folder = Path(name)
        (folder / f"{TOP}.v").write_text(verilog(unit, images))
        for shape, words in images.items():
            (folder / f"{shape.name}.hex").write_text(hex_image(list(words), shape))
        (folder / "plan.json").write_text(json.dumps(plan))
        seen = run_bench(folder, simulator, "firstspike_sim.backends.benches.bench_unit", "seen.json", optimise=False)
        return json.loads(seen.read_text())
