# SPDX-License-Identifier: MIT
"""ULX3S (Radiona) with an 85F: ECP5, 25 MHz, UART through its FTDI chip; SPI on the header's pins 0+ (cs), 0−,
1+ and 1− (copi, cipo, sck); SDRAM of 32 MiB."""

from amaranth.build import Attrs
from amaranth_boards.ulx3s import ULX3S_85F_Platform
from firstspike_hw.sdram.sdram_core import SdramChip

from .board import Board, BoardMemory, spi_pins
from .devices import DEVICES
from .ecp5 import ECP5

ULX3S = Board(
    name="ulx3s",
    title="ULX3S (ECP5-85F, speed 6)",
    device=DEVICES["ecp5-85"],
    family=ECP5,
    platform=ULX3S_85F_Platform,
    spi=spi_pins(cs_n="0+", copi="0-", cipo="1+", sck="1-", conn=("gpio", 0), attrs=Attrs(IO_TYPE="LVCMOS33")),
    clock_hz=85_000_000,
    leds=tuple(("led", number) for number in range(4)),
    reset=("button_fire", 0),
    place=("--85k", "--package", "CABGA381", "--speed", "6"),
    # Its data has half a period less the access time of 6 ns to come back.
    memory=BoardMemory(chip=SdramChip(module="IS42S16160"), clock_hz=50_000_000),
)
