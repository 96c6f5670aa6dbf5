# SPDX-License-Identifier: MIT
"""iCEBreaker (1BitSquared): iCE40 UP5K, 12 MHz, UART through its FTDI chip."""

from amaranth_boards.icebreaker import ICEBreakerPlatform

from .board import Board
from .devices import DEVICES
from .ice40 import ICE40

ICEBREAKER = Board(
    name="icebreaker",
    title="iCEBreaker (iCE40 UP5K)",
    device=DEVICES["ice40-up5k"],
    family=ICE40,
    platform=ICEBreakerPlatform,
    clock_hz=24_000_000,
    leds=(("led_g", 0), ("led_r", 0)),
    reset=("button", 0),
    place=("--up5k", "--package", "sg48"),
)
