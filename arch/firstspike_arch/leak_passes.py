# SPDX-License-Identifier: MIT
"""The passes in which a number leaks, on the membrane or beside it."""

from typing import Any, Literal

import numpy as np

from .fixed import shortest_leak
from .row_op import RowOp, Store

__all__ = ["halvings", "leak_beside", "product", "some"]


def leak_beside(
    num: int | np.ndarray | None, shift: int, channels: int, *, toward_zero: bool, store: Literal["trace", "rise"],
    multiplies: bool,
) -> tuple[RowOp, ...]:
    """Passes over a number beside the membrane in which it leaks to num / 2^shift, for num of the layer or int64[C], as
    membranes do in `UpdatePasses`; with 1 − 2^−k, it need not be moved before and after. With ``multiplies``, there is
    one at most."""
    num, shift = shortest_leak(np.broadcast_to(np.asarray(num), channels), shift)
    leaks = num != 1 << shift
    if not leaks.any():
        return ()
    if (num[leaks] == (1 << shift) - 1).all():
        return (RowOp(act="add", operand="decay", index=shift, channels=some(leaks), store=store,
                      toward_zero=toward_zero),)
    halves = halvings(num, shift, toward_zero=toward_zero, store=store)
    if multiplies and len(halves) > 1:
        return (product(num, shift, toward_zero=toward_zero, store=store),)
    return halves


def product(num: np.ndarray, shift: int, *, toward_zero: bool, store: Store) -> RowOp:
    """The pass of x ← x·num / 2^shift, for num int64[C]. It makes no number beyond x and 0."""
    return RowOp(act="load", operand="product", index=shift, values=num, toward_zero=toward_zero, store=store)


def halvings(num: np.ndarray, shift: int, *, toward_zero: bool, **first: Any) -> tuple[RowOp, ...]:
    """Passes of x ← x·num / 2^shift, for num int64[C]; ``first`` are options of the first, which saves x.

    Horner from the lowest digit: floors of floors are exact, so after ``shift`` halvings x = (x·num) >> shift, but for
    the channels without a leak, of which only the last digit is 1. Roundings toward 0 are, too: a number and what is
    added to it have one sign, by which the sum is rounded. That is not known of the sum that is saved.
    """
    odd = bool((num & 1).all()) and not toward_zero  # the lowest digit then needs no pass of its own
    ops = [RowOp(act="save", halve=odd, **first)]
    for digit in range(odd, shift + int((num == 1 << shift).any())):
        ones = num >> digit & 1 == 1
        ops.append(RowOp(
            act="add", operand="shadow" if ones.any() else "zero", channels=some(ones), halve=digit < shift,
            toward_zero=toward_zero and digit < shift, settle=digit == odd, store=ops[0].store))
    return tuple(ops)


def some(channels: np.ndarray) -> np.ndarray | None:
    """The channels, bool[C], as `RowOp` takes them: None for all, or for none, where the operand is 0."""
    return None if channels.all() or not channels.any() else channels
