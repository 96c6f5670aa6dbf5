# SPDX-License-Identifier: MIT
"""ULX3S (Radiona) with an 85F: ECP5, 25 MHz, UART through its FTDI chip."""

from amaranth_boards.ulx3s import ULX3S_85F_Platform

from .board import Board
from .devices import DEVICES
from .ecp5 import ECP5

ULX3S = Board(
    name="ulx3s",
    title="ULX3S (ECP5-85F, speed 6)",
    device=DEVICES["ecp5-85"],
    family=ECP5,
    platform=ULX3S_85F_Platform,
    clock_hz=85_000_000,
    leds=tuple(("led", number) for number in range(4)),
    reset=("button_fire", 0),
    place=("--85k", "--package", "CABGA381", "--speed", "6"),
)
