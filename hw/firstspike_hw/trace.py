# SPDX-License-Identifier: MIT
"""Trace: the currents of a layer whose currents last, with an adder of their own."""

from collections.abc import Callable
from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from firstspike_arch.core_spec import CoreSpec
from firstspike_arch.microcode import RowOp

from .lane_constants import LaneConstants
from .operands import Adds
from .pass_row import PassRow
from .row_memory import RowBanks, lanes_of

__all__ = ["Trace"]


class Trace:
    """The trace of each lane: an event adds its product, or a pass the current, or a bias, and passes let it leak,
    beside what the core's adder does.

    In registers, a trace is replaced in the operand stage, so that the pass right behind an event takes it without a
    wait. In a memory, it is read into a register first, and replaced in the add stage, as a membrane is.

    Parameters
    ----------
    m : Module
        Module of the core, which gets the memories as submodules.
    spec : CoreSpec
    fetch, operand, add : PassRow
        Stages of the core.
    free : Value
        High if fetch and operand stage move at the end of this cycle.
    products : list of Value
        What an event adds to each lane, in the operand stage; 0 in passes that add no weights.
    currents : list of Value or None
        Current of each lane in the operand stage, if the core has currents.

    Attributes
    ----------
    peek : list of Value
        Trace of each lane in the operand stage, without what is being written in the add stage.
    """

    def __init__(
        self, m: Module, spec: CoreSpec, *, fetch: PassRow, operand: PassRow, add: PassRow, free: Value,
        products: list[Value], currents: list[Value] | None,
    ):
        plan, passes, self._bits = spec.plan, spec.microcode.passes, spec.plan.current_bits
        self._m, self._spec, self._fetch, self._operand, self._free = m, spec, fetch, operand, free
        self._early = plan.in_registers
        self._beside = [op.beside for op in passes if op.beside is not None]
        stage = operand if self._early else add
        rotates = None
        if self._early:  # all rows in a pass over the traces, or none
            touched = self._decoded("touches_trace", self._before.which(
                lambda op: op.store == "trace" or op.operand == "trace" or op.beside is not None or op.act == "init"))
            rotates = free & touched

        def rows(name: str, **options) -> RowBanks:
            return RowBanks(m, plan, name, self._bits, fetch=fetch, add=stage, free=free, rotates=rotates, **options)

        traces = rows("traces", restart=operand.inits_all if self._early else 0,
                      clear=None if self._early else operand.which(lambda op: op.act == "init"))
        values = [value.as_signed() for value in lanes_of(traces.value, self._bits)]
        peek = traces.value if self._early else traces.peek
        self.peek = [value.as_signed() for value in lanes_of(peek, self._bits)]
        shadows: RowBanks | None = None
        if any(op.act == "save" for op in self._beside):
            shadows = rows("trace_shadow")
        totals = self._totals(values, None if shadows is None else lanes_of(shadows.value, self._bits),
                              products, currents)
        if shadows is not None:
            saves = self._beside_which("saves_trace", lambda op: op.act == "save")
            m.d.comb += shadows.next.eq(Mux(saves, Cat(totals), shadows.value))
        m.d.comb += traces.next.eq(Cat(self._halved(totals)))

    @property
    def _before(self) -> PassRow:
        """The stage before that in which traces are replaced."""
        return self._fetch if self._early else self._operand

    def _decoded(self, name: str, value: Value) -> Signal:
        """Return a register of what holds for the row in the stage before, for the stage in which traces are replaced.
        """
        register = Signal(name=name)
        if self._early:
            with self._m.If(self._free):
                self._m.d.sync += register.eq(value)
        else:
            self._m.d.sync += register.eq(value)
        return register

    def _beside_which(self, name: str, predicate: Callable[[RowOp], bool]) -> Signal:
        """Return whether what a pass does beside satisfies ``predicate``."""
        return self._decoded(name, self._before.which(lambda op: op.beside is not None and predicate(op.beside)))

    def _adds(self, operand: str) -> list[Signal]:
        """Return for each lane whether a pass adds this operand to the trace."""
        adds = Adds(self._spec, self._before,
                    lambda op: op.beside if op.beside is not None and op.beside.operand == operand else None)
        made: dict[tuple, Signal] = {}
        for lane in range(self._spec.plan.elements):
            if (rows := adds.rows(lane)) not in made:
                made[rows] = self._decoded(f"adds_{operand}{len(made) or ''}", adds.to(lane))
        return [made[adds.rows(lane)] for lane in range(self._spec.plan.elements)]

    def _totals(
        self, values: list[Value], shadows: list[Value] | None, products: list[Value], currents: list[Value] | None,
    ) -> list[Value]:
        """Return the sum of each lane."""
        addends: list[list[Value]] = [self._given(products, currents)]
        carries: list[list[Value]] = []
        decay = next((op for op in self._beside if op.operand == "decay"), None)
        if decay is not None:
            adds = self._adds("decay")
            addends.append([Mux(one, ~(value >> decay.index), 0) for one, value in zip(adds, values, strict=True)])
            # −⌈x / 2^k⌉ = ~(x >> k), and one more if nothing is shifted out; rounded toward 0, also if x < 0.
            carries.append([one & (~value[:decay.index].any() | (value[-1] & Const(decay.toward_zero)))
                            for one, value in zip(adds, values, strict=True)])
        if shadows is not None:
            added = [Mux(one, shadow.as_signed(), 0) for one, shadow in zip(self._adds("shadow"), shadows, strict=True)]
            addends.append(added)
            if any(op.halve and op.toward_zero for op in self._beside):
                rounds = self._beside_which("rounds_trace", lambda op: op.halve and op.toward_zero)
                carries.append([rounds & (value[-1] | other[-1]) for value, other in zip(values, added, strict=True)])
        right = [reduce(or_, parts) for parts in zip(*addends, strict=True)]
        if not carries:
            return [(value + other)[:self._bits].as_signed() for value, other in zip(values, right, strict=True)]
        carried = [reduce(or_, parts) for parts in zip(*carries, strict=True)]
        # One adder: its lowest bits, whose sum is not taken, carry.
        return [(Cat(carry, value) + Cat(carry, other).as_signed())[1:self._bits + 1].as_signed()
                for carry, value, other in zip(carried, values, right, strict=True)]

    def _given(self, products: list[Value], currents: list[Value] | None) -> list[Value]:
        """Return what events and biases, or the current, add to each lane."""
        if currents is None:
            # A word of weights can also be a bias of the membrane, beside which a trace leaks.
            gate = None
            if not self._early or any(op.beside is not None and op.operand == "weight"
                                      for op in self._spec.microcode.passes[1:]):
                gate = self._loaded("adds_product", lambda op: op.operand == "weight" and op.store == "trace")
            found, width = products, min(self._bits, max(len(one) for one in products))
        else:
            gate = self._loaded("adds_to_trace", lambda op: op.store == "trace")
            found, width = currents, self._bits
        given = [one.as_signed() if gate is None else Mux(gate, one.as_signed(), 0) for one in found]
        for op in self._spec.microcode.passes:
            if op.store == "trace" and op.operand == "constant" and op.values is not None:
                adds, bias = self._loaded("adds_bias", lambda one, op=op: one is op), LaneConstants(
                    self._spec.plan, op.values, absent=0)
                given = [Mux(adds, bias.at(self._operand.group, lane), one) for lane, one in enumerate(given)]
                width = self._bits
        if self._early:
            return given
        registers: list[Value] = []
        for lane, one in enumerate(given):
            register = Signal(width, name=f"given{lane}", reset_less=True)
            self._m.d.sync += register.eq(one)
            registers.append(register.as_signed())
        return registers

    def _loaded(self, name: str, predicate: Callable[[RowOp], bool]) -> Signal:
        """Return a register that says what holds for the row in the operand stage."""
        register = Signal(name=name)
        with self._m.If(self._free):
            self._m.d.sync += register.eq(self._fetch.which(predicate))
        return register

    def _halved(self, totals: list[Value]) -> list[Value]:
        """Return the next trace of each lane, from the sum of each."""
        nexts = totals
        if any(op.halve for op in self._beside):
            halves = self._beside_which("halves_trace", lambda op: op.halve)
            nexts = [Mux(halves, total >> 1, total) for total in nexts]
        if any(op.act == "save" and not op.halve for op in self._beside):
            empties = self._beside_which("empties_trace", lambda op: op.act == "save" and not op.halve)
            nexts = [Mux(empties, 0, total) for total in nexts]
        return [total[:self._bits] for total in nexts]
