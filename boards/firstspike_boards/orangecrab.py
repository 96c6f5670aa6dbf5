# SPDX-License-Identifier: MIT
"""OrangeCrab r0.2 (Good Stuff Department) with a 25F: ECP5, 48 MHz; UART on the header pins 0 (rx) and 1 (tx); SPI on
the pins labelled copi, cipo and sck, and on pin 10 (cs)."""

from amaranth.build import Attrs
from amaranth_boards.orangecrab_r0_2 import OrangeCrabR0_2_25FPlatform
from amaranth_boards.resources import UARTResource

from .board import Board, spi_pins
from .devices import DEVICES
from .ecp5 import ECP5

ORANGECRAB = Board(
    name="orangecrab",
    title="OrangeCrab r0.2 (ECP5-25F, speed 8)",
    device=DEVICES["ecp5-25"],
    family=ECP5,
    platform=OrangeCrabR0_2_25FPlatform,
    resources=(UARTResource(0, rx="0", tx="1", conn=("io", 0), attrs=Attrs(IO_TYPE="LVCMOS33")),),
    spi=spi_pins(cs_n="10", copi="copi", cipo="cipo", sck="sck", conn=("io", 0), attrs=Attrs(IO_TYPE="LVCMOS33")),
    clock_hz=80_000_000,
    leds=tuple(("rgb_led", 0, colour) for colour in "gbr"),
    reset=("button", 0),
    place=("--25k", "--package", "CSFBGA285", "--speed", "8"),
    pack=("--freq", "38.8"),
)
