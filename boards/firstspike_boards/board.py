# SPDX-License-Identifier: MIT
"""A board: what a file about one has to say."""

from collections.abc import Callable
from dataclasses import dataclass

from amaranth.build import Resource, TemplatedPlatform

from .devices import Device
from .family import Family

__all__ = ["Board"]


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
    reset: tuple[str, int] | None = None
    place: tuple[str, ...] = ()
    pack: tuple[str, ...] = ()

    @property
    def input_hz(self) -> int:
        """Of the oscillator on the board."""
        return round(self.platform().default_clk_frequency)
