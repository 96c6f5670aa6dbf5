# SPDX-License-Identifier: MIT
"""Bench that lets a process outside use an AXI peripheral as its processor would; see `SimulatedZynq`.

Time passes only in accesses to registers: between two of them the simulation stands still.
"""

import json
import os
import socket
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, First, RisingEdge
from cocotb.utils import get_sim_time
from cocotbext.axi import AxiReadBus, AxiSlaveRead

from .bench_axi import PERIOD, Bench
from .bench_read import Monitor
from .stream_engines import AxiDmaModel, StreamFifoModel

ENGINE_CYCLES = 8
"""An access to a register of an engine takes so long."""


class WeightReads:
    """The memory as m_axi reads it: a target of `AxiSlaveRead`, with ranges of addresses that cannot be read."""

    def __init__(self, dut: Any, memory: bytearray):
        self._dut, self._memory, self.wrong, self.silent, self.broken = dut, memory, [], False, []
        self._slave = AxiSlaveRead(AxiReadBus.from_prefix(dut, "m_axi"), dut.aclk, dut.aresetn, self, False)

    async def read(self, address: int, length: int) -> bytes:
        while self.silent:
            await RisingEdge(self._dut.aclk)
        if address + length > len(self._memory) or any(low < address + length and address < end
                                                       for low, end in self.wrong):
            raise ValueError("cannot be read")
        return bytes(self._memory[address:address + length])

    def stall(self, kind: str, seed: int) -> None:
        """Waits on both channels."""
        for number, channel in enumerate((self._slave.ar_channel, self._slave.r_channel)):
            channel.set_pause_generator(
                Bench.waits(np.random.default_rng((seed, 50 + number))) if kind == "random" else None)
            channel.pause = False

    async def monitor(self) -> None:
        """Check the rules of the bus in every cycle."""
        reads = Monitor(self._dut, "m_axi")
        while True:
            await FallingEdge(self._dut.aclk)
            if not int(self._dut.aresetn.value):
                reads = Monitor(self._dut, "m_axi")
                continue
            reads.look()
            self.broken += reads.broken


class Zynq:
    """The peripheral, an engine for its streams, and memory.

    Parameters
    ----------
    settings : dict
        "beat_bytes" of s_axis, "memory_bytes", "engine", "dma" or "fifo", and whether the peripheral is "reading" the
        memory itself.
    """

    def __init__(self, dut: Any, settings: dict):
        self.dut, self.bench, self.memory = dut, Bench(dut), bytearray(settings["memory_bytes"])
        if settings["engine"] == "dma":
            self.engine: Any = AxiDmaModel(self.bench, settings["beat_bytes"], self.memory)
        else:
            self.engine = StreamFifoModel(self.bench, settings["beat_bytes"])
        self.reads = WeightReads(dut, self.memory) if settings["reading"] else None
        self.stall("none", 0)

    def stall(self, kind: str, seed: int) -> None:
        """Waits on all channels, as in `AxiScenario`; the results' side also waits for the engine."""
        self.bench.stall(kind if kind == "random" else "none", seed)
        if self.reads is not None:
            self.reads.stall(kind, seed)
        random = np.random.default_rng((seed, 99))

        def waits():
            while True:
                shut = kind == "shut" or (kind == "random" and random.random() < 0.5)
                for _ in range(int(random.geometric(0.3)) if kind == "random" else 1):
                    yield shut or not self.engine.takes()

        self.bench.sink.set_pause_generator(waits())

    async def reset_later(self, cycles: int) -> None:
        for _ in range(cycles):
            await RisingEdge(self.dut.aclk)
        await self.reset()

    async def reset(self) -> None:
        """A reset of the peripheral and the engine, as a Processor System Reset makes it. Memories stay."""
        await self.bench.reset(4)
        self.engine.reset()
        self.engine.first = 0  # the monitor begins anew, too

    async def access(self, action: Any) -> Any:
        """Carry out an access to a register of the peripheral; None if a reset came between."""
        task = cocotb.start_soon(action)
        await First(task, FallingEdge(self.dut.aresetn))
        return task.result() if task.done() else None

    async def answer(self, command: list) -> Any:
        """Carry out one command; its answer is plain JSON."""
        match command:
            case ["read", address]:
                said = await self.access(self.bench.registers.read(address, 4))
                return [None if said is None else int(said.resp), 0 if said is None else
                        int.from_bytes(said.data, "little")]
            case ["write", address, value]:
                said = await self.access(self.bench.registers.write(address, value.to_bytes(4, "little")))
                return None if said is None else int(said.resp)
            case ["engine read", address]:
                await self.pass_time()
                return self.engine.read(address)
            case ["engine write", address, value]:
                await self.pass_time()
                self.engine.write(address, value)
            case ["store", address, octets]:
                data = bytes.fromhex(octets)
                self.memory[address:address + len(data)] = data
            case ["fetch", address, count]:
                return self.memory[address:address + count].hex()
            case ["stall", kind, seed]:
                self.stall(kind, seed)
            case ["memory", wrong, silent]:
                assert self.reads is not None, "the peripheral reads no memory"
                self.reads.wrong, self.reads.silent = wrong, silent
            case ["reset later", cycles]:
                cocotb.start_soon(self.reset_later(cycles))
            case ["seen"]:
                return {"given": self.bench.monitor.given, "taken": [beat[1:] for beat in self.bench.monitor.beats]}
        return None

    async def pass_time(self) -> None:
        for _ in range(ENGINE_CYCLES):
            await RisingEdge(self.dut.aclk)


@cocotb.test()
async def zynq(dut):
    folder = Path(os.environ["FIRSTSPIKE_FOLDER"])
    board = Zynq(dut, json.loads((folder / "settings.json").read_text()))
    dut.aresetn.value = 0
    cocotb.start_soon(Clock(dut.aclk, PERIOD, "ns").start())
    cocotb.start_soon(board.bench.monitor.run())
    if board.reads is not None:
        cocotb.start_soon(board.reads.monitor())
    await board.reset()
    with socket.socket(socket.AF_UNIX) as line:
        line.connect((folder / "socket").as_posix())
        with line.makefile("rw") as stream:
            for command in iter(stream.readline, ""):
                answer = await board.answer(json.loads(command))
                cycles = int(get_sim_time("ns")) // PERIOD
                broken = board.bench.monitor.broken + (board.reads.broken if board.reads else [])
                stream.write(json.dumps([answer, cycles, broken[:1]]) + "\n")
                stream.flush()
    (folder / "ended.json").write_text("{}")
