# SPDX-License-Identifier: MIT
"""Intervals of the numbers of neurons, on which the passes of a microcode run."""

from typing import Any

import numpy as np
from firstspike_arch.microcode import Microcode, RowOp

__all__ = ["Intervals"]


class Intervals:
    """Runs passes on one interval per neuron, and keeps the extremes of all recorded values."""

    def __init__(self, microcode: Microcode, biases: np.ndarray):
        self.microcode, self._biases = microcode, biases
        self._zero = np.zeros(len(microcode.offset), dtype=np.int64)
        self._current = self._zero, self._zero
        self.rise = self._zero  # the largest rise of the thresholds
        self.lows, self.highs = self._zero.copy(), self._zero.copy()

    def copy(self) -> "Intervals":
        """Intervals of their own, with the same extremes so far."""
        other = Intervals(self.microcode, self._biases)
        other.rise, other.lows, other.highs = self.rise, self.lows.copy(), self.highs.copy()
        other._current = self._current
        return other

    def record(self, low: np.ndarray, high: np.ndarray, where: np.ndarray | bool = True) -> None:
        """Record that values low … high occur in the neurons ``where``."""
        np.minimum(self.lows, low, out=self.lows, where=where)
        np.maximum(self.highs, high, out=self.highs, where=where)

    def add_to_current(self, low: np.ndarray, high: np.ndarray) -> None:
        """Add to the current what lies in low … high, in parts and in any order."""
        (least, most) = self._current
        self.record(least + np.minimum(low, 0), most + np.maximum(high, 0))
        self._current = least + low, most + high

    def run_current(self, ops: tuple[RowOp, ...], low: np.ndarray, high: np.ndarray) -> None:
        """Run the passes ``ops`` on the interval of the current; sums lie in low … high."""
        for op in ops:
            if op.act == "init":
                self._current = self.microcode.current, self.microcode.current
            elif op.act in ("load", "max"):
                self._current = low, high
            elif op.store == "current":
                least, most = self._operand(op, self._current, 0, 0)
                self._current = self._current[0] + least, self._current[1] + most
            self.record(*self._current)

    def run(self, ops: tuple[RowOp, ...], low: np.ndarray, high: np.ndarray, step: int = 0):
        """Return the interval after the passes ``ops``, which start from low … high at the end of step ``step``."""
        ops = tuple(op for op in ops if op.store == "membrane" and op.operand != "trace")
        if not any(op.asks_spikes for op in ops) or self.microcode.levels is None:
            return self._run_branch(ops, low, high, low <= high, 0, step)
        # The silent part, and the parts that fire with each magnitude. Thresholds are the higher by 0 … the rise.
        edges = [low, *self.microcode.levels.T]
        ends = [*(level - 1 + self.rise for level in self.microcode.levels.T), high]
        result = None
        for magnitude, (first, last) in enumerate(zip(edges, ends, strict=True)):
            part_low, part_high = np.maximum(low, first), np.minimum(high, last)
            present = part_low <= part_high
            part = self._run_branch(ops, part_low, part_high, present, magnitude, step)
            if result is None:
                result, any_part = part, present
                continue
            joined = present & any_part
            result = (
                np.where(joined, np.minimum(result[0], part[0]), np.where(present, part[0], result[0])),
                np.where(joined, np.maximum(result[1], part[1]), np.where(present, part[1], result[1])),
            )
            any_part = any_part | present
        assert result is not None
        return result

    def record_merged(self, merged: Microcode, low: np.ndarray, high: np.ndarray, step: int) -> None:
        """Record what occurs in the passes of a step as they are ``merged``, of the same interval, if one takes a
        rise."""
        if not any(op.operand == "rise" for op in merged.step):
            return
        other = self.copy()
        other.microcode = merged
        other.run(merged.step, low, high, step)
        self.record(other.lows, other.highs)

    def run_trace(self, ops: tuple[RowOp, ...], low: np.ndarray, high: np.ndarray):
        """Return the interval of the trace after the passes ``ops`` over it."""
        return self._run_branch(ops, low, high, low <= high, 0, 0)

    def _run_branch(self, ops, low, high, present, magnitude: int, step: int):
        shadow = self._zero, self._zero
        for op in ops:
            low, high = self._base(op, low, high, magnitude)
            if op.operand in ("leak", "decay"):
                low, high = low + _masked(op, op.leak_of(low)), high + _masked(op, op.leak_of(high))
            elif op.operand != "zero":
                least, most = self._operand(op, shadow, magnitude, step)
                low, high = low + least, high + most
            self.record(low, high, present)
            if op.act == "save":
                shadow = low, high
            if op.halve:
                low, high = op.halved(low), op.halved(high)
            elif op.act == "save":
                low = high = self._zero
        return low, high

    def _base(self, op: RowOp, low, high, magnitude: int):
        """The interval of u after it was replaced in the neurons for which the condition of the pass holds."""
        base = op.base
        if base is None or (op.when == "spiked" and not magnitude):
            return low, high
        if op.when in ("always", "spiked"):
            return base, base
        # The hull of the part that is replaced and of the part that is kept.
        if op.when == "negative":
            replaced, kept, kept_low, kept_high = low < 0, high >= 0, np.maximum(low, 0), high
        else:
            replaced, kept, kept_low, kept_high = high >= 0, low < 0, low, np.minimum(high, -1)
        return (
            np.where(replaced, np.where(kept, np.minimum(base, kept_low), base), kept_low),
            np.where(replaced, np.where(kept, np.maximum(base, kept_high), base), kept_high),
        )

    def _operand(self, op: RowOp, shadow, magnitude: int, step: int) -> tuple[Any, Any]:
        if op.operand == "shadow":
            return _masked(op, shadow[0]), _masked(op, shadow[1])
        if op.operand == "current":
            return self._current
        if op.operand == "rise":
            return (~self.rise, self._zero - 1) if magnitude else (self._zero, self._zero)
        value = self._biases[op.index] if op.operand == "weight" else op.values
        if op.by_level:
            value = value[magnitude]  # pyright: ignore[reportOptionalSubscript]
        if op.operand == "fall":
            value = self._zero + int(op.values[step])  # pyright: ignore[reportOptionalSubscript]
        return value, value


def _masked(op: RowOp, values: np.ndarray) -> np.ndarray:
    """The operand in the channels that the pass adds it to, and 0 in all others, int64[C]."""
    return values if op.channels is None else np.where(op.channels, values, 0)
