# SPDX-License-Identifier: MIT
"""What the devices of one family share: its PLL, how yosys maps to it, and the open tools behind yosys."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from amaranth.hdl import Module, Value

from .pll import PllLimits, PllSetting

__all__ = ["BlockFormat", "Family", "OpenFlow"]


class BlockFormat(ABC):
    """Block RAM contents in the text of a finished design."""

    slices: np.ndarray
    """int64[S, words]: where in a block the same bit of so many consecutive words can lie, for all its widths."""

    @property
    def words(self) -> int:
        """Consecutive words that a slice holds."""
        return self.slices.shape[1]

    @abstractmethod
    def read(self, text: str) -> dict[str, np.ndarray]:
        """Contents of each initialised block, bool[bits], by its place on the device."""

    @abstractmethod
    def write(self, text: str, blocks: dict[str, np.ndarray]) -> str:
        """The text with other contents; everything else stays as it is."""


@dataclass(frozen=True, kw_only=True)
class OpenFlow:
    """Place, route and pack.

    In the arguments, ``{name}`` stands for the files of one run, without suffix.

    Parameters
    ----------
    placer, packer, unpacker : str
        Tools by name. Without an unpacker, what the packer is given is compared with the images, not the bitstream.
    place, pack, unpack : tuple of str
        Their arguments, without those of a board.
    config, bitstream : str
        Suffix of what the placer and the packer write.
    improve : callable
        Changes yosys's JSON netlist in place, before it is placed.
    blocks : BlockFormat
        Of the placer's output, and of the unpacker's.
    """

    placer: str
    place: tuple[str, ...]
    packer: str
    pack: tuple[str, ...]
    unpacker: str | None
    unpack: tuple[str, ...]
    config: str
    bitstream: str
    improve: Callable[[dict], Any]
    blocks: BlockFormat


@dataclass(frozen=True, kw_only=True)
class Family:
    """
    Parameters
    ----------
    name : str
    pll : PllLimits
    clock : callable
        ``clock(m, pin, setting)`` puts the PLL behind the clock pin into the module; its output, and whether it is
        locked. Vendor primitives live here and nowhere else.
    synthesis : str
        yosys command, with options.
    flow : OpenFlow or None
        None: only the vendor's tools place and route.
    """

    name: str
    pll: PllLimits
    clock: Callable[[Module, Any, PllSetting], tuple[Value, Value]]
    synthesis: str
    flow: OpenFlow | None
