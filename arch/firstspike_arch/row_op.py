# SPDX-License-Identifier: MIT
"""One pass of a core over all rows of its neurons."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

__all__ = ["RowOp", "Store", "When"]

Store = Literal["membrane", "current", "rise", "sum", "trace"]
When = Literal["never", "spiked", "negative", "nonnegative", "always"]


@dataclass(frozen=True, kw_only=True, eq=False)
class RowOp:
    """One pass over all rows: u ← act(base + operand), where base is ``base`` in the neurons for which ``when`` holds,
    and u in all others.

    ``act``: "add" (the sum), "save" (shadow ← the sum; u ← 0 unless ``halve``), "init" (as "add", the first of an
    inference: the current becomes `Microcode.current`, and the trace 0), "load" (the operand), "max" (the larger of the
    number and the operand). With ``halve``, an arithmetic shift right by one follows; with ``toward_zero``, it rounds
    toward 0.
    ``store``: the number that the pass changes, the "membrane" u, the "current", the "trace", the "rise", or the "sum"
    that an event reaches. Trace and rise have a shadow of their own.
    ``operand``: "weight" (row ``index`` of the bias rows), "constant" (``values``, int64[C], or int64[L + 1, C] by the
    magnitude 0…L of this step's spike), "current", "decay" (−number / 2^``index`` rounded down, of the trace or rise;
    with ``toward_zero``, away from 0), "fall" (``values``[t] at the end of step t), "leak" (~(u >> ``index``); with
    ``toward_zero``, as "decay" of u), "rise" (−1 − rise where this step's spike has a magnitude, 0 elsewhere),
    "product" (the number · ``values`` / 2^``index``, int64[C], rounded down, or with ``toward_zero`` toward 0; it is
    loaded), "shadow", "sum" (tap ``index`` of the window, row by row of its kernel; the last pass that takes a sum
    clears it), "trace" or "zero".
    ``channels``: bool[C], those to which "leak", "decay" or "shadow" is added, and 0 to all others; None: to all.
    ``when``: "spiked" holds where this step's spike has a magnitude; "negative" and "nonnegative" test u itself.
    ``base``: int64[C].
    ``beside``: a pass over the trace at the same time, whose operand is "decay", "product", "shadow" or "zero"; as an
    operand, the trace is that of before.
    ``rising``: a pass over the rise at the same time, whose operand is "decay", "product", "shadow", "constant" or
    "zero"; as an operand, and for the comparison, the rise is that of before.
    """

    act: Literal["add", "init", "load", "max", "save"]
    operand: Literal[
        "weight", "constant", "current", "decay", "fall", "leak", "product", "rise", "shadow", "sum", "trace",
        "zero"] = "zero"
    index: int = 0
    values: np.ndarray | None = None
    when: When = "never"
    base: np.ndarray | None = None
    store: Store = "membrane"
    halve: bool = False
    channels: np.ndarray | None = None
    toward_zero: bool = False
    beside: "RowOp | None" = None
    rising: "RowOp | None" = None
    settle: bool = False
    """The operand depends on what the previous pass wrote; if there is only one row, the core waits a cycle between
    them."""

    def __post_init__(self) -> None:
        if (self.values is not None) != (self.operand in ("constant", "fall", "product")):
            raise ValueError(f"operand {self.operand!r}: values must be given for 'constant', 'fall' and 'product', "
                             "and no other")
        if self.channels is not None and self.operand not in ("leak", "decay", "shadow"):
            raise ValueError(f"operand {self.operand!r}: channels must be given for 'leak', 'decay' and 'shadow' only")
        if (self.base is None) != (self.when == "never"):
            raise ValueError(f"when {self.when!r}: base must be given unless when is 'never'")

    def halved(self, total: np.ndarray) -> np.ndarray:
        """Half of a sum, rounded as the pass does."""
        return (total + (self.toward_zero & (total < 0))) >> 1

    def leak_of(self, u: np.ndarray) -> np.ndarray:
        """The operand "leak", or "decay" of the trace, without ``channels``; u + operand never decreases with u, if
        ``index`` ≥ 1, or it is "decay"."""
        if not self.toward_zero:
            return -u >> self.index if self.operand == "decay" else ~(u >> self.index)
        return np.where(u < 0, -(u >> self.index), -u >> self.index)

    @property
    def by_level(self) -> bool:
        """Whether the operand is a constant that depends on the magnitude of this step's spike."""
        return self.operand == "constant" and self.values is not None and self.values.ndim == 2

    @property
    def asks_spikes(self) -> bool:
        """Whether the pass depends on this step's spikes."""
        return self.by_level or self.when == "spiked" or self.operand == "rise"
