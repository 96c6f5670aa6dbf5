# SPDX-License-Identifier: MIT
"""The passes of a step over the membrane: reset, clamp, leak, and what every step adds."""

from dataclasses import replace
from typing import Any

import numpy as np

from .fixed import shortest_leak
from .leak_passes import halvings, product, some
from .neuron import Neuron
from .row_op import RowOp, When

__all__ = ["UpdatePasses"]


class UpdatePasses:
    """Passes of a step: reset, clamp and leak of `Neuron`, then what is added in every step.

    Constants are not added by passes of their own. They are collected in the open pass, which is closed by the first
    operation that needs its result.

    Parameters
    ----------
    neuron : Neuron
    channels : int
    in_one_row, multiplies_leaks : bool
        See `microcode_of`.
    nothing : dict
        The operand where nothing is added, see `_nothing`.
    """

    def __init__(
        self, neuron: Neuron, channels: int, *, in_one_row: bool, multiplies_leaks: bool, nothing: dict[str, Any],
    ):
        self._neuron, self._in_one_row, self._nothing = neuron, in_one_row, nothing
        self._multiplies_leaks = multiplies_leaks
        self._zeros = np.zeros((neuron.levels + 1, channels), dtype=np.int64)  # for each magnitude of the spike
        self._ops: list[RowOp] = []
        self._open: dict[str, Any] = {}
        self._constant = self._zeros

    def run(self) -> None:
        """Append the passes of reset, clamp and leak, which start and end with u = v − theta."""
        neuron, theta = self._neuron, self._neuron.first_theta
        self.add(theta)
        if not neuron.reset_delay:
            self._reset()
        clamps: tuple[tuple[int | None, When], ...] = (neuron.v_min, "negative"), (neuron.v_max, "nonnegative")
        for bound, beyond in clamps:
            if bound is not None:
                self.add(-bound)
                self._replace(beyond)
                self.add(bound)
        if neuron.leaky:
            self._leak()
        if neuron.reset_delay:
            self._reset()
        self.add(-theta)

    def add(self, values: np.ndarray | int) -> None:
        """Add constants to the neurons of each channel, int64[C], which may depend on the magnitude of the spike."""
        self._constant = self._constant + values

    def append(self, *ops: RowOp) -> None:
        """Append passes that need the result of those before."""
        self._close()
        self._ops.extend(ops)

    def add_rows(self, ops: tuple[RowOp, ...]) -> None:
        """Append passes that add rows of weights. A pass that adds nothing adds the first of them."""
        self._close()
        last = self._ops[-1] if self._ops else None
        if ops and last and last.act == "add" and last.operand == "zero" and not last.halve and not self._in_one_row:
            self._ops[-1] = replace(last, operand="weight", index=ops[0].index)
            ops = ops[1:]
        self._ops.extend(ops)

    def take_constant(self) -> np.ndarray:
        """Return the constants at the end, int64[C], to be added elsewhere; 0 if they belong to a pass."""
        if self._open or self._by_level():
            self._close()
        taken, self._constant = self._constant[0], self._zeros
        return taken

    def passes(self) -> tuple[RowOp, ...]:
        """All passes, at least the one that captures."""
        self._close()
        return tuple(self._ops) or (RowOp(act="add", **self._nothing),)

    def _by_level(self) -> bool:
        return bool((self._constant != self._constant[0]).any())

    def _operand(self) -> dict[str, Any]:
        """Take the constants as the operand of a pass, with the rest of the open pass."""
        options, values, by_level = self._open, self._constant, self._by_level()
        self._open, self._constant = {}, self._zeros
        if options.get("when") == "always" and not by_level:
            options, values = {**options, "base": options["base"] + values[0]}, self._zeros
        if not values.any():
            return {**options, **self._nothing}
        # The spike is known when its row is captured, which the first pass does, and remembered afterwards.
        return {**options, "operand": "constant", "values": values if by_level else values[0],
                "settle": by_level and len(self._ops) < 2}

    def _close(self) -> None:
        if self._open or self._constant.any():
            self._ops.append(RowOp(act="add", **self._operand()))

    def _replace(self, when: When) -> None:
        """Set u to 0 where ``when`` holds."""
        if when == "always":
            self._ops, self._open, self._constant = [], {}, self._zeros  # nothing before is seen
        elif self._open or (when != "spiked" and self._constant.any()):
            self._close()
        self._open = {"when": when, "base": -self._constant[0]}

    def _reset(self) -> None:
        neuron = self._neuron
        if neuron.theta is None or neuron.single_spike or neuron.reset == "none":
            return  # a neuron that fires once is silent afterwards: its reset changes nothing that can be seen
        if neuron.reset == "zero":
            value = 0 if neuron.v_reset is None else neuron.v_reset
            self.add(-value)
            self._replace("spiked")
            self.add(value)
            return
        step = neuron.first_theta if neuron.reset_step is None else np.asarray(neuron.reset_step, dtype=np.int64)
        # The operand "rise" takes the rise and 1.
        subtracted = -np.arange(neuron.levels + 1)[:, None] * (step - neuron.reset_rise)
        if self._in_one_row and self._open:
            self._close()  # the sum is replaced there, by one that the spike does not choose
        if not self._in_one_row or neuron.levels > 1:
            self.add(subtracted)
        elif subtracted.any():
            self._ops.append(RowOp(act="add", operand="constant", values=subtracted))
        if neuron.reset_rise:
            if not self._in_one_row:
                self._close()  # a constant that the spike chooses
            if not self._ops:  # the rise is known when the row is captured
                self._ops.append(RowOp(act="add", **self._nothing))
            self._ops.append(RowOp(act="add", operand="rise"))

    def _leak(self) -> None:
        neuron, toward_zero = self._neuron, self._neuron.leak_toward_zero
        num, shift = shortest_leak(np.broadcast_to(neuron.leak_num, self._zeros.shape[1]), neuron.leak_shift)
        leaks = num != 1 << shift
        if not num.any():
            self._replace("always")
        elif (num[leaks] == (1 << shift) - 1).all() and shift and toward_zero:
            self.append(RowOp(act="add", operand="leak", index=shift, channels=some(leaks), toward_zero=True))
        elif (num[leaks] == (1 << shift) - 1).all() and shift:
            # v − ceil(v/2^k) = x + 1 + ~(x >> k) with x = v − 1
            self.add(-leaks.astype(np.int64))
            self.append(RowOp(act="add", operand="leak", index=shift, channels=some(leaks)))
            self.add(leaks)
        else:
            halves = halvings(num, shift, toward_zero=toward_zero)
            if self._multiplies_leaks and len(halves) > 2:  # the first takes no pass that is not there anyway
                self.append(product(num, shift, toward_zero=toward_zero, store="membrane"))
            else:
                self._ops += halvings(num, shift, toward_zero=toward_zero, **self._operand())
