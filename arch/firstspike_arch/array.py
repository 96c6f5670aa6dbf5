# SPDX-License-Identifier: MIT
"""Configuration of the array: one plan a layer, and of the accelerator around it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from .connectivity import Conv2d
from .fixed import ceil_div
from .network import Layer

__all__ = ["GROUP_BITS", "ArrayConfig", "LayerPlan", "readout_cycles", "spike_queue_depth"]


@dataclass(frozen=True, kw_only=True)
class LayerPlan:
    """How one layer is mapped.

    Parameters
    ----------
    neurons, lanes : int
        ``lanes`` processing elements take turns over rows of neurons.
    positions, groups : int
        Of a convolution: pixels of the output, groups of channels. A row holds up to ``lanes`` channels of one group
        at one position; a dense layer has one of each, and neuron r·lanes + p is lane p of row r.
    scattered : bool
        An event may visit some rows only, in any order: so it is in a convolution.
    recurrent : bool
        The layer takes its own spikes: those of a whole step must find room while they are captured.
    membrane_bits : int
        Width of the stored membrane, at least what the width proof asks for.
    register_rows : int
        Up to so many rows the membranes are a ring of registers, beyond a memory: block RAM, or LUT RAM if shallow.
        A device without LUT RAM does better with 2.
    """

    neurons: int
    lanes: int
    membrane_bits: int
    register_rows: int = 8
    positions: int = 1
    groups: int = 1
    scattered: bool = False
    recurrent: bool = False

    @classmethod
    def of(cls, layer: Layer, index: int, *, lanes: int, membrane_bits: int, register_rows: int = 8) -> "LayerPlan":
        """The plan of the layer with this index."""
        return cls(
            neurons=layer.neurons, lanes=lanes, membrane_bits=membrane_bits, register_rows=register_rows,
            positions=layer.positions, groups=layer.groups, scattered=isinstance(layer.connectivity, Conv2d),
            recurrent=any(branch.source == index for branch in layer.branches),
        )

    def __post_init__(self) -> None:
        if not 1 <= self.lanes <= self.group_channels:
            what = "the layer's neurons" if self.positions == 1 else "the channels of a group"
            raise ValueError(f"lanes must be 1…{self.group_channels} ({what}), not {self.lanes!r}")
        if not 2 <= self.membrane_bits <= 48:
            raise ValueError(f"membrane_bits must be 2…48, not {self.membrane_bits!r}")
        if self.register_rows < 2:
            raise ValueError(f"register_rows must be at least 2, not {self.register_rows!r}")

    @property
    def group_channels(self) -> int:
        """Channels of a group."""
        return self.neurons // (self.positions * self.groups)

    @property
    def group_rows(self) -> int:
        """Rows of a group at one position."""
        return ceil_div(self.group_channels, self.lanes)

    @property
    def position_rows(self) -> int:
        """Rows of all groups at one position."""
        return self.groups * self.group_rows

    @property
    def rows(self) -> int:
        return self.positions * self.position_rows

    def row_of_channel(self, channel: np.ndarray) -> np.ndarray:
        """The row at a position that holds a channel, int64."""
        group, local = np.divmod(channel, self.group_channels)
        return group * self.group_rows + local // self.lanes

    def channels_of_rows(self) -> np.ndarray:
        """Channel in each lane of the rows at a position, int64[position_rows, lanes]; −1: none."""
        channel = np.arange(self.group_rows * self.lanes).reshape(self.group_rows, self.lanes)
        channel = np.where(channel < self.group_channels, channel, -1)
        groups = np.arange(self.groups)[:, None, None] * self.group_channels
        return np.where(channel < 0, -1, channel + groups).reshape(self.position_rows, self.lanes)

    def places(self) -> np.ndarray:
        """row·lanes + lane of every neuron, in torch's order (channel, position), int64[neurons]."""
        channels = self.channels_of_rows().ravel()
        place = np.empty(self.groups * self.group_channels, dtype=np.int64)
        place[channels[channels >= 0]] = np.flatnonzero(channels >= 0)
        step = self.position_rows * self.lanes
        return (place[:, None] + np.arange(self.positions) * step).ravel()

    @property
    def in_registers(self) -> bool:
        """Whether the membranes are in registers, not in a memory."""
        return self.rows <= self.register_rows and not self.scattered


@dataclass(frozen=True, kw_only=True)
class ArrayConfig:
    """The accelerator: its cores and its ports.

    Parameters
    ----------
    port : "events" or "image"
        What the input is: a token stream, or 64-bit beats of eight pixels with a latency encoder behind.
    early_exit : bool
        Decide at the first step that settles the class and drop the rest of the inference.
    winner : "tree" or "scan"
        How the read-out finds it: a tournament over the lanes, or one a cycle by a single comparator.
    timeout : int
        Cycles of silence in the middle of an inference after which the input guard ends it.
    """

    layers: tuple[LayerPlan, ...]
    port: Literal["events", "image"] = "events"
    early_exit: bool = False
    winner: Literal["tree", "scan"] = "tree"
    timeout: int = 1 << 16


GROUP_BITS = 8
"""Neighbouring spikes that the extractor looks at in one cycle."""


def spike_queue_depth(plan: LayerPlan) -> int:
    """Spike words a core can have waiting: one register, or two steps' worth rounded up to a power of two, ≤ 256.

    Of a recurrent layer at least one step's: it takes none of them before all are captured.
    """
    if plan.rows == 1:
        return 1
    return min(1 << (2 * plan.rows - 1).bit_length(), max(256, plan.recurrent << (plan.rows - 1).bit_length()))


def readout_cycles(config: ArrayConfig) -> int:
    """Cycles in which the read-out compares the neurons of a row with each other and with the rows before."""
    plan = config.layers[-1]
    if config.winner == "scan":
        return plan.lanes
    levels = (plan.lanes - 1).bit_length()
    return max(levels, 1) if plan.rows == 1 else levels + 1
