# SPDX-License-Identifier: MIT
"""Storage of rows, such as membranes: a ring of registers for few rows, a memory for many."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, ValueLike
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from firstspike_arch.layer_plan import LayerPlan
from firstspike_arch.parity import parity_bits

from .collisions import UNUSED
from .parity import mismatch_of, parity_of
from .pass_row import PassRow

__all__ = ["RowBanks", "RowMemory", "lanes_of"]


class RowMemory(wiring.Component):
    """Rows that are replaced one after the other: a row's value is read in the cycle in which it is replaced.

    In ``registers`` the rows are visited round-robin and rotate, without address or multiplexer. Otherwise they are in
    a memory with synchronous read (block RAM, or LUT RAM if it is shallow), and a row is fetched two cycles before it
    is replaced; there must be at least three rows. The throughput is one row a cycle.

    Parameters
    ----------
    rows, width : int
        Number of rows, and their width in bits.
    registers : bool
        Whether the rows are registers instead of a memory.
    lut_ram : bool
        For a memory: whether synthesis must make LUT RAM of it.
    remote : bool
        For a memory: whether it has registers on both sides, so that a row is fetched three cycles before it is
        replaced, and written in the cycle behind that. There must be at least five rows.
    forwards : bool
        For a memory that is not ``remote``: whether a row may be replaced again in one of the next two cycles.
        ``value`` then includes what is being written, or was written in the cycle before; ``peek`` and ``settled`` do
        not.
    bubbles : bool
        Whether ``peek`` must also be right in a cycle in which no row is replaced.
    clears : bool
        For a memory: whether ``clear`` is used.
    parity : bool
        For a memory that is not ``remote``: whether each row has parity. It is in a memory of its own, whose ports do
        in the next cycle what those of the rows do in this one: so no row waits for its parity, neither to be written
        nor to be used.
    init : sequence of int
        Power-up value of each register row, from which all rows restart together. That needs no multiplexer, as the set
        or reset of a flip-flop equals its power-up value.

    Members
    -------
    fetch_row : In(range(rows))
        Row two stages before the one that is replaced; three, if the memory is ``remote``.
    fetch : In(1)
        The row to fetch moves on to the next stage.
    fetch_live : In(1)
        The row to fetch is going to be replaced (with ``forwards``).
    peek : Out(width)
        Value of the row one stage before, without the current write; with a single row: of that row.
    value : Out(width)
        Value of the row that is replaced now.
    settled : Out(width)
        The same, faster, if the row was not replaced in the two cycles before.
    row : In(range(rows))
        Row that is replaced now.
    advance : In(1)
        Replace ``value`` by ``next``.
    next : In(width)
        New value of the row.
    restart : In(1)
        In registers: with ``advance``, all rows get their power-up value; allowed only with the last row.
    clear : In(1)
        In a memory: ``value`` of the row that is replaced in the next cycle is 0.
    live : In(1), mismatch : Out(1)
        With parity: ``value`` is a row that was written since reset, and is used; and, two cycles later, what was
        read of it did not fit its parity. What was not used, as it is forwarded, is not looked at.
    """

    fetch_row: Signal
    fetch: Signal
    fetch_live: Signal
    peek: Signal
    value: Signal
    settled: Signal
    row: Signal
    advance: Signal
    next: Signal
    restart: Signal
    clear: Signal
    live: Signal
    mismatch: Signal

    def __init__(
        self, *, rows: int, width: int, registers: bool, lut_ram: bool = False, remote: bool = False,
        forwards: bool = False, bubbles: bool = False, clears: bool = False, parity: bool = False,
        init: Sequence[int] = (),
    ):
        if rows < 1 or width < 1:
            raise ValueError(f"rows and width must be at least 1, not {rows!r} and {width!r}")
        if parity and (registers or remote):
            raise ValueError(f"parity must be off for {'rows in registers' if registers else 'a remote memory'}")
        if remote and (registers or forwards):
            raise ValueError(f"remote must be off for {'rows in registers' if registers else 'sums to be forwarded'}")
        if init and (not registers or len(init) != rows):
            raise ValueError(f"init must be a value for each of {rows} rows in registers, or none, not {len(init)}")
        self._rows, self._width, self._registers, self._remote = rows, width, registers, remote
        self._lut_ram, self._forwards, self._bubbles, self._clears = lut_ram, forwards, bubbles, clears
        self._init, self._parity = init or [0] * rows, parity
        super().__init__({
            "fetch_row": In(range(rows)), "fetch": In(1), "fetch_live": In(1), "peek": Out(width), "value": Out(width),
            "settled": Out(width), "row": In(range(rows)), "advance": In(1), "next": In(width), "restart": In(1),
            **({"clear": In(1)} if clears else {}),
            **({"live": In(1), "mismatch": Out(1)} if parity else {}),
        })

    @property
    def rows(self) -> int:
        """Rows that it holds."""
        return self._rows

    @property
    def width(self) -> int:
        """Bits of a row."""
        return self._width

    @property
    def registers(self) -> bool:
        """Whether the rows are a ring of registers."""
        return self._registers

    @property
    def _attributes(self) -> dict[str, Any]:
        """A row that is fetched while it is replaced is forwarded, or not used."""
        return UNUSED | ({"ram_style": "distributed"} if self._lut_ram else {})

    def elaborate(self, platform):
        m = Module()
        if self._registers:
            ring = [
                Signal(self._width, name=f"row{index}", init=self._init[index], reset_less=True)
                for index in range(self._rows)
            ]
            behind = ring[min(1, self._rows - 1)]
            m.d.comb += [self.value.eq(ring[0]), self.settled.eq(ring[0]),
                         self.peek.eq(Mux(self.advance, behind, ring[0]) if self._bubbles else behind)]
            with m.If(self.advance):
                m.d.sync += [older.eq(Mux(self.restart, init, newer)) for older, newer, init in
                             zip(ring, [*ring[1:], self.next], self._init, strict=True)]
        else:
            m.submodules.rows = rows = Memory(shape=self._width, depth=self._rows, init=[], attrs=self._attributes)
            read, write = rows.read_port(), rows.write_port()
            # No gate is between the memory and ``word``, so that the output register of a block RAM can be that.
            word, unused = Signal(self._width, reset_less=True), Const(0)
            peek, row, advance, replaced = read.data, self.row, self.advance, self.next
            if self._remote:
                peek, row, advance = (Signal.like(one, name=f"far_{name}") for name, one in (
                    ("word", word), ("row", row), ("advance", advance)))
                replaced = Signal(self._width, name="far_next", reset_less=True)
                with m.If(self.fetch):
                    m.d.sync += peek.eq(read.data)
                m.d.sync += [row.eq(self.row), advance.eq(self.advance), replaced.eq(self.next)]
            m.d.sync += word.eq(peek)
            value: Value = word
            settled = word
            if self._forwards:
                # Whether to forward is known one cycle ahead: the row fetched is the one replaced in the next cycle,
                # or in this one.
                ahead, before, last = Signal(), Signal(), Signal(self._width, reset_less=True)
                operand_row, operand_live = Signal(range(self._rows)), Signal()
                with m.If(self.fetch):
                    m.d.sync += [operand_row.eq(self.fetch_row), operand_live.eq(self.fetch_live)]
                m.d.sync += [
                    ahead.eq(self.fetch & operand_live & (operand_row == self.fetch_row)), last.eq(self.next),
                    before.eq(self.fetch & self.advance & (self.row == self.fetch_row)),
                ]
                given, is_forwarded = Mux(ahead, self.next, last), Signal()
                forwarded = Signal(self._width, reset_less=True)
                unused = ahead | before
                m.d.sync += [forwarded.eq(Mux(self.clear, 0, given) if self._clears else given),
                             is_forwarded.eq(unused | self.clear if self._clears else unused)]
                value = Mux(is_forwarded, forwarded, word)
            elif self._clears:  # what is cleared may have been used as ``peek``, so its parity is that of ``word``
                value = settled = Signal(self._width, reset_less=True)
                m.d.sync += value.eq(Mux(self.clear, 0, peek))
            if self._parity:
                self._check(m, word, unused)
            m.d.comb += [
                read.addr.eq(self.fetch_row), read.en.eq(self.fetch), self.peek.eq(peek), self.value.eq(value),
                self.settled.eq(settled), write.addr.eq(row), write.data.eq(replaced), write.en.eq(advance),
            ]
        return m

    def _check(self, m: Module, word: Signal, unused: Value) -> None:
        """Build the memory of the parity, a cycle behind that of the rows, and check what was read once it is in
        ``word``, unless it is ``unused`` there.

        The registers of a write are not reset, as a reset would come between a row and its parity."""
        m.submodules.parity = rows = Memory(
            shape=parity_bits(self._width), depth=self._rows, init=[], attrs=self._attributes)
        read, write = rows.read_port(), rows.write_port()
        fetch_row, fetch, used = Signal.like(self.fetch_row), Signal(), Signal()
        row, advance, written = (Signal.like(one, name=f"late_{name}", reset_less=True) for name, one in (
            ("row", self.row), ("advance", self.advance), ("next", self.next)))
        m.d.sync += [fetch_row.eq(self.fetch_row), fetch.eq(self.fetch), used.eq(~unused), row.eq(self.row),
                     advance.eq(self.advance), written.eq(self.next)]
        m.d.comb += [
            read.addr.eq(fetch_row), read.en.eq(fetch),
            write.addr.eq(row), write.data.eq(parity_of(written)), write.en.eq(advance),
            self.mismatch.eq(mismatch_of(m, "", word, read.data, self.live & used)),
        ]


class RowBanks:
    """Rows of all banks of a core: a `RowMemory` for each bank, connected to the core's stages.

    Parameters
    ----------
    m : Module
        Module of the core, which gets the memories as submodules.
    plan : LayerPlan
    name : str
        Name of what the rows hold.
    width : int
        Bits of each neuron.
    fetch, add : PassRow
        Fetch stage, in which a row is read, unless its memory is remote (`PassRow.reads`), and stage in which it is
        replaced.
    free : Value
        High if the fetch stage moves at the end of this cycle.
    sums : bool
        The rows are those of the sums that a pool of currents takes.
    keeps : Value, optional
        High if the row in the add stage is not replaced; in registers it is, by whatever is next. Only passes of
        markers replace rows then.
    rotates : Value, optional
        In registers: low if the rows stay as and where they are, in all rows of a pass.
    bubbles, init
        Parameters of `RowMemory`.
    restart, clear : Value
        Members of `RowMemory`; ``clear`` is used if it is given.

    Attributes
    ----------
    value, peek, settled, next : Value
        Ports of the `RowMemory` of each bank, concatenated from the lowest bit.
    mismatches : list of Value
        With parity in memories: ``mismatch`` of each bank.
    """

    def __init__(
        self, m: Module, plan: LayerPlan, name: str, width: int, *, fetch: PassRow, add: PassRow, free: Value,
        sums: bool = False, keeps: Value | None = None, rotates: Value | None = None, bubbles: bool = False,
        init: Sequence[int] = (), restart: ValueLike = 0, clear: Value | None = None,
    ):
        banks, parity = [], plan.options.parity and not plan.in_registers
        self.mismatches: list[Value] = []
        # Where events visit sums or currents, other rows are replaced by markers alone, which wait for each other.
        forwards = plan.forwards and keeps is None and (sums or not plan.sum_rows)
        for number in range(plan.bank_count):
            bank = RowMemory(
                rows=plan.sum_rows if sums else plan.rows, width=plan.lanes * width, registers=plan.in_registers,
                lut_ram=plan.options.lut_ram[name != "membranes"], remote=fetch.reads is not fetch,
                forwards=forwards, bubbles=bubbles, clears=clear is not None, parity=parity, init=init)
            m.submodules[name if plan.bank_count == 1 else f"{name}_bank{number}"] = bank
            fetch_row, live = fetch.sums() if sums else fetch.reads.bank(number)
            row, advance = add.sums() if sums else add.bank(number)
            if parity:
                # What an event does not replace is not used, and may be read while it is written.
                used = Const(1) if keeps is None else ~(keeps & add.is_event)
                m.d.comb += bank.live.eq(advance & add.known & used)
                self.mismatches.append(bank.mismatch)
            if keeps is not None and not plan.in_registers:
                advance = advance & ~keeps
            if rotates is not None and plan.in_registers:
                advance = advance & rotates
            if clear is not None:
                m.d.comb += bank.clear.eq(clear)
            m.d.comb += [bank.fetch_row.eq(fetch_row), bank.fetch.eq(free), bank.fetch_live.eq(live),
                         bank.row.eq(row), bank.advance.eq(advance), bank.restart.eq(restart)]
            banks.append(bank)
        # Signals, since Amaranth copies every other value wherever a lane's part of it is used.
        self.value, self.peek, self.settled = (
            Signal(plan.elements * width, name=f"{name}_{port}") for port in ("value", "peek", "settled"))
        m.d.comb += [self.value.eq(Cat(bank.value for bank in banks)), self.peek.eq(Cat(bank.peek for bank in banks)),
                     self.settled.eq(Cat(bank.settled for bank in banks))]
        self.next = Cat(bank.next for bank in banks)


def lanes_of(word: Value, width: int) -> list[Value]:
    """Cut a row word into slices, one for each lane."""
    return [word[start:start + width] for start in range(0, len(Cat(word)), width)]
