# SPDX-License-Identifier: MIT
"""Test of a board's SDRAM, as a bitstream of its own: LEDs show whether all of it holds what was written."""

from typing import Any

from amaranth.hdl import ClockDomain, ClockSignal, Elaboratable, Instance, Module, ResetSignal, Signal
from amaranth.lib import io
from amaranth.lib.cdc import ResetSynchronizer
from amaranth.lib.wiring import connect
from firstspike_hw.sdram.sdram_core import CORE, SdramCore
from firstspike_hw.sdram.sdram_memory import SdramMemory
from firstspike_hw.sdram.sdram_tester import SdramTester

from .board import Board
from .pll import PllSetting

__all__ = ["SdramTestTop", "memory_instance", "sdram_test_files"]

_PINS = {"a": "a", "ba": "ba", "cas_n": "cas", "cke": "clk_en", "cs_n": "cs", "dm": "dqm", "ras_n": "ras",
         "we_n": "we"}
"""Ports of the controller, and what amaranth-boards calls their pins; the signals of both have the same levels."""


def memory_instance(m: Module, memory: SdramMemory, pins) -> Instance:
    """LiteDRAM's controller between a memory and the pins of an SDRAM (``platform.request("sdram", dir="-")``).

    The chip's clock is the other edge of ours: half a period for its commands, and as much for its data on the way back
    beside the chip's own access time.
    """
    native, control = memory.user_port_0, memory.wb_ctrl
    ports = {"i_clk": ClockSignal(), "i_rst": ResetSignal(), "io_sdram_dq": pins.dq.io, "i_wb_ctrl_cti": 0,
             "i_wb_ctrl_bte": 0}
    for prefix, bus in (("user_port_0", native), ("wb_ctrl", control)):
        for name, member in bus.signature.members.items():
            way = "o" if member.flow.name == "In" else "i"
            ports[f"{way}_{prefix}_{name}"] = getattr(bus, name)
    for name, pin in _PINS.items():
        port = getattr(pins, pin)
        level = Signal(len(port), name=f"sdram_{name}")
        ports[f"o_sdram_{name}"] = level
        m.submodules[f"pin_{pin}"] = buffer = io.Buffer(io.Direction.Output, ~port if any(port.invert) else port)
        m.d.comb += buffer.o.eq(level)
    m.submodules.pin_clk = clock = io.DDRBuffer(io.Direction.Output, pins.clk)
    halves: Any = clock.o  # pyright: ignore[reportAttributeAccessIssue] - a gap of the stubs
    m.d.comb += [halves[0].eq(0), halves[1].eq(1)]
    return Instance(CORE, **ports)


class SdramTestTop(Elaboratable):
    """Writes and reads all of the board's SDRAM once: LED 0 is lit at the end, LED 1 if a beat was wrong.

    Its Verilog needs that of the core beside it.
    """

    def __init__(self, board: Board, setting: PllSetting, core: SdramCore, *, data_bits: int = 64):
        self._board, self._setting, self._core, self._data_bits = board, setting, core, data_bits

    def elaborate(self, platform):
        m = Module()
        chip, bits = self._core.chip, self._data_bits
        clock, locked = self._board.family.clock(m, platform.request(platform.default_clk, dir="-"), self._setting)
        m.domains.sync = ClockDomain()
        m.d.comb += ClockSignal().eq(clock)
        m.submodules.reset = ResetSynchronizer(~locked)
        m.submodules.memory = memory = SdramMemory(chip, self._core.steps, data_bits=bits)
        m.submodules.tester = tester = SdramTester(data_bits=bits, beats=chip.size * 8 // bits)
        m.submodules.core = memory_instance(m, memory, platform.request("sdram", dir="-"))
        connect(m, tester.writes, memory.writes)
        connect(m, tester.requests, memory.requests)
        connect(m, memory.responses, tester.responses)
        for light, (name, number, *_) in zip((tester.done, tester.wrong), self._board.leds, strict=False):
            pin = platform.request(name, number, dir="-")
            m.submodules[f"{name}{number}"] = led = io.Buffer(io.Direction.Output, pin)
            m.d.comb += led.o.eq(light)
        return m


def sdram_test_files(board: Board, setting: PllSetting, core: SdramCore) -> dict[str, str]:
    """Collect the files that synthesis of the test needs, by name, with pins and clocks."""
    platform = board.platform()
    platform.add_file(f"{CORE}.v", core.text)
    plan = platform.prepare(SdramTestTop(board, setting, core), "top", debug_verilog=False, emit_src=False)
    return {name: content if isinstance(content, str) else content.decode() for name, content in plan.files.items()}
