# SPDX-License-Identifier: MIT
"""iCEBreaker (1BitSquared): iCE40 UP5K, 12 MHz, UART through its FTDI chip; SPI on PMOD1A."""

from amaranth.build import Attrs
from amaranth_boards.icebreaker import ICEBreakerPlatform

from .board import Board, spi_pins
from .devices import DEVICES
from .ice40 import ICE40

ICEBREAKER = Board(
    name="icebreaker",
    title="iCEBreaker (iCE40 UP5K)",
    device=DEVICES["ice40-up5k"],
    family=ICE40,
    platform=ICEBreakerPlatform,
    spi=spi_pins(cs_n="1", copi="2", cipo="3", sck="4", conn=("pmod", 0), attrs=Attrs(IO_STANDARD="SB_LVCMOS")),
    clock_hz=24_000_000,
    leds=(("led_g", 0), ("led_r", 0)),
    reset=("button", 0),
    place=("--up5k", "--package", "sg48"),
)
