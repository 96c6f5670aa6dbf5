# SPDX-License-Identifier: MIT
"""Top module of a board: PLL, reset, UART or SPI, SDRAM and status LEDs around the accelerator's Verilog module."""

import math
from functools import reduce

from amaranth.hdl import ClockDomain, ClockSignal, Elaboratable, Instance, Module, ResetSignal, Signal, Value
from amaranth.lib import io
from amaranth.lib.cdc import FFSynchronizer
from firstspike_hw.sdram.sdram_memory import SdramMemory
from firstspike_hw.verilog_files import TOP

from .board import SPI_PINS, Board
from .pll import PllSetting
from .sdram_top import memory_instance

__all__ = ["BoardTop"]

RESET_SECONDS = 20e-6
"""How long reset lasts once the PLL has locked. iCE40's block RAMs read as 0 in the first µs after configuration."""


class BoardTop(Elaboratable):
    """Everything between the pins and module `TOP`, a `UartAccelerator` or `SpiAccelerator` by the board's transport.

    The LEDs show, in this order: a request is being carried out; a frame was dropped; reset is over. A board with fewer
    LEDs shows the first of these.

    Reset lasts from power-up until `RESET_SECONDS` after the PLL has locked. The button resets while it is held and for
    `RESET_SECONDS` afterwards.

    With a ``memory``, external weights lie in the board's SDRAM; LiteDRAM's Verilog must be beside the accelerator's.
    """

    def __init__(self, board: Board, setting: PllSetting, memory: SdramMemory | None = None):
        self._board, self._setting, self._memory = board, setting, memory

    def elaborate(self, platform):
        m = Module()
        board = self._board
        clock, locked = board.family.clock(m, platform.request(platform.default_clk, dir="-"), self._setting)
        m.domains += [ClockDomain("sync"), ClockDomain("start", reset_less=True)]
        m.d.comb += [ClockSignal("sync").eq(clock), ClockSignal("start").eq(clock)]
        self._build_reset(m, platform, locked)
        wires = self._build_spi(m, platform) if board.transport == "spi" else self._build_uart(m, platform)
        if self._memory is not None:
            wires |= self._build_memory(m, platform, self._memory)
        busy, fault = Signal(), Signal()
        m.submodules.accelerator = Instance(
            TOP, i_clk=ClockSignal("sync"), i_rst=ResetSignal("sync"), **wires, o_busy=busy, o_fault=fault,
        )
        groups = {}  # the platform hands out all colours of one LED in a single request
        for light, (name, number, *part) in zip((busy, fault, ~ResetSignal("sync")), board.leds, strict=False):
            if (name, number) not in groups:
                groups[name, number] = platform.request(name, number, dir="-")
            buffer = io.Buffer(io.Direction.Output, reduce(getattr, part, groups[name, number]))
            m.submodules += buffer
            m.d.comb += buffer.o.eq(light)
        return m

    def _build_uart(self, m: Module, platform) -> dict:
        uart = platform.request("uart", 0, dir="-")
        m.submodules.rx = rx = io.Buffer(io.Direction.Input, uart.rx)
        m.submodules.tx = tx = io.Buffer(io.Direction.Output, uart.tx)
        return {"i_rx": rx.i, "o_tx": tx.o}

    def _build_spi(self, m: Module, platform) -> dict:
        spi = platform.request(SPI_PINS, 0, dir="-")
        m.submodules.cs = cs = io.Buffer(io.Direction.Input, spi.cs)
        m.submodules.sck = sck = io.Buffer(io.Direction.Input, spi.clk)
        m.submodules.copi = copi = io.Buffer(io.Direction.Input, spi.copi)
        m.submodules.cipo = cipo = io.Buffer(io.Direction.Output, spi.cipo)
        return {"i_cs_n": ~cs.i, "i_sck": sck.i, "i_copi": copi.i, "o_cipo": cipo.o, "o_selected": cipo.oe}

    def _build_memory(self, m: Module, platform, memory: SdramMemory) -> dict:
        m.submodules.memory = memory
        m.submodules.controller = memory_instance(m, memory, platform.request("sdram", dir="-"))
        wires: dict = {"i_memory_started": memory.started}
        for name, stream, way, back in (("requests", memory.requests, "o", "i"), ("writes", memory.writes, "o", "i"),
                                        ("responses", memory.responses, "i", "o")):
            wires |= {f"{way}_memory_{name}_valid": stream.valid, f"{back}_memory_{name}_ready": stream.ready,
                      f"{way}_memory_{name}_payload": Value.cast(stream.payload)}
        return wires

    def _build_reset(self, m: Module, platform, locked) -> None:
        last = math.ceil(RESET_SECONDS * self._setting.hz)
        timer, steady, pressed = Signal(range(last + 1)), Signal(), Signal()
        m.submodules.steady = FFSynchronizer(locked, steady, o_domain="start", init=0)
        if self._board.reset is not None:
            name, number = self._board.reset
            port = platform.request(name, number, dir="-")
            m.submodules.button = button = io.Buffer(io.Direction.Input, port)
            m.submodules.pressed = FFSynchronizer(button.i, pressed, o_domain="start", init=0)
        with m.If(~steady | pressed):
            m.d.start += timer.eq(0)
        with m.Elif(timer != last):
            m.d.start += timer.eq(timer + 1)
        reset = Signal(init=1)
        m.d.start += reset.eq(timer != last)
        m.d.comb += ResetSignal("sync").eq(reset)
