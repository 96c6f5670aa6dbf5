# SPDX-License-Identifier: MIT
"""What the devices of one family share: PLL, yosys command, and the open tools that run after yosys."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from amaranth.hdl import Module, Value

from .pll import PllLimits, PllSetting

__all__ = ["BlockFormat", "Family", "OpenFlow"]


class BlockFormat(ABC):
    """How a placed design, as text, holds the contents of block RAMs.

    A *slice* is one bit of `words` consecutive words of a memory, all in the same block.
    """

    slices: np.ndarray
    """int64[S, words]: for each of S possible slices, over all widths of the block, where its bits are in the block."""

    @property
    def words(self) -> int:
        """Number of consecutive words in a slice."""
        return self.slices.shape[1]

    @abstractmethod
    def read(self, text: str) -> dict[str, np.ndarray]:
        """Read the contents of each initialised block, bool[bits], by its location on the device."""

    @abstractmethod
    def write(self, text: str, blocks: dict[str, np.ndarray]) -> str:
        """Return the text with other block contents. Everything else is left unchanged."""


@dataclass(frozen=True, kw_only=True)
class OpenFlow:
    """Open tools that place, route and pack a netlist.

    In the arguments, ``{name}`` stands for the name of one run's files, without suffix.

    Parameters
    ----------
    placer, packer, unpacker : str
        Names of the tools. Without an unpacker, the packer's input is compared with the images, not the bitstream.
    place, pack, unpack : tuple of str
        Arguments of these tools, without those of a board.
    config, bitstream : str
        Suffixes of the files that the placer and the packer write.
    options : tuple of str
        Further arguments of the placer, whatever it places.
    improve : callable
        Changes yosys's JSON netlist in place before it is placed.
    blocks : BlockFormat
        Format of block RAM contents in the files that placer and unpacker write.
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
    options: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Family:
    """A family of FPGAs.

    Parameters
    ----------
    name : str
    pll : PllLimits
    clock : callable
        ``clock(m, pin, setting)`` adds the PLL behind the clock pin to the module, and returns its output clock and its
        lock signal. Vendor primitives are used here and nowhere else.
    synthesis : str
        yosys commands, as `synthesise` takes them.
    flow : OpenFlow or None
        Open tools. None: only the vendor's tools place and route.
    """

    name: str
    pll: PllLimits
    clock: Callable[[Module, Any, PllSetting], tuple[Value, Value]]
    synthesis: str
    flow: OpenFlow | None
