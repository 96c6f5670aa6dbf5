# SPDX-License-Identifier: MIT
"""Bench that writes and reads an SDRAM from inside the simulator; see `firstspike_sim.boards.sdram_bench`."""

import json
import os
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge


@cocotb.test()
async def sdram(dut):
    folder = Path(os.environ["FIRSTSPIKE_FOLDER"])
    plan, seen = json.loads((folder / "plan.json").read_text()), []
    cocotb.start_soon(Clock(dut.clk, 2, "ns").start())
    for name in ("requests", "writes"):
        getattr(dut, f"{name}_valid").value = 0
    dut.responses_ready.value = 0
    dut.rst.value = 1
    for _ in range(4):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    await RisingEdge(dut.started)
    await RisingEdge(dut.clk)
    for phase in plan["phases"]:
        random = None if phase["seed"] is None else np.random.default_rng(phase["seed"])
        left = {name: list(words) for name, words in phase["offers"].items()}
        offered, answers = dict.fromkeys(left, False), []
        for cycle in range(phase["cycles"]):
            for name, words in left.items():
                late = random is not None and random.random() < 0.3
                offered[name] = bool(words) and (offered[name] or not late)
                getattr(dut, f"{name}_valid").value = offered[name]
                if offered[name]:
                    getattr(dut, f"{name}_payload").value = words[0]
            takes = random is None or random.random() < 0.7
            dut.responses_ready.value = takes
            await FallingEdge(dut.clk)
            for name, words in left.items():
                if offered[name] and int(getattr(dut, f"{name}_ready").value):
                    words.pop(0)
                    offered[name] = False
            if takes and int(dut.responses_valid.value):
                word, bits = int(dut.responses_payload.value), plan["data_bits"]
                answers.append([cycle, word & (1 << bits) - 1, word >> bits & 1, word >> bits + 1])
            await RisingEdge(dut.clk)
        seen.append({"answers": answers, "left": sum(map(len, left.values())), "fault": int(dut.fault.value)})
    (folder / "seen.json").write_text(json.dumps(seen))
