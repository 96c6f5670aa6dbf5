# SPDX-License-Identifier: MIT
"""A board: what a file about one has to say."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from amaranth.build import Attrs, Resource, TemplatedPlatform
from amaranth_boards.resources import SPIResource

from .devices import Device
from .family import Family

__all__ = ["Board", "spi_pins"]

SPI_PINS = "host_spi"


def spi_pins(*, cs_n: str, copi: str, cipo: str, sck: str, conn: tuple[str, int], attrs: Attrs) -> Resource:
    """Pins of a connector for an SPI controller."""
    return SPIResource(SPI_PINS, 0, cs_n=cs_n, copi=copi, cipo=cipo, clk=sck, conn=conn, attrs=attrs, role="peripheral")


@dataclass(frozen=True, kw_only=True)
class Board:
    """
    Parameters
    ----------
    name : str
        For ``--board``.
    title : str
        For people.
    device : Device
    family : Family
    platform : callable
        Makes the Amaranth platform: pins, clock, vendor project.
    resources : tuple of Resource
        That the platform lacks: a UART on a header.
    spi : Resource or None
        `spi_pins`, if there are any.
    link : "uart" or "spi"
        What the host is at.
    clock_hz : int
        Of the accelerator, if none is asked for and timing is met.
    baud : int
        Of the UART, unless another is asked for.
    leds : tuple of tuple
        Status lights in the order of importance: name, number, and the colour if it has several.
    reset : tuple or None
        Name and number of the button.
    place : tuple of str
        Arguments of the open placer: device, package, speed grade. Empty: only the vendor's tools.
    pack : tuple of str
        Arguments of the open packer.
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
    link: Literal["uart", "spi"] = "uart"
    reset: tuple[str, int] | None = None
    place: tuple[str, ...] = ()
    pack: tuple[str, ...] = ()

    def behind(self, link: str) -> "Board":
        """The board with its host at a UART or SPI.

        Raises
        ------
        ValueError
            It has no such pins.
        """
        if link not in ("uart", "spi"):
            raise ValueError(f"link must be 'uart' or 'spi', not {link!r}")
        if link == "uart":
            return self
        if self.spi is None:
            raise ValueError(f"link must be 'uart' on {self.name}, not {link!r}: it has no pins for that")
        return replace(self, link="spi", resources=(*self.resources, self.spi))

    @property
    def input_hz(self) -> int:
        """Of the oscillator on the board."""
        return round(self.platform().default_clk_frequency)
