# SPDX-License-Identifier: MIT
"""One face for everything that runs a Program: models, simulators, boards."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

import numpy as np

from .program import Program

__all__ = ["Backend", "DecidedBy", "Stimulus", "Trace"]


class DecidedBy(IntEnum):
    """What settled a class."""

    PLAIN = 0
    TIE_BY_MEMBRANE = 1
    TIE_BY_INDEX = 2
    SILENT = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class Stimulus:
    """What is offered to the accelerator, back to back, and how willing both sides are.

    Parameters
    ----------
    words : int64[K] or uint64[K]
        Tokens (port "events") or 64-bit beats (port "image"), of all inferences in a row.
    starts : int64[B + 1]
        Inference i is words[starts[i] : starts[i + 1]].
    gaps : int64[K] or None
        Idle cycles before each word; None: none.
    sink_stalls : int64[B] or None
        Cycles for which each result is left waiting at the output; None: taken at once.
    """

    words: np.ndarray
    starts: np.ndarray
    gaps: np.ndarray | None = None
    sink_stalls: np.ndarray | None = None

    @property
    def inferences(self) -> int:
        return len(self.starts) - 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Trace:
    """What happened. Cycle 0 is the first clock cycle after reset; a transfer at cycle c is on the edge that ends c.

    Parameters
    ----------
    accepted : int64[K]
        Cycle at which each input word was taken.
    classes, steps, decided_by : int64[B]
        Class, decision step and `DecidedBy` of each inference.
    scores : int64[B, classes]
        Evidence: pre-reset membranes at the decision (first_spike, potential); Σ w[t]·s[t] (weighted_spikes);
        spike counts (spike_count).
    decided : int64[B]
        Cycle at which each result is first offered at the output.
    taken : int64[B]
        Cycle at which each result was taken.
    edge_tokens, edge_cycles : tuple of int64[*]
        For each stream between units (encoder → core 0, core 0 → core 1, …): tokens and the cycles of their transfers.
    counters : dict
        Host-readable counters at the end, by name.
    """

    accepted: np.ndarray
    classes: np.ndarray
    steps: np.ndarray
    decided_by: np.ndarray
    scores: np.ndarray
    decided: np.ndarray
    taken: np.ndarray
    edge_tokens: tuple[np.ndarray, ...]
    edge_cycles: tuple[np.ndarray, ...]
    counters: dict[str, int] = field(default_factory=dict)


class Backend(Protocol):
    """Runs a program on a stimulus."""

    name: str

    def load(self, program: Program) -> None:
        """Make the backend ready; may build. Raises a sentence if a tool is missing."""
        ...

    def run(self, stimulus: Stimulus) -> Trace:
        """From reset, until every inference has its result taken and the last input word is consumed."""
        ...
