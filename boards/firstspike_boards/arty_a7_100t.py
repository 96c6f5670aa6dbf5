# SPDX-License-Identifier: MIT
"""Arty A7-100T (Digilent): Artix-7, 100 MHz, UART through its FTDI chip."""

from amaranth_boards.arty_a7 import ArtyA7_100Platform

from .board import Board
from .devices import DEVICES
from .xilinx7 import XILINX7

ARTY_A7_100T = Board(
    name="arty-a7-100t",
    title="Arty A7-100T (Artix-7)",
    device=DEVICES["artix-100t"],
    family=XILINX7,
    platform=ArtyA7_100Platform,
    clock_hz=100_000_000,
    leds=tuple(("led", number) for number in range(3)),
    reset=("rst", 0),
)
