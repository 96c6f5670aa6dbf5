# SPDX-License-Identifier: MIT
"""Configuration of the array: the options of its cores and of its ports."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from .layer_options import LayerOptions
from .shown import shown

__all__ = ["ArrayConfig"]


@dataclass(frozen=True, kw_only=True)
class ArrayConfig:
    """Options of an accelerator: those of its cores and of its ports.

    Parameters
    ----------
    layers : tuple of LayerOptions
        Options for each layer, in order.
    port : "events" or "image"
        Input port: a token stream, or 64-bit beats of eight pixels followed by an encoder.
    early_exit : bool
        Whether the class is decided at the first step that settles it, and the rest of the inference is dropped.
    winner : "tree" or "scan"
        How the read-out finds the winning neuron: a tournament over the lanes, or a single comparator that takes one
        neuron a cycle.
    timeout : int
        Cycles of silence in the middle of an inference, 1…2^32 − 1, after which the input guard ends it; 0: never, so
        that live input may pause for as long as it likes.
    read_back : bool
        Whether a host can read weights and biases back.
    ordered : bool
        Whether the input guard drops, and counts, an event whose neuron is not behind those of all events of its step
        before it. No address then comes twice in a step, and membranes stay within their proven widths whatever comes.
    beat_bits : int
        Width of the external memory's responses, 32, 64 or 128; without effect if no layer is external.
    """

    layers: tuple[LayerOptions, ...]
    port: Literal["events", "image"] = "events"
    early_exit: bool = False
    winner: Literal["tree", "scan"] = "tree"
    timeout: int = 0
    read_back: bool = False
    ordered: bool = False
    beat_bits: int = 64

    def __post_init__(self) -> None:
        for name, known in (("port", ("events", "image")), ("winner", ("tree", "scan"))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be {known[0]!r} or {known[1]!r}, not {shown(getattr(self, name))}")
        if self.beat_bits not in (32, 64, 128):
            raise ValueError(f"beat_bits must be 32, 64 or 128, not {shown(self.beat_bits)}")
        for name in ("early_exit", "read_back", "ordered"):
            if not isinstance(getattr(self, name), bool | np.bool_):
                raise ValueError(f"{name} must be true or false, not {shown(getattr(self, name))}")
        if not isinstance(self.timeout, int) or isinstance(self.timeout, bool) or not 0 <= self.timeout < 1 << 32:
            raise ValueError(f"timeout must be 1…2^32 − 1 cycles, or 0 for none, not {shown(self.timeout)}")
