# SPDX-License-Identifier: MIT
"""Leaking rows: a number of each neuron beside its membrane, which leaks by an adder of its own."""

from collections.abc import Callable
from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from firstspike_arch.core_spec import CoreSpec
from firstspike_arch.microcode import RowOp

from .leak_products import leak_products
from .operands import Adds
from .pass_row import PassRow
from .row_memory import RowBanks, lanes_of

__all__ = ["LeakingRows"]


class LeakingRows:
    """A number of each lane that passes let leak, beside what the core's adder does. It starts at 0.

    It is replaced in the operand stage, or in the add stage, as a membrane is. In a memory, which is replaced in the
    add stage, it is read into a register first.

    Parameters
    ----------
    m : Module
        Module of the core, which gets the memories as submodules.
    spec : CoreSpec
    name : str
        Its name in the microcode: "trace" or "rise".
    aside : function
        Returns what a pass does to the number beside the membrane; None: nothing.
    early : bool
        It is replaced in the operand stage; only where all neurons are in registers.
    changes : function
        Whether a pass reads or replaces the number. Registers move in such passes only.
    keeps : bool
        A memory is written in such passes only.
    fetch, operand, add : PassRow
        Stages of the core.
    free : Value
        High if fetch and operand stage move at the end of this cycle.

    Attributes
    ----------
    peek : list of Value
        The number of each lane in the operand stage, without what is being written in the add stage; with all neurons
        in one row, that of the row, in any cycle.
    values : list of Value
        The number of each lane in the stage in which it is replaced.
    mismatches : list of Value
        As of `RowBanks`.
    """

    def __init__(
        self, m: Module, spec: CoreSpec, *, name: str, aside: Callable[[RowOp], RowOp | None], early: bool,
        changes: Callable[[RowOp], bool], keeps: bool, fetch: PassRow, operand: PassRow, add: PassRow, free: Value,
    ):
        self.spec, self.bits, self.early, self._aside = spec, spec.plan.current_bits, early, aside
        self.m, self.operand, self._name, self._fetch, self._free = m, operand, name, fetch, free
        self._ops = [one for op in spec.microcode.passes if (one := aside(op)) is not None]
        self._stage = stage = operand if early else add
        in_registers = spec.plan.in_registers
        rotates = kept = None
        if in_registers or keeps:
            touched = self.decoded(f"touches_{name}", self._before.which(changes))
            if in_registers:  # all rows in a pass over the numbers, or none
                rotates = free & touched if early else touched
            else:
                kept = ~touched

        def rows(name: str, **options) -> RowBanks:
            return RowBanks(m, spec.plan, name, self.bits, fetch=fetch, add=stage, free=free, rotates=rotates,
                            keeps=kept, **options)

        self._rows = rows(f"{name}s", restart=stage.inits_all if in_registers else 0,
                          clear=None if in_registers else operand.which(lambda op: op.act == "init"))
        self.values = [value.as_signed() for value in lanes_of(self._rows.value, self.bits)]
        peek = self._rows.value if in_registers else self._rows.peek
        self.peek = [value.as_signed() for value in lanes_of(peek, self.bits)]
        self._shadows = rows(f"{name}_shadow") if any(op.act == "save" for op in self._ops) else None
        self.mismatches = self._rows.mismatches + ([] if self._shadows is None else self._shadows.mismatches)

    @property
    def _before(self) -> PassRow:
        """The stage before that in which the number is replaced."""
        return self._fetch if self.early else self.operand

    def decoded(self, name: str, value: Value) -> Signal:
        """Return a register of what holds for the row in the stage before, for the stage in which the number is
        replaced."""
        register = Signal(name=name)
        if self.early:
            with self.m.If(self._free):
                self.m.d.sync += register.eq(value)
        else:
            self.m.d.sync += register.eq(value)
        return register

    def loaded(self, name: str, predicate: Callable[[RowOp], bool]) -> Signal:
        """Return a register that says what holds for the row in the operand stage."""
        register = Signal(name=name)
        with self.m.If(self._free):
            self.m.d.sync += register.eq(self._fetch.which(predicate))
        return register

    def connect(self, given: list[Value]) -> None:
        """Drive what replaces the number: it plus ``given`` of each lane, in the stage in which it is replaced, and
        its leak."""
        m, shadows = self.m, self._shadows
        totals = self._totals(None if shadows is None else lanes_of(shadows.value, self.bits), given)
        if shadows is not None:
            saves = self._which("saves", lambda op: op.act == "save")
            m.d.comb += shadows.next.eq(Mux(saves, Cat(totals), shadows.value))
        m.d.comb += self._rows.next.eq(Cat(self._multiplied(self._halved(totals))))

    def _which(self, name: str, predicate: Callable[[RowOp], bool]) -> Signal:
        """Return whether what a pass does to the number satisfies ``predicate``."""
        return self.decoded(f"{name}_{self._name}", self._before.which(
            lambda op: (one := self._aside(op)) is not None and predicate(one)))

    def _adds(self, operand: str) -> list[Signal]:
        """Return for each lane whether a pass adds this operand to the number."""
        adds = Adds(self.spec, self._before,
                    lambda op: one if (one := self._aside(op)) is not None and one.operand == operand else None)
        made: dict[tuple, Signal] = {}
        for lane in range(self.spec.plan.elements):
            if (rows := adds.rows(lane)) not in made:
                made[rows] = self.decoded(f"adds_{operand}{len(made) or ''}", adds.to(lane))
        return [made[adds.rows(lane)] for lane in range(self.spec.plan.elements)]

    def _totals(self, shadows: list[Value] | None, given: list[Value]) -> list[Value]:
        """Return the sum of each lane."""
        values, addends, carries = self.values, [given], []
        decay = next((op for op in self._ops if op.operand == "decay"), None)
        if decay is not None:
            adds = self._adds("decay")
            addends.append([Mux(one, ~(value >> decay.index), 0) for one, value in zip(adds, values, strict=True)])
            # −⌈x / 2^k⌉ = ~(x >> k), and one more if nothing is shifted out; rounded toward 0, also if x < 0.
            carries.append([one & (~value[:decay.index].any() | (value[-1] & Const(decay.toward_zero)))
                            for one, value in zip(adds, values, strict=True)])
        if shadows is not None:
            added = [Mux(one, shadow.as_signed(), 0) for one, shadow in zip(self._adds("shadow"), shadows, strict=True)]
            addends.append(added)
            if any(op.halve and op.toward_zero for op in self._ops):
                rounds = self._which("rounds", lambda op: op.halve and op.toward_zero)
                carries.append([rounds & (value[-1] | other[-1]) for value, other in zip(values, added, strict=True)])
        right = [reduce(or_, parts) for parts in zip(*addends, strict=True)]
        if not carries:
            return [(value + other)[:self.bits].as_signed() for value, other in zip(values, right, strict=True)]
        carried = [reduce(or_, parts) for parts in zip(*carries, strict=True)]
        # One adder: its lowest bits, whose sum is not taken, carry.
        return [(Cat(carry, value) + Cat(carry, other).as_signed())[1:self.bits + 1].as_signed()
                for carry, value, other in zip(carried, values, right, strict=True)]

    def _halved(self, totals: list[Value]) -> list[Value]:
        """Return the next number of each lane, from the sum of each."""
        nexts = totals
        if any(op.halve for op in self._ops):
            halves = self._which("halves", lambda op: op.halve)
            nexts = [Mux(halves, total >> 1, total) for total in nexts]
        if any(op.act == "save" and not op.halve for op in self._ops):
            empties = self._which("empties", lambda op: op.act == "save" and not op.halve)
            nexts = [Mux(empties, 0, total) for total in nexts]
        return [total[:self.bits] for total in nexts]

    def _multiplied(self, nexts: list[Value]) -> list[Value]:
        """Return the next number of each lane, which is its product in the pass in which the leak is one."""
        product = next((op for op in self._ops if op.operand == "product"), None)
        if product is None:
            return nexts
        multiplies = self._which("multiplies", lambda op: op.operand == "product")
        products = leak_products(self.spec.plan, product, self.values, self._stage.group)
        return [Mux(multiplies, one, other)[:self.bits] for one, other in zip(products, nexts, strict=True)]
