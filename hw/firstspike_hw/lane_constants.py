# SPDX-License-Identifier: MIT
"""Constants of neurons, by row and lane."""

import numpy as np
from amaranth.hdl import Array, Const, Value, signed
from firstspike_arch.layer_plan import LayerPlan

__all__ = ["LaneConstants"]


class LaneConstants:
    """A constant for every neuron, looked up by the row in a stage.

    Parameters
    ----------
    plan : LayerPlan
    values : int64[C]
        Constant of each channel.
    absent : int
        Constant of a lane without a channel.
    bits : int
        Width of a constant, which is signed; 0: that of a membrane.

    Attributes
    ----------
    table : int64[position_rows, elements]
        Constant for each row at a position, and each lane.
    """

    def __init__(self, plan: LayerPlan, values: np.ndarray, absent: int, bits: int = 0):
        self._bits = bits or plan.membrane_bits
        self.table = np.tile(np.append(values, absent)[plan.channels_of_rows()], plan.bank_count)

    def at(self, row: Value, lane: int) -> Value:
        """Return the constant of a lane in a row; without a multiplexer if all rows agree."""
        column = [int(value) for value in self.table[:, lane]]
        if len(set(column)) == 1:
            return Const(column[0], signed(self._bits))
        return Array(Const(value, signed(self._bits)) for value in column)[row]
