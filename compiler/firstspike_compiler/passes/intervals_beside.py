# SPDX-License-Identifier: MIT
"""Intervals of the numbers beside a membrane, lasting currents and the rises of thresholds, from step to step."""

import numpy as np
from firstspike_arch.microcode import Microcode
from firstspike_arch.neuron import Neuron

from ..errors import CompileError
from .intervals import Intervals

__all__ = ["RiseInterval", "TraceInterval"]


class TraceInterval:
    """The interval of the trace of each channel, from step to step.

    Parameters
    ----------
    negative, positive : int64[C]
        The least and the most that is added to it in a step, by any part of the events.
    biases : int64[B, C]
        What is added to it in every step, one row after the other.
    once : bool
        No address adds twice in an inference: as a leak moves a whole number towards 0, or not at all, the trace then
        stays between the sums of the negative and of the positive weights, if there are no biases.

    Attributes
    ----------
    constant : bool
        The last step has left the interval as it was.
    """

    def __init__(
        self, microcode: Microcode, neuron: Neuron, negative: np.ndarray, positive: np.ndarray, biases: np.ndarray, *,
        once: bool,
    ):
        self._machine, self._leak = Intervals(microcode, np.zeros((0, len(negative)))), microcode.trace_leak
        self._neuron, self._negative, self._positive = neuron, negative, positive
        self._biases, self._once = biases, once and not biases.any()
        self._low = self._high = np.zeros_like(negative)
        self.constant = False

    @property
    def lows(self) -> np.ndarray:
        """Least numbers so far, int64[C]."""
        return self._machine.lows

    @property
    def highs(self) -> np.ndarray:
        """Largest numbers so far, int64[C]."""
        return self._machine.highs

    def take(self) -> tuple[np.ndarray, np.ndarray]:
        """Go on to the next step, and return the interval of what membranes take in it."""
        before = self._low, self._high
        low, high = self._machine.run_trace(self._leak, *before)
        self._low, self._high = low + self._negative, high + self._positive
        if self._once:
            self._low, self._high = np.maximum(self._low, self._negative), np.minimum(self._high, self._positive)
        self._machine.record(self._low, self._high)
        for row in self._biases:
            self._low, self._high = self._low + row, self._high + row
            self._machine.record(self._low, self._high)
        self.constant = np.array_equal(before, (self._low, self._high))
        return before if self._neuron.current_delay else (self._low, self._high)

    def take_forever(self, where: str) -> tuple[np.ndarray, np.ndarray]:
        """Return an interval of what membranes take in any step; it is one that no step leaves.

        Raises
        ------
        CompileError
            A current has no leak.
        """
        whole = 1 << self._neuron.current_leak_shift
        lost = whole - np.broadcast_to(np.asarray(self._neuron.current_leak_num), len(self._negative))
        bias = self._biases.sum(0)
        lowest, highest = self._negative + np.minimum(bias, 0), self._positive + np.maximum(bias, 0)
        if ((lost == 0) & ((lowest != 0) | (highest != 0))).any():
            raise CompileError(f"{where}: current_leak must be below 1 in an inference without end, in which currents "
                               "must stay bounded")
        # high·num/2^shift + highest ≤ high; and so below, where rounding takes up to 1 in every step.
        lost = np.maximum(lost, 1)
        self._high = -(-highest * whole // lost)
        self._low = np.where(lowest < 0, (lowest - 1) * whole // lost, 0)
        self._machine.record(self._low, self._high)
        self._machine.run_trace(self._leak, self._low, self._high)
        return self._low, self._high


class RiseInterval:
    """The interval 0 … a of the rise of each channel's thresholds, from step to step.

    Attributes
    ----------
    constant : bool
        The last step has left it as it was.
    """

    def __init__(self, microcode: Microcode, neuron: Neuron):
        assert neuron.theta_rise is not None
        self._machine, self._neuron = Intervals(microcode, np.zeros((0, len(neuron.bias)))), neuron
        *self._leak, self._adds = microcode.rise_passes
        self._highest = np.zeros_like(neuron.theta_rise)
        self.constant = False

    @property
    def highs(self) -> np.ndarray:
        """Largest numbers so far, int64[C]."""
        return self._machine.highs

    def take(self) -> np.ndarray:
        """Go on to the next step, and return the largest rise that this one compares with."""
        before = self._highest
        _, leaked = self._machine.run_trace(tuple(self._leak), np.zeros_like(before), before)
        assert self._adds.values is not None
        self._highest = leaked + self._adds.values[-1]
        self._machine.record(self._highest, self._highest)
        self.constant = np.array_equal(before, self._highest)
        return before

    def take_forever(self, where: str) -> np.ndarray:
        """Return the largest rise in any step; no step leaves it.

        Raises
        ------
        CompileError
            A rise has no leak.
        """
        whole = 1 << self._neuron.rise_leak_shift
        lost = whole - np.broadcast_to(np.asarray(self._neuron.rise_leak_num), len(self._highest))
        assert self._adds.values is not None
        most = self._adds.values[-1]
        if ((lost == 0) & (most > 0)).any():
            raise CompileError(f"{where}: rise_leak must be below 1 in an inference without end, in which thresholds "
                               "must stay bounded")
        self._highest = -(-most * whole // np.maximum(lost, 1))  # high·num/2^shift + most ≤ high
        self._machine.record(self._highest, self._highest)
        self._machine.run_trace(tuple(self._leak), np.zeros_like(most), self._highest)
        return self._highest
