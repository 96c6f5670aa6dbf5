# SPDX-License-Identifier: MIT
"""Arty A7-100T (Digilent): Artix-7, 100 MHz, UART through its FTDI chip; SPI on Pmod JA."""

from amaranth.build import Attrs
from amaranth_boards.arty_a7 import ArtyA7_100Platform

from .board import Board, spi_pins
from .devices import DEVICES
from .xilinx7 import XILINX7

ARTY_A7_100T = Board(
    name="arty-a7-100t",
    title="Arty A7-100T (Artix-7)",
    device=DEVICES["artix-100t"],
    family=XILINX7,
    platform=ArtyA7_100Platform,
    spi=spi_pins(cs_n="1", copi="2", cipo="3", sck="4", conn=("pmod", 0), attrs=Attrs(IOSTANDARD="LVCMOS33")),
    clock_hz=100_000_000,
    leds=tuple(("led", number) for number in range(3)),
    reset=("rst", 0),
)
