# SPDX-License-Identifier: MIT
"""Common interface of everything that runs a Program: models, simulators, boards."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

import numpy as np

from .program import Program

__all__ = ["IDEAL_MEMORY", "Backend", "DecidedBy", "MemoryTiming", "Stimulus", "Trace"]


class DecidedBy(IntEnum):
    """The rule that decided the class."""

    PLAIN = 0
    TIE_BY_MEMBRANE = 1
    TIE_BY_INDEX = 2
    SILENT = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class MemoryTiming:
    """When an external memory takes requests, and answers them. All are cycles, int64[*], used in turn from the
    beginning on.

    Parameters
    ----------
    latency : int64[*]
        Of each request: cycles between that in which it was taken and that in which its first beat is offered; beats of
        earlier requests go first.
    gaps : int64[*]
        Of each beat, counted over all requests: cycles without one before it, unless it is the first of its request.
    stalls : int64[*]
        Of each request: cycles for which it waits until it is taken.
    """

    latency: np.ndarray
    gaps: np.ndarray
    stalls: np.ndarray

    @property
    def longest(self) -> int:
        """Most cycles that a beat comes later than it might."""
        return int(self.latency.max() + self.gaps.max() + self.stalls.max())


IDEAL_MEMORY = MemoryTiming(latency=np.array([32]), gaps=np.array([0]), stalls=np.array([0]))
"""A memory that takes every request at once, and sends a beat a cycle after a fixed latency."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Stimulus:
    """Input words of inferences back to back, and the waits at input and output.

    Parameters
    ----------
    words : int64[K] or uint64[K]
        Tokens (port "events") or 64-bit beats (port "image") of all inferences, one after the other.
    starts : int64[B + 1]
        Bounds of the inferences: inference i is words[starts[i] : starts[i + 1]].
    gaps : int64[K] or None
        Idle cycles before each word is offered. None: no idle cycles.
    sink_stalls : int64[R] or None
        Cycles for which each result waits at the output before it is taken. None: results are taken at once.
    opens : int64[R] or None
        Index of the first word of each window of an endless network. None: each inference has one result, R = B.
    memory : MemoryTiming
        Of the external memory, if layers have their weights there.
    """

    words: np.ndarray
    starts: np.ndarray
    gaps: np.ndarray | None = None
    sink_stalls: np.ndarray | None = None
    opens: np.ndarray | None = None
    memory: MemoryTiming = IDEAL_MEMORY

    @property
    def inferences(self) -> int:
        return len(self.starts) - 1

    @property
    def results(self) -> int:
        """Number of results, R."""
        return len(self.first_words)

    @property
    def first_words(self) -> np.ndarray:
        """Index of the first word on which each result decides, int64[R]."""
        return self.starts[:-1] if self.opens is None else self.opens


@dataclass(frozen=True, kw_only=True, eq=False)
class Trace:
    """Results of a run. Cycle 0 is the first clock cycle after reset; a transfer in cycle c is on the edge that ends c.

    Parameters
    ----------
    accepted : int64[K]
        Cycle at which each input word was taken.
    classes, steps, decided_by : int64[R]
        Class, decision step and `DecidedBy` of each inference, or of each window of an endless network, whose steps
        are counted from its first.
    scores : int64[R, classes]
        Evidence: membranes before reset at the decision (first_spike, potential); Σ w[t]·s[t] (weighted_spikes);
        spike counts (spike_count).
    decided : int64[R]
        Cycle at which each result is first offered at the output.
    taken : int64[R]
        Cycle at which each result was taken.
    edge_tokens, edge_cycles : tuple of int64[*]
        Tokens on each edge (input → core 0, core 0 → core 1, …), one event each, and the cycles of their transfers: two
        events that came at once have the same.
    busy : int64[cores] or None
        Cycles in which each core's sequencer worked on a token, as `firstspike_arch.work` counts them; None: the
        backend does not say.
    busy_windows : int64[cores, W] or None
        The same for each window of ``window_cycles`` cycles from cycle 0 on; the last may have fewer.
    window_cycles : int
    counters : dict
        Values of the host-readable counters at the end, by name.
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
    busy: np.ndarray | None = None
    busy_windows: np.ndarray | None = None
    window_cycles: int = 1
    counters: dict[str, int] = field(default_factory=dict)

    @property
    def intervals(self) -> np.ndarray:
        """Cycles between successive results, int64[R − 1].

        From the first on, they come at the pace of the slowest part. Inputs do not: the first ones are taken at the
        pace of the first layer, until all between it and the slowest part is full.
        """
        return np.diff(self.taken)


class Backend(Protocol):
    """A model, simulator or board that runs a program on a stimulus."""

    name: str

    def load(self, program: Program) -> None:
        """Prepare to run the program, which may build a simulator. Raises an error if a tool is missing."""
        ...

    def run(self, stimulus: Stimulus) -> Trace:
        """Run from reset until every result is taken and the last input word is consumed."""
        ...
