# SPDX-License-Identifier: MIT
"""Bench that drives one unit from inside the simulator; see `firstspike_sim.backends.unit_bench`."""

import json
import os
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge

from ..unit_bench import exercise


class CocotbPins:
    """The unit's ports in cocotb: inputs change after the rising edge, outputs are read before the next."""

    def __init__(self, dut):
        self._dut = dut

    def set(self, name: str, value: int) -> None:
        getattr(self._dut, name).value = value

    def get(self, name: str) -> int:
        return int(getattr(self._dut, name).value)

    async def settle(self) -> None:
        await FallingEdge(self._dut.clk)

    async def tick(self) -> None:
        await RisingEdge(self._dut.clk)


@cocotb.test()
async def unit(dut):
    folder = Path(os.environ["FIRSTSPIKE_FOLDER"])
    cocotb.start_soon(Clock(dut.clk, 2, "ns").start())
    dut.rst.value = 1
    for _ in range(2):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    seen = await exercise(CocotbPins(dut), json.loads((folder / "plan.json").read_text()))
    (folder / "seen.json").write_text(json.dumps(seen))
