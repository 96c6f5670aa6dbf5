# SPDX-License-Identifier: MIT
"""Rise: what the thresholds of a layer have risen by with its own spikes, with an adder of its own."""

from collections.abc import Sequence

from amaranth.hdl import Const, Module, Mux, Signal, Value
from firstspike_arch.core_spec import CoreSpec

from .lane_constants import LaneConstants
from .leaking_rows import LeakingRows
from .pass_row import PassRow

__all__ = ["Rise"]


class Rise(LeakingRows):
    """The rise of each lane's thresholds, never negative: the capturing pass compares membranes with it, and passes of
    a step let it leak and add what the step's spike asks for.

    In several rows of registers it is replaced in the operand stage, in which the row's spikes are found; otherwise in
    the add stage. The comparison sees it as it was before the capturing pass.

    Parameters
    ----------
    m, spec, fetch, operand, add, free
        As of `LeakingRows`.
    """

    def __init__(
        self, m: Module, spec: CoreSpec, *, fetch: PassRow, operand: PassRow, add: PassRow, free: Value,
    ):
        super().__init__(
            m, spec, name="rise", aside=lambda op: op.rising,
            early=spec.plan.in_registers and not spec.plan.in_one_row, keeps=True, fetch=fetch, operand=operand,
            add=add, free=free,
            changes=lambda op: op.rising is not None or op.operand == "rise" or op.act == "init")

    def follow(self, reached: Sequence[Value]) -> None:
        """Drive what replaces it.

        Parameters
        ----------
        reached : sequence of Value
            For each threshold, which lanes have reached it in this step, as remembered behind the capturing pass: in
            the operand stage; with all neurons in one row, in the add stage.
        """
        plan = self.spec.plan
        raises = next(op for op in self.spec.microcode.passes if op.rising is not None and op.rising.by_level)
        assert raises.rising is not None and raises.rising.values is not None
        tables = [LaneConstants(plan, values, absent=0) for values in raises.rising.values[1:]]
        if plan.in_one_row:
            adds = self.decoded("raises", self.operand.which(lambda op: op is raises))
        else:
            adds = self.loaded("raises", lambda op: op is raises)
        given: list[Value] = []
        for lane in range(plan.elements):
            chosen: Value = Const(0, 1)
            for level, table in zip(reached, tables, strict=True):
                chosen = Mux(adds & level[lane], table.at(self.operand.group, lane), chosen)
            if not self.early and not plan.in_one_row:
                register = Signal(self.bits, name=f"raise{lane}", reset_less=True)
                self.m.d.sync += register.eq(chosen)
                chosen = register
            given.append(chosen.as_signed())
        self.connect(given)
