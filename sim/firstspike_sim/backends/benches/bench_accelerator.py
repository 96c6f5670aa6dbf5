# SPDX-License-Identifier: MIT
"""Bench that drives the whole accelerator from inside the simulator; see `firstspike_sim.backends.cocotb_bench`."""

import os
import time
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge


async def reset(dut):
    """Reset for two cycles; return in the first cycle after that, before its inputs are set."""
    for name in ("source_valid", "result_ready", "program_port_valid", "restart", "status_address", "read_back_asks"):
        if hasattr(dut, name):
            getattr(dut, name).value = 0
    dut.rst.value = 1
    for _ in range(2):
        await RisingEdge(dut.clk)
    dut.rst.value = 0


class Run:
    """One run of a stimulus. Cycle 0 is the first after reset."""

    def __init__(self, stimulus, edges: int):
        self.words, self.gaps, self.stalls = (stimulus[name].tolist() for name in ("words", "gaps", "stalls"))
        self.accepted, self.decided, self.taken = [], {}, []
        self.results: list[int] = []
        self.transfers: list[list[tuple[int, int]]] = [[] for _ in range(edges)]
        self.available = self.gaps[0]

    def drive(self, dut, cycle: int) -> bool:
        """Set the inputs of a cycle; return whether a word is offered."""
        word = len(self.accepted)
        offered = word < len(self.words) and cycle >= self.available
        dut.source_valid.value = int(offered)
        if offered:
            dut.source_payload.value = self.words[word]
        place = len(self.results)
        stall = self.stalls[place] if place < len(self.stalls) else 0
        dut.result_ready.value = int(stall == 0 or (place in self.decided and cycle >= self.decided[place] + stall))
        return offered

    def sample(self, dut, cycle: int, offered: bool) -> bool:
        """Record the transfers of a cycle; return whether there was any, or a word or result still waits."""
        busy = False
        place = len(self.results)
        if place < len(self.stalls) and int(dut.result_valid.value):
            self.decided.setdefault(place, cycle)
            if int(dut.result_ready.value):
                self.results.append(int(dut.result_payload.value))
                self.taken.append(cycle)
        if offered and int(dut.source_ready.value):
            self.accepted.append(cycle)
            word = len(self.accepted)
            if word < len(self.words):
                self.available = cycle + 1 + self.gaps[word]
        for index, transfers in enumerate(self.transfers):
            valid, ready = getattr(dut, f"edge{index}_valid"), getattr(dut, f"edge{index}_ready")
            if int(valid.value) and int(ready.value):
                transfers.append((int(getattr(dut, f"edge{index}_payload").value), cycle))
                busy = True
        return busy or len(self.results) < len(self.stalls) or len(self.accepted) < len(self.words)


@cocotb.test()
async def whole_accelerator(dut):
    folder = Path(os.environ["FIRSTSPIKE_FOLDER"])
    stimulus = np.load(folder / "stimulus.npz", allow_pickle=False)
    edges, limit, reset_at = (int(stimulus[name]) for name in ("edges", "limit", "reset_at"))
    cocotb.start_soon(Clock(dut.clk, 2, "ns").start())
    for last in ([reset_at, limit] if reset_at else [limit]):
        await reset(dut)
        run, quiet, start = Run(stimulus, edges), 0, time.perf_counter()
        for cycle in range(last):
            offered = run.drive(dut, cycle)
            await FallingEdge(dut.clk)
            quiet = 0 if run.sample(dut, cycle, offered) else quiet + 1
            await RisingEdge(dut.clk)
            if quiet == int(stimulus["drain"]):
                break
    assert quiet == int(stimulus["drain"]), f"no end within {limit} cycles: {len(run.results)} of {len(run.stalls)}"
    results = [format(word, f"0{int(stimulus['result_digits'])}x") for word in run.results]
    trace: dict[str, Any] = {
        "accepted": run.accepted, "decided": list(run.decided.values()), "taken": run.taken, "results": results,
        "cycles_per_second": (cycle + 1) / (time.perf_counter() - start),
    }
    for index, log in enumerate(run.transfers):
        trace[f"edge{index}"] = np.array(log, dtype=np.int64).reshape(-1, 2)
    np.savez(folder / "trace.npz", **trace)
