# SPDX-License-Identifier: MIT
"""Bench that drives an AXI peripheral by the bus models of cocotbext-axi; see `firstspike_sim.backends.axi_bench`."""

import json
import os
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge, SimTimeoutError, with_timeout
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiStreamBus, AxiStreamSink, AxiStreamSource

PERIOD = 2
"""Period of the clock in ns."""

OUTPUTS = {"m_axis_t": ("data", "last"), "s_axi_b": ("resp",), "s_axi_r": ("data", "resp")}
"""Channels that the peripheral drives, and their signals that must not change while valid waits for ready."""


class Monitor:
    """Records the transfers of every cycle, and checks the rules of the channels. Cycle 0 is the first after reset."""

    def __init__(self, dut):
        self._dut, self.broken = dut, []
        self.begin()

    def begin(self):
        """Forget everything recorded; called during reset."""
        self.cycle, self.accepted, self.given, self.offered, self.beats = 0, [], [], [], []
        self._held = {}

    async def run(self):
        dut = self._dut
        while True:
            await FallingEdge(dut.aclk)
            if not int(dut.aresetn.value):
                self.begin()
                continue
            for channel, names in OUTPUTS.items():
                valid, ready = (int(getattr(dut, f"{channel}{name}").value) for name in ("valid", "ready"))
                payload = [int(getattr(dut, f"{channel}{name}").value) for name in names] if valid else None
                held = self._held.get(channel)
                if held is not None and payload != held:
                    self.broken.append(f"{channel}* changed in cycle {self.cycle} before it was taken")
                if payload and channel == "m_axis_t":
                    if held is None:
                        self.offered.append(self.cycle)
                    if ready:
                        self.beats.append([self.cycle, *payload])
                self._held[channel] = None if ready else payload
            if int(dut.s_axis_tvalid.value) and int(dut.s_axis_tready.value):
                self.accepted.append(self.cycle)
                self.given.append([int(dut.s_axis_tdata.value), int(dut.s_axis_tlast.value)])
            self.cycle += 1


class Bench:
    def __init__(self, dut):
        self.dut, self.monitor = dut, Monitor(dut)
        ends = (dut.aclk, dut.aresetn, False)
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), *ends, byte_lanes=1)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), *ends, byte_lanes=1)
        self.registers: Any = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), *ends)

    async def reset(self, cycles: int):
        self.dut.aresetn.value = 0
        for _ in range(cycles):
            await RisingEdge(self.dut.aclk)
        # No output may be valid between the last clock edge in reset and the first one after it.
        await FallingEdge(self.dut.aclk)
        for channel in OUTPUTS:
            if int(getattr(self.dut, f"{channel}valid").value):
                self.monitor.broken.append(f"{channel}valid is high in reset")
        await RisingEdge(self.dut.aclk)
        for channel in (self.source, self.sink, self.registers.write_if.b_channel, self.registers.read_if.r_channel):
            channel.clear()
        self.dut.aresetn.value = 1

    def stall(self, kind: str, seed: int):
        """Set up the waits on every channel, as `AxiScenario.stalls` defines them."""
        write, read = self.registers.write_if, self.registers.read_if
        givers = (self.source, write.aw_channel, write.w_channel, read.ar_channel)
        takers = {"m_axis_t": self.sink, "s_axi_b": write.b_channel, "s_axi_r": read.r_channel}
        for number, channel in enumerate((*givers, *takers.values())):
            waits = self.waits(np.random.default_rng((seed, number))) if kind == "random" else None
            channel.set_pause_generator(waits)
            channel.pause = False
        self.sink.pause = kind == "shut"
        if kind == "late":
            for name, channel in takers.items():
                channel.set_pause_generator(self._until_valid(name))

    @staticmethod
    def waits(random):
        """Waits of a channel."""
        while True:
            idle = random.random() < 0.5
            for _ in range(int(random.geometric(0.3))):
                yield idle

    def _until_valid(self, channel: str):
        while True:
            yield not int(getattr(self.dut, f"{channel}valid").value)

    async def act(self, action: dict, answers: list):
        """Carry out one action, and append its answer, if it has one."""
        match action:
            case {"packet": words}:
                self.source.send_nowait(words)
            case {"beats": count}:
                while len(self.monitor.beats) < count:
                    await RisingEdge(self.dut.aclk)
            case {"write": address, "data": data}:
                answers.append(int((await self.registers.write(address, data.to_bytes(4, "little"))).resp))
            case {"write": address, "octet": octet}:
                answers.append(int((await self.registers.write(address, bytes([octet]))).resp))
            case {"program": writes}:
                said = {int((await self.registers.write(at, data.to_bytes(4, "little"))).resp) for at, data in writes}
                answers.append(sorted(said))
            case {"read": address}:
                answer = await self.registers.read(address, 4)
                answers.append([int.from_bytes(answer.data, "little"), int(answer.resp)])
            case {"idle": cycles}:
                for _ in range(cycles):
                    await RisingEdge(self.dut.aclk)
            case {"reset": cycles}:
                await self.reset(cycles)


@cocotb.test()
async def axi(dut):
    folder = Path(os.environ["FIRSTSPIKE_FOLDER"])
    plan = json.loads((folder / "plan.json").read_text())
    bench, seen = Bench(dut), []
    dut.aresetn.value = 0
    cocotb.start_soon(Clock(dut.aclk, PERIOD, "ns").start())
    cocotb.start_soon(bench.monitor.run())
    for scenario in plan:
        bench.stall("none", 0)
        await bench.reset(4)
        bench.stall(scenario["stalls"], scenario["seed"])
        answers: list = []
        monitor = bench.monitor
        for action in scenario["actions"]:
            try:
                await with_timeout(bench.act(action, answers), scenario["limit"] * PERIOD, "ns")
            except SimTimeoutError:
                monitor.broken.append(f"{next(iter(action))} has not ended after {scenario['limit']} cycles, and "
                                      f"{len(monitor.beats)} beats")
            if monitor.broken:
                break
        seen.append({"answers": answers, "beats": monitor.beats, "offered": monitor.offered,
                     "accepted": monitor.accepted, "cycles": monitor.cycle})
        if monitor.broken:
            break
    (folder / "seen.json").write_text(json.dumps({"scenarios": seen, "broken": bench.monitor.broken}))
