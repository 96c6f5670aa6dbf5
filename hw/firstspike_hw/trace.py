# SPDX-License-Identifier: MIT
"""Trace: the currents of a layer whose currents last, with an adder of their own."""

from amaranth.hdl import Module, Mux, Signal, Value
from firstspike_arch.core_spec import CoreSpec
from firstspike_arch.microcode import RowOp

from .lane_constants import LaneConstants
from .leaking_rows import LeakingRows
from .pass_row import PassRow

__all__ = ["Trace"]


class Trace(LeakingRows):
    """The trace of each lane: an event adds its product, or a pass the current, or a bias, and passes let it leak,
    beside what the core's adder does.

    In registers, a trace is replaced in the operand stage, so that the pass right behind an event takes it without a
    wait.

    Parameters
    ----------
    m, spec, fetch, operand, add, free
        As of `LeakingRows`.
    products : list of Value
        What an event adds to each lane, in the operand stage; 0 in passes that add no weights.
    currents : list of Value or None
        Current of each lane in the operand stage, if the core has currents.
    """

    def __init__(
        self, m: Module, spec: CoreSpec, *, fetch: PassRow, operand: PassRow, add: PassRow, free: Value,
        products: list[Value], currents: list[Value] | None,
    ):
        def changes(op: RowOp) -> bool:
            return op.store == "trace" or op.operand == "trace" or op.beside is not None or op.act == "init"

        super().__init__(m, spec, name="trace", aside=lambda op: op.beside, early=spec.plan.in_registers,
                         changes=changes, keeps=False, fetch=fetch, operand=operand, add=add, free=free)
        self.connect(self._given(products, currents))

    def _given(self, products: list[Value], currents: list[Value] | None) -> list[Value]:
        """Return what events and biases, or the current, add to each lane."""
        passes = self.spec.microcode.passes
        if currents is None:
            # A word of weights can also be a bias of the membrane, beside which a trace leaks.
            gate = None
            if not self.early or any(
                    op.beside is not None and op.operand == "weight" for op in passes[1:]):
                gate = self.loaded("adds_product", lambda op: op.operand == "weight" and op.store == "trace")
            found, width = products, min(self.bits, max(len(one) for one in products))
        else:
            gate = self.loaded("adds_to_trace", lambda op: op.store == "trace")
            found, width = currents, self.bits
        given = [one.as_signed() if gate is None else Mux(gate, one.as_signed(), 0) for one in found]
        for op in passes:
            if op.store == "trace" and op.operand == "constant" and op.values is not None:
                adds, bias = self.loaded("adds_bias", lambda one, op=op: one is op), LaneConstants(
                    self.spec.plan, op.values, absent=0)
                given = [Mux(adds, bias.at(self.operand.group, lane), one) for lane, one in enumerate(given)]
                width = self.bits
        if self.early:
            return given
        registers: list[Value] = []
        for lane, one in enumerate(given):
            register = Signal(width, name=f"given{lane}", reset_less=True)
            self.m.d.sync += register.eq(one)
            registers.append(register.as_signed())
        return registers
