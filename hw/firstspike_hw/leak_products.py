# SPDX-License-Identifier: MIT
"""Leaks that are a multiplication: what replaces each lane's number in such a pass."""

from amaranth.hdl import Mux, Value
from firstspike_arch.layer_plan import LayerPlan
from firstspike_arch.microcode import RowOp

from .lane_constants import LaneConstants

__all__ = ["leak_products"]


def leak_products(plan: LayerPlan, op: RowOp, numbers: list[Value], group: Value) -> list[Value]:
    """Return number · num / 2^shift of each lane, rounded as a pass with the operand "product" does; it lies between
    the number and 0.

    Parameters
    ----------
    numbers : list of Value
        Signed number of each lane.
    group : Value
        Place of their row among those at its position.
    """
    assert op.values is not None
    # A lane without a channel has a factor of some other, so that all can agree.
    factors = LaneConstants(plan, op.values, absent=int(op.values[0]), bits=op.index + 2)
    found = []
    for lane, number in enumerate(numbers):
        whole = number * factors.at(group, lane)
        if op.toward_zero:
            whole = whole + Mux(number[-1], (1 << op.index) - 1, 0)
        found.append((whole >> op.index)[:len(number)].as_signed())
    return found
