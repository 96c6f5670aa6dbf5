# SPDX-License-Identifier: MIT
"""Configuration of the array: one plan a layer, and of the accelerator around it."""

from dataclasses import dataclass
from typing import Literal

from .fixed import ceil_div

__all__ = ["GROUP_BITS", "ArrayConfig", "LayerPlan", "readout_cycles", "spike_queue_depth"]


@dataclass(frozen=True, kw_only=True)
class LayerPlan:
    """How one layer is mapped.

    Parameters
    ----------
    neurons, lanes : int
        ``lanes`` processing elements take turns over ``rows`` = ⌈neurons / lanes⌉ rows of neurons; neuron
        r·lanes + p is lane p of row r.
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

    def __post_init__(self) -> None:
        if not 1 <= self.lanes <= self.neurons:
            raise ValueError(f"lanes must be 1…{self.neurons} (the layer's neurons), not {self.lanes!r}")
        if not 2 <= self.membrane_bits <= 48:
            raise ValueError(f"membrane_bits must be 2…48, not {self.membrane_bits!r}")
        if self.register_rows < 2:
            raise ValueError(f"register_rows must be at least 2, not {self.register_rows!r}")

    @property
    def rows(self) -> int:
        return ceil_div(self.neurons, self.lanes)

    @property
    def in_registers(self) -> bool:
        """Whether the membranes are in registers, not in a memory."""
        return self.rows <= self.register_rows


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


def spike_queue_depth(rows: int) -> int:
    """Spike words a core can have waiting: one register, or two steps' worth rounded up to a power of two."""
    return 1 if rows == 1 else 1 << (2 * rows - 1).bit_length()


def readout_cycles(config: ArrayConfig) -> int:
    """Cycles in which the read-out compares the neurons of a row with each other and with the rows before."""
    plan = config.layers[-1]
    if config.winner == "scan":
        return plan.lanes
    levels = (plan.lanes - 1).bit_length()
    return max(levels, 1) if plan.rows == 1 else levels + 1
