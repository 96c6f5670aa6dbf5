# SPDX-License-Identifier: MIT
"""Description of a board: one instance for each supported board, in a file of its own."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from amaranth.build import Attrs, Resource, TemplatedPlatform
from amaranth_boards.resources import SPIResource
from firstspike_hw.sdram.sdram_core import SdramChip

from .devices import Device
from .family import Family

__all__ = ["Board", "BoardMemory", "spi_pins"]

SPI_PINS = "host_spi"


def spi_pins(*, cs_n: str, copi: str, cipo: str, sck: str, conn: tuple[str, int], attrs: Attrs) -> Resource:
    """Return the resource for pins of a connector at which an SPI controller, the host, is attached."""
    return SPIResource(SPI_PINS, 0, cs_n=cs_n, copi=copi, cipo=cipo, clk=sck, conn=conn, attrs=attrs, role="peripheral")


@dataclass(frozen=True, kw_only=True)
class BoardMemory:
    """An SDRAM beside the FPGA, at the pins that amaranth-boards calls "sdram".

    Parameters
    ----------
    chip : SdramChip
    clock_hz : int
        Fastest clock at which its data comes back in time, and the clock of an accelerator that uses it unless another
        is asked for.
    """

    chip: SdramChip
    clock_hz: int


@dataclass(frozen=True, kw_only=True)
class Board:
    """An FPGA board.

    Parameters
    ----------
    name : str
        Name on the command line (``--board``).
    title : str
        Name in messages and reports.
    device : Device
    family : Family
    platform : callable
        Makes the Amaranth platform: pins, clock, vendor project.
    resources : tuple of Resource
        Resources that the platform lacks, such as a UART on a header.
    spi : Resource or None
        Pins for SPI, made by `spi_pins`. None: the board has none.
    transport : "uart" or "spi"
        Transport of the host link.
    clock_hz : int
        Clock of the accelerator, unless another is asked for or timing requires a slower one.
    baud : int
        Bit rate of the UART, unless another is asked for.
    leds : tuple of tuple
        Status LEDs, the most important first: name, number and, for an LED of several colours, the colour.
    reset : tuple or None
        Name and number of the reset button.
    place : tuple of str
        Arguments of the open placer: device, package, speed grade. Empty: only the vendor's tools place and route.
    pack : tuple of str
        Arguments of the open packer.
    memory : BoardMemory or None
        Memory for weights. None: there is none, or none that is supported.
    """

    name: str
    title: str
    device: Device
    family: Family
    platform: Callable[[], TemplatedPlatform]
    clock_hz: int
    leds: tuple[tuple, ...]
    baud: int = 1_000_000
    resources: tuple[Resource, ...] = ()
    spi: Resource | None = None
    transport: Literal["uart", "spi"] = "uart"
    reset: tuple[str, int] | None = None
    place: tuple[str, ...] = ()
    pack: tuple[str, ...] = ()
    memory: BoardMemory | None = None

    def with_transport(self, transport: str) -> "Board":
        """Return the board with the host link over a UART or SPI.

        Raises
        ------
        ValueError
            The transport is unknown, or the board has no pins for it.
        """
        if transport not in ("uart", "spi"):
            raise ValueError(f"transport must be 'uart' or 'spi', not {transport!r}")
        if transport == "uart":
            return self
        if self.spi is None:
            raise ValueError(f"transport must be 'uart' on {self.name}, not {transport!r}: it has no pins for that")
        return replace(self, transport="spi", resources=(*self.resources, self.spi))

    @property
    def input_hz(self) -> int:
        """Frequency of the oscillator on the board."""
        return round(self.platform().default_clk_frequency)
