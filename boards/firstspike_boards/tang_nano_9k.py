# SPDX-License-Identifier: MIT
"""Tang Nano 9K (Sipeed): GW1NR-9C, 27 MHz, UART through its USB bridge."""

from functools import partial

from amaranth_boards.tang_nano_9k import TangNano9kPlatform

from .board import Board
from .devices import DEVICES
from .gowin import GOWIN

TANG_NANO_9K = Board(
    name="tangnano9k",
    title="Tang Nano 9K (GW1NR-9C)",
    device=DEVICES["gw1n-9"],
    family=GOWIN,
    platform=partial(TangNano9kPlatform, toolchain="Apicula"),
    clock_hz=54_000_000,
    leds=tuple(("led", number) for number in range(3)),
    reset=("button", 0),
    place=("--device", "GW1NR-LV9QN88PC6/I5", "--vopt", "family=GW1N-9C"),
    pack=("-d", "GW1N-9C", "--sspi_as_gpio", "--mspi_as_gpio"),
)
