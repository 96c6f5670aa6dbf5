# SPDX-License-Identifier: MIT
"""Pipeline stage of a core: the row that it holds, and the row's pass."""

from collections.abc import Callable
from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import data
from firstspike_arch.core_spec import CoreSpec
from firstspike_arch.microcode import RowOp

from .capture import tile_struct
from .sequencer import IssueInterface, fall_steps
from .token_head import turns, value_shape

__all__ = ["PassRow"]


class PassRow:
    """Registers of one stage: the members of `issue_signature` without the words of weights.

    Parameters
    ----------
    spec : CoreSpec
    stage : str
        Name of the stage, with which the names of the registers begin.

    Attributes
    ----------
    reads : PassRow
        Of the fetch stage, the stage in which memories of rows are read: itself, or the one before.
    """

    def __init__(self, spec: CoreSpec, stage: str):
        plan, self._passes, self._stage = spec.plan, spec.microcode.passes, stage
        self.reads: PassRow = self
        self._early: tuple[Module, PassRow] | None = None
        self._decoded: dict[tuple[int, ...] | str, Signal] = {}
        self.valid, self.row = Signal(name=f"{stage}_valid"), Signal(range(plan.rows), name=f"{stage}_row")
        self.number = Signal(range(len(self._passes)), name=f"{stage}_number")
        self.captures, self.final = Signal(name=f"{stage}_captures"), Signal(name=f"{stage}_final")
        self.masked = Signal(name=f"{stage}_masked")
        self.value = Signal(value_shape(spec.layouts), name=f"{stage}_value")
        self.step = Signal(range(fall_steps(spec) + 1), name=f"{stage}_step")
        # With a single position, a row's place at its position is the row itself.
        self.group = self.row if plan.positions == 1 else Signal(range(plan.position_rows), name=f"{stage}_group")
        self._fields = ["valid", "number", "row", "captures", "final", "masked", "value", "step",
                        *(["group"] * (self.group is not self.row))]
        if spec.parity:
            self.known = Signal(name=f"{stage}_known")
            self._fields.append("known")
        if spec.pairs:
            self.second = Signal(name=f"{stage}_second")
            self.second_value = Signal(value_shape(spec.layouts), name=f"{stage}_second_value")
            self._fields += ["second", "second_value"]
        self._banks, self._rows, self._in_registers = plan.bank_count, plan.rows, plan.in_registers
        if plan.options.skips:
            self.last, self.tile = Signal(name=f"{stage}_last"), Signal(tile_struct(plan), name=f"{stage}_tile")
            self._fields += ["last", "tile"]
        self._pools = plan.sum_rows > 0
        if self._pools:
            self.sum_row = Signal(range(plan.sum_rows), name=f"{stage}_sum_row")
            self.clears = Signal(name=f"{stage}_clears")
            self._fields += ["sum_row", "clears"]
        if self._banks > 1:
            self.bank_rows: Any = Signal(data.ArrayLayout(range(plan.rows), self._banks), name=f"{stage}_bank_rows")
            self.reached = Signal(self._banks, name=f"{stage}_reached")
            self.edges = Signal(2, name=f"{stage}_edges")
            self._fields += ["bank_rows", "reached", "edges"]
        self.turns = {name: Signal(values, name=f"{stage}_{name}") for name, values in turns(plan).items()}

    def decode_early(self, m: Module, before: "PassRow") -> None:
        """Decode the passes of rows while they are in the stage before, which moves in every cycle, into registers: the
        wires to all lanes are long."""
        self._early = m, before

    def bank(self, number: int) -> tuple[Value, Value]:
        """Return the row of a bank, and whether it is visited."""
        if self._pools:
            return self.row, self.valid & ~self.is_event
        if self._banks == 1:
            return self.row, self.valid
        return self.bank_rows[number], self.valid & self.reached[number]

    def sums(self) -> tuple[Value, Value]:
        """Return the row of the sums that a pool of currents takes, and whether it is replaced."""
        return self.sum_row, self.valid & (self.is_event | self.clears)

    @property
    def is_event(self) -> Value:
        """High if the row is visited by an event, not by a marker."""
        return self.which(lambda op: op is self._passes[0])

    @property
    def inits_row(self) -> Value:
        """High in the pass that starts an inference, where every row starts by itself: in a memory."""
        return Const(0) if self._in_registers else self._which_init

    @property
    def inits_all(self) -> Value:
        """High with the last row of the pass that starts an inference, where all rows start with it: in registers."""
        if not self._in_registers:
            return Const(0)
        return self._at("inits_all", lambda stage: stage._which_init & (stage.row == self._rows - 1))

    @property
    def _which_init(self) -> Value:
        return self.which(lambda op: op.act == "init")

    def which(self, predicate: Callable[[RowOp], bool]) -> Value:
        """Return a value that is high if the pass of the row satisfies ``predicate``."""
        hits = tuple(index for index, op in enumerate(self._passes) if predicate(op))
        return self._at(hits, lambda stage: Cat(stage.number == index for index in hits).any()) if hits else Const(0)

    def _at(self, key: tuple[int, ...] | str, value: "Callable[[PassRow], Value]") -> Value:
        """Return what holds for the row; decoded early, it is a register, and for each ``key`` the same."""
        if self._early is None:
            return value(self)
        m, before = self._early
        if key not in self._decoded:
            self._decoded[key] = Signal(name=f"{self._stage}_decoded{len(self._decoded)}")
            m.d.sync += self._decoded[key].eq(value(before))
        return self._decoded[key]

    def follow(self, before: "PassRow | IssueInterface") -> list:
        """Return statements that take over the registers of the previous stage."""
        turned = before.turns if isinstance(before, PassRow) else {name: getattr(before, name) for name in self.turns}
        return [*(getattr(self, field).eq(getattr(before, field)) for field in self._fields),
                *(turn.eq(turned[name]) for name, turn in self.turns.items())]
