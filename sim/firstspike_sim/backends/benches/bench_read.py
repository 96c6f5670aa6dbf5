# SPDX-License-Identifier: MIT
"""Bench that gives a unit a memory of cocotbext-axi to read; see `firstspike_sim.backends.read_bench`."""

import json
import os
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import Event, FallingEdge, RisingEdge
from cocotbext.axi import AxiReadBus, AxiSlaveRead

PAGE = 4096
ADDRESS = ("arid", "araddr", "arlen", "arsize", "arburst", "arcache", "arprot")


class Contents:
    """What the slave reads: the memory, with errors, waits, or silence."""

    def __init__(self, dut, contents: bytes, scenario: dict, random):
        self._dut, self._contents, self._scenario, self._random = dut, contents, scenario, random
        self._given = 0

    async def read(self, address: int, length: int) -> bytes:
        if self._given == self._scenario["silent_after"]:
            await Event().wait()  # never set
        self._given += 1
        if self._scenario["stalls"] and self._random.random() < 0.1:
            for _ in range(int(self._random.integers(1, 40))):
                await RisingEdge(self._dut.clk)
        bad = address + length > len(self._contents) or any(
            low <= address < high for low, high in self._scenario["errors"])
        if bad:
            raise ValueError("cannot be read")
        return self._contents[address : address + length]


class Monitor:
    """Looks at both channels of the bus with this name in every cycle."""

    def __init__(self, dut, bus: str = "bus"):
        self._dut, self._bus, self.broken = dut, bus, []
        self.cycle, self.bursts, self.most, self.held = 0, [], 0, 0
        self._offered, self._open = None, 0

    def look(self):
        def value(name):
            return int(getattr(self._dut, f"{self._bus}_{name}").value)

        address = [value(name) for name in ADDRESS] if value("arvalid") else None
        if self._offered is not None and address != self._offered:
            self.broken.append(f"the address changed in cycle {self.cycle} before it was taken")
        self._offered = None if value("arready") else address
        if address:
            _, first, length, size, burst, _, _ = address
            octets = (length + 1) << size
            if burst != 1 or 8 << size != len(getattr(self._dut, f"{self._bus}_rdata")):
                self.broken.append(f"a burst of kind {burst}, size {size} in cycle {self.cycle}")
            if first % (1 << size) or first // PAGE != (first + octets - 1) // PAGE:
                self.broken.append(f"a burst of {octets} octets at {first:#x} in cycle {self.cycle}")
            if value("arready"):
                self.bursts.append([self.cycle, first, length + 1])
                self._open += 1
        self.most = max(self.most, self._open)
        if value("rvalid"):
            self.held += not value("rready")
            self._open -= value("rready") and value("rlast")
        self.cycle += 1


class Source:
    """Offers requests and takes answers."""

    def __init__(self, dut, number: int, requests: list, random):
        self._dut, self._number, self._left, self._random = dut, number, list(requests), random
        self.awaited, self.answers = len(requests), []
        self._offers, self._takes, self._held = False, False, None

    def drive(self):
        dut, number = self._dut, self._number
        late, idle = (self._random is not None and self._random.random() < 0.3 for _ in range(2))
        self._offers = bool(self._left) and (self._offers or not late)
        self._takes = not idle
        getattr(dut, f"requests{number}_valid").value = self._offers
        getattr(dut, f"responses{number}_ready").value = self._takes
        if self._left:
            address, beats = self._left[0]
            bits = len(getattr(dut, f"requests{number}_payload")) - 16
            getattr(dut, f"requests{number}_payload").value = beats << bits | address

    def look(self, broken: list):
        dut, number = self._dut, self._number
        if self._offers and int(getattr(dut, f"requests{number}_ready").value):
            self._left.pop(0)
            self._offers = False
        word = None
        if int(getattr(dut, f"responses{number}_valid").value):
            word = int(getattr(dut, f"responses{number}_payload").value)
        if self._held is not None and word != self._held:
            broken.append(f"responses{number} changed before it was taken")
        self._held = None if self._takes else word
        if word is not None and self._takes:
            bits = len(dut.bus_rdata)
            last = word >> bits & 1
            self.answers.append([word & (1 << bits) - 1, last, word >> bits + 1])
            self.awaited -= last

    @property
    def done(self) -> bool:
        return not self.awaited


def waits(random):
    while True:
        yield random.random() < 0.4


@cocotb.test()
async def reads(dut):
    folder = Path(os.environ["FIRSTSPIKE_FOLDER"])
    plan, contents = json.loads((folder / "plan.json").read_text()), (folder / "memory.bin").read_bytes()
    cocotb.start_soon(Clock(dut.clk, 2, "ns").start())
    slave = AxiSlaveRead(AxiReadBus.from_prefix(dut, "bus"), dut.clk, dut.rst)
    seen, broken = [], []
    for scenario in plan["scenarios"]:
        dut.rst.value = 1
        for number in range(plan["sources"]):
            getattr(dut, f"requests{number}_valid").value = 0
            getattr(dut, f"responses{number}_ready").value = 0
        for _ in range(3):
            await FallingEdge(dut.clk)
        if int(dut.bus_arvalid.value):
            broken.append("an address is offered in reset")
        randoms = [np.random.default_rng((scenario["seed"], place)) for place in range(plan["sources"] + 3)]
        slave.target = Contents(dut, contents, scenario, randoms[-1])
        for channel, random in ((slave.ar_channel, randoms[-2]), (slave.r_channel, randoms[-3])):
            channel.set_pause_generator(waits(random) if scenario["stalls"] else None)
            channel.pause = False
        sources = [Source(dut, number, requests, randoms[number] if scenario["stalls"] else None)
                   for number, requests in enumerate(scenario["requests"])]
        await RisingEdge(dut.clk)
        dut.rst.value = 0
        monitor = Monitor(dut)
        while not all(source.done for source in sources) and not broken:
            for source in sources:
                source.drive()
            await FallingEdge(dut.clk)
            monitor.look()
            for source in sources:
                source.look(broken)
            broken += monitor.broken
            if monitor.cycle == scenario["limit"]:
                broken.append(f"not all answers have come after {monitor.cycle} cycles")
            await RisingEdge(dut.clk)
        seen.append({"answers": [source.answers for source in sources], "bursts": monitor.bursts, "most": monitor.most,
                     "held": monitor.held, "dead": bool(int(dut.dead.value)), "cycles": monitor.cycle})
        if broken:
            break
    (folder / "seen.json").write_text(json.dumps({"scenarios": seen, "broken": broken}))
