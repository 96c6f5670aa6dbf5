# SPDX-License-Identifier: MIT
"""Arty Z7-20 (Digilent): Zynq-7020, 125 MHz; UART on Pmod JA, pins 2 (tx) and 3 (rx), the pinout of Pmod UART adapters;
SPI on Pmod JB.

The accelerator uses the programmable logic only: its clock comes from the Ethernet PHY, not from the processor.
"""

from amaranth.build import Attrs
from amaranth_boards.arty_z7 import ArtyZ720Platform
from amaranth_boards.resources import UARTResource

from .board import Board, spi_pins
from .devices import DEVICES
from .xilinx7 import XILINX7

ARTY_Z7 = Board(
    name="arty-z7-20",
    title="Arty Z7-20 (Zynq-7020)",
    device=DEVICES["zynq-7020"],
    family=XILINX7,
    platform=ArtyZ720Platform,
    resources=(UARTResource(0, rx="3", tx="2", conn=("pmod", 0), attrs=Attrs(IOSTANDARD="LVCMOS33")),),
    spi=spi_pins(cs_n="1", copi="2", cipo="3", sck="4", conn=("pmod", 1), attrs=Attrs(IOSTANDARD="LVCMOS33")),
    clock_hz=100_000_000,
    leds=tuple(("led", number) for number in range(3)),
    reset=("button", 0),
)
