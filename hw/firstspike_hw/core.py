# SPDX-License-Identifier: MIT
"""Core: synapse engine and membranes of one layer."""

from collections.abc import Sequence
from functools import reduce
from operator import or_

import numpy as np
from amaranth.hdl import Array, Cat, Const, Module, Mux, Shape, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped
from firstspike_arch.array import LayerPlan
from firstspike_arch.core_spec import CoreSpec
from firstspike_arch.events import MAGNITUDE_MAX
from firstspike_arch.fixed import CHUNK_BITS, bits_for_unsigned, pack_rows
from firstspike_arch.memory import MemoryShape

from .row_memory import RowMemory, lanes_of
from .sequencer import Sequencer, drop_signature, fall_steps
from .stream_token import token_stream
from .token_head import value_shape

__all__ = ["Core", "capture_signature", "memory_access_signature"]


def capture_signature(rows: int, lanes: int, value_bits: int, magnitude_bits: int) -> wiring.Signature:
    """Spikes of one row, as a core captures them when a step marker passes.

    ``valid`` lasts one cycle and cannot be refused, and ``coming`` says it one cycle before. What can be refused is the
    promise for a row whose ``request`` is high two cycles before: with ``grant`` it goes on, and becomes valid.
    ``opening``: the row that asks is the first of its step. ``last``: the valid row is the last of its step; ``final``:
    of its inference's last step. ``values``: pre-reset membranes. ``magnitudes``: of the spikes.
    """
    members = {
        "request": Out(1), "opening": Out(1), "grant": In(1), "coming": Out(1),
        "valid": Out(1), "row": Out(range(rows)), "last": Out(1), "final": Out(1), "spikes": Out(lanes),
    }
    if value_bits:
        members["values"] = Out(data.ArrayLayout(signed(value_bits), lanes))
    if magnitude_bits:
        members["magnitudes"] = Out(data.ArrayLayout(magnitude_bits, lanes))
    return wiring.Signature(members)


def memory_access_signature(shape: MemoryShape) -> wiring.Signature:
    """A chunk of a memory word, one bit of ``chunk`` or none, to ``write`` or to ``read``.

    ``ahead`` is high in the cycle before any ``write``.
    """
    return wiring.Signature({
        "word": Out(range(shape.depth)), "chunk": Out(shape.chunks),
        "ahead": Out(1), "write": Out(1), "data": Out(CHUNK_BITS), "read": Out(1),
    })


class _PassRow:
    """A row on its way through a core: its pass by number, and for the first pass of a marker, whose spikes."""

    def __init__(self, stage: str, *, passes: int, plan: LayerPlan, value: Shape, falls: int):
        self.valid, self.number = Signal(name=f"{stage}_valid"), Signal(range(passes), name=f"{stage}_number")
        self.row, self.captures = Signal(range(plan.rows), name=f"{stage}_row"), Signal(name=f"{stage}_captures")
        self.final, self.masked = Signal(name=f"{stage}_final"), Signal(name=f"{stage}_masked")
        self.value, self.step = Signal(value, name=f"{stage}_value"), Signal(range(falls + 1), name=f"{stage}_step")
        # Without positions a row is its own place at its position.
        self.group = self.row if plan.positions == 1 else Signal(range(plan.position_rows), name=f"{stage}_group")
        self._fields = ["valid", "number", "row", "captures", "final", "masked", "value", "step",
                        *(["group"] * (self.group is not self.row))]
        if plan.bank_count > 1:
            self.bank_rows = Signal(data.ArrayLayout(range(plan.rows), plan.bank_count), name=f"{stage}_bank_rows")
            self.reached = Signal(plan.bank_count, name=f"{stage}_reached")
            self.edges = Signal(2, name=f"{stage}_edges")
            self._fields += ["bank_rows", "reached", "edges"]

    def bank(self, number: int) -> tuple:
        """Row of a bank, and whether it is visited."""
        if not hasattr(self, "reached"):
            return self.row, self.valid
        return self.bank_rows[number], self.valid & self.reached[number]

    def follow(self, before) -> list:
        """Take over what the stage before holds."""
        return [getattr(self, field).eq(getattr(before, field)) for field in self._fields]


class Core(wiring.Component):
    """u[row] ← u[row] + value · weights[row, address] for the rows of an event; at a marker, the passes of its
    `Microcode`. Of a direct input, the events add to the current instead.

    The `Sequencer` says which row comes in which cycle. Four stages: issue (weight address), fetch (weight word →
    weight register, beside the memory), operand (weight · value, or another operand → operand register, beside the
    adder), add (u + operand, written at the end of the cycle). The product with a spike's magnitude is a sum of shifted
    weights; with a number of a direct input it is a multiplication, or ``bit_serial`` a shift. A row issued in cycle c
    is added in c + 3. The first pass of a marker's step or final program captures the spikes of a row in its add stage,
    and waits in the operand stage until ``capture.grant`` was high in the cycle before; nothing else ever waits behind
    the sequencer.

    Parameters
    ----------
    spec : CoreSpec
        What to compute, on how many lanes, by which passes, from which weight memory.
    image : sequence of int
        Initial weight words, for simulation; empty for Verilog, which loads a file.

    Members
    -------
    events0, events1, … : In(token_stream(layout))
    capture : Out(capture_signature(...))
    drop : In(drop_signature(tag_bits))
    access : In(memory_access_signature(memory))
        Not while an inference is inside.
    chunk : Out(CHUNK_BITS)
        Of a ``read``, two cycles after it; 0 if none is chosen. With ``spec.read_back``.
    reload : In(1)
        Only while not ``busy``.
    busy : Out(1)
        As of the `Sequencer`.
    """

    def __init__(self, spec: CoreSpec, image: Sequence[int] = ()):
        self._spec, self._image = spec, image
        self._layer, self._plan, self._microcode = spec.layer, spec.plan, spec.microcode
        self._passes = spec.microcode.passes
        streams = {f"events{index}": In(token_stream(layout)) for index, layout in enumerate(spec.layouts)}
        magnitude_bits = spec.layer.out_layout.value_bits
        super().__init__({
            **streams,
            "capture": Out(capture_signature(spec.plan.rows, spec.plan.elements, spec.value_bits, magnitude_bits)),
            "drop": In(drop_signature(spec.tag_bits)),
            "access": In(memory_access_signature(spec.memory)),
            "reload": In(1), "busy": Out(1), **({"chunk": Out(CHUNK_BITS)} if spec.read_back else {}),
        })
        self.streams = [getattr(self, name) for name in streams]

    def elaborate(self, platform):
        m = Module()
        self._build_stages(m)
        self._build_weights(m)
        self._build_lanes(m)
        return m

    def _which(self, number, predicate) -> Signal:
        """High where pass ``number`` satisfies ``predicate``."""
        hits = [index for index, op in enumerate(self._passes) if predicate(op)]
        return Cat(*(number == index for index in hits)).any() if hits else Const(0)

    def _build_stages(self, m: Module) -> None:
        plan, rows = self._plan, self._plan.rows
        m.submodules.sequencer = sequencer = Sequencer(self._spec)
        for outside, inside in zip(self.streams, sequencer.streams, strict=True):
            connect(m, flipped(outside), inside)
        self._free = free = Signal(init=1)  # a register: every stage before the last moves by it
        m.d.comb += [
            sequencer.free.eq(free), sequencer.reload.eq(self.reload), sequencer.drop.valid.eq(self.drop.valid),
            sequencer.drop.tag.eq(self.drop.tag), self.busy.eq(sequencer.busy),
        ]
        # Fetch and operand stage: wait only for the promise that captured spikes will be taken.
        self._issue = sequencer.issue
        self._fetch, self._operand, self._add = (
            _PassRow(name, passes=len(self._passes), plan=plan, value=value_shape(self._spec.layouts),
                     falls=fall_steps(self._spec)) for name in ("fetch", "operand", "add"))
        operand, add = self._operand, self._add
        with m.If(free):
            m.d.sync += [*self._fetch.follow(self._issue), *operand.follow(self._fetch)]
        m.d.sync += add.follow(operand)
        with m.If(~free):
            m.d.sync += add.valid.eq(0)
        capture, fetch = self.capture, self._fetch
        self._moves = ~capture.request | capture.grant  # `free` of the next cycle
        m.d.sync += free.eq(self._moves)
        m.d.comb += [
            capture.request.eq(~free | (fetch.valid & fetch.captures)),
            capture.opening.eq(Mux(free, fetch.row == 0, operand.row == 0)),
            capture.coming.eq(operand.valid & operand.captures & free),
            self.capture.valid.eq(add.valid & add.captures), self.capture.row.eq(add.row),
            self.capture.last.eq(add.row == rows - 1), self.capture.final.eq(add.final),
        ]

    def _build_weights(self, m: Module) -> None:
        shape, access = self._spec.memory, self.access
        memory = Memory(shape=shape.width, depth=shape.depth, init=self._image)
        m.submodules[shape.name] = memory
        read = memory.read_port()
        write = memory.write_port(granularity=CHUNK_BITS)
        reads = Signal()
        m.d.sync += reads.eq(self._moves & ~access.ahead)
        address, lends = Signal(range(shape.depth)), Const(0)
        if self._spec.read_back:
            lends = access.read
        if shape.single_port:
            lends = lends | access.write
        m.d.comb += [
            address.eq(Mux(lends, access.word, self._issue.word)), read.addr.eq(address),
            # Never both in one cycle: otherwise synthesis spends logic on what a collision would read.
            read.en.eq(reads), write.en.eq(Mux(access.write & ~reads, access.chunk, 0)),
            write.addr.eq(address if shape.single_port else access.word),
            write.data.eq(access.data.replicate(shape.chunks)),
        ]
        # Two flip-flops in a row: the first next to the memory, whose output is slow, the second next to the adder.
        self._weights = weights = Signal(shape.used_bits, reset_less=True)
        with m.If(self._free):
            m.d.sync += weights.eq(read.data)
        if self._spec.read_back:  # not at the memory's own output: on ECP5 the register is a part of the block RAM
            chunks = [weights[low:low + CHUNK_BITS] for low in range(0, shape.used_bits, CHUNK_BITS)]
            m.d.comb += self.chunk.eq(reduce(or_, (
                Mux(chosen, chunk, 0) for chosen, chunk in zip(access.chunk, chunks, strict=True))))

    def _build_lanes(self, m: Module) -> None:
        lanes, bits = self._plan.elements, self._plan.membrane_bits
        passes, neuron = self._passes, self._layer.neuron
        remembers_spike, fires_once = self._spec.remembers_spikes, self._spec.fires_once
        init = self._lane_constants(self._microcode.init, absent=-1)
        membranes = self._rows(m, "membranes", bits, init=pack_rows(init, bits) if self._plan.in_registers else ())
        u = [value.as_signed() for value in lanes_of(membranes.value, bits)]
        left, peeks = u, {"membrane": lanes_of(membranes.peek, bits)}
        is_current = self._which(self._add.number, lambda op: op.store == "current")
        is_init = self._which(self._add.number, lambda op: op.act == "init")
        if self._microcode.static:
            currents = self._rows(m, "currents", bits, bubbles=True)
            static = [value.as_signed() for value in lanes_of(currents.value, bits)]
            left = [Mux(is_current, one, other) for one, other in zip(static, u, strict=True)]
            peeks["current"] = lanes_of(currents.peek, bits)
        operands = self._build_operands(m, peeks, membranes.value)

        # Spikes. The capturing pass of a marker sees u complete; later passes see the remembered spike.
        negative = Cat(value[-1] for value in u)
        channels = self._lane_constants(np.arange(self._layer.channels), absent=-1)
        masks = [sum(1 << lane for lane in range(lanes) if row[lane] >= 0) for row in channels]
        present = Const(masks[0], lanes) if len(set(masks)) == 1 else Array(
            Const(mask, lanes) for mask in masks)[self._add.group]
        if self._plan.bank_count > 1:
            present = present & Cat(inside.replicate(self._plan.lanes) for inside in self._inside())
        reached = [Signal(lanes, name=f"reached{level}") for level in range(max(1, neuron.levels))]
        spikes = reached[0]
        if self._microcode.levels is not None:
            m.d.comb += spikes.eq(~negative & present)
            for level in range(1, neuron.levels):
                edges = self._lane_constants(self._microcode.levels[:, level], absent=0)
                m.d.comb += reached[level].eq(spikes & Cat(
                    u[lane] >= self._by_row(edges, lane, self._add.group) for lane in range(lanes)))
        if fires_once:
            fired = self._rows(m, "fired", 1)
            m.d.comb += fired.next.eq(Mux(is_init, 0, Mux(self.capture.valid, fired.value | spikes, fired.value)))
        spiked = Cat(reached)
        if remembers_spike:
            memories = [self._rows(m, f"spiked{level}", 1) for level in range(len(reached))]
            spiked = Mux(self.capture.valid, spiked, Cat(memory.value for memory in memories))
            m.d.comb += Cat(memory.next for memory in memories).eq(spiked)
        visible = spikes & ~fired.value if fires_once else spikes
        m.d.comb += self.capture.spikes.eq(Mux(self._add.masked, 0, visible))
        if neuron.levels > 1:
            m.d.comb += [self.capture.magnitudes[lane].eq(sum(level[lane] for level in reached))
                         for lane in range(lanes)]

        # u ← act(u, operand), lane by lane.
        number = self._add.number
        is_clear = self._which(number, lambda op: op.act in ("clear", "save"))
        halves = self._which(number, lambda op: op.halve)
        holds = []
        for condition in sorted({(op.when, op.level) for op in passes if op.when != "always"}):
            when, level = condition
            met = {"spiked": spiked[(level - 1) * lanes:level * lanes], "negative": negative,
                   "nonnegative": ~negative}[when]
            holds.append((self._which(number, lambda op, key=condition: (op.when, op.level) == key), met))
        nexts, totals = [], []
        for lane in range(lanes):
            total = (left[lane] + operands[lane])[:bits].as_signed()
            totals.append(total)
            if any(op.halve for op in passes):
                total = Mux(halves, total >> 1, total)
            if any(op.act in ("clear", "save") for op in passes):
                total = Mux(is_clear, 0, total)
            hold = is_current
            for select, met in holds:
                hold = hold | (select & ~met[lane])
            value = Mux(hold, u[lane], total) if holds or self._microcode.static else total
            nexts.append(Mux(is_init, self._by_row(init, lane, self._add.group), value)[:bits])
        m.d.comb += membranes.next.eq(Cat(nexts))
        if self._microcode.static:
            m.d.comb += currents.next.eq(Mux(is_init, 0, Mux(is_current, Cat(totals), currents.value)))
        if self._spec.value_bits:
            offset = self._lane_constants(self._microcode.offset, absent=0)
            m.d.comb += [
                self.capture.values[lane].eq(u[lane] + self._by_row(offset, lane, self._add.group))
                for lane in range(lanes)
            ]

    def _build_operands(self, m: Module, peeks: dict[str, list], saved) -> list:
        """The operand register of each lane, loaded at the end of the operand stage."""
        lanes, bits, weight_bits = self._plan.elements, self._plan.membrane_bits, self._layer.weight_bits
        value = self._operand.value
        weights = [_scaled(weight, value, self._plan.bit_serial)
                   for weight in lanes_of(self._weights[:lanes * weight_bits], weight_bits)]
        if self._microcode.pure_weights:
            # Sign extension costs nothing here: only the product's flip-flops a lane.
            registers = [Signal(signed(min(bits, len(weight))), name=f"operand{lane}", reset_less=True)
                         for lane, weight in enumerate(weights)]
            m.d.sync += [register.eq(weight) for register, weight in zip(registers, weights, strict=True)]
            return registers
        peek = peeks["membrane"]
        passes = self._passes
        leak_shift = next((op.index for op in passes if op.operand == "leak"), None)
        extras = []  # operands beside weight, leak and constants: in the other passes 0
        if any(op.operand == "shadow" for op in passes):
            store = self._rows(m, "shadow", bits)
            saves = self._which(self._add.number, lambda op: op.act == "save")
            m.d.comb += store.next.eq(Mux(saves, saved, store.value))
            peeks["shadow"] = lanes_of(store.peek, bits)
        for name in ("shadow", "current"):
            if name in peeks:
                adds = Signal(name=f"adds_{name}")
                self._with_operand(m, adds, self._which(self._fetch.number, lambda op, name=name: op.operand == name))
                extras.append([Mux(adds, value, 0) for value in peeks[name]])
        for index, op in enumerate(passes):
            if op.operand == "fall" and op.values is not None:
                fall = Signal(bits, name="fall")
                here = Array(Const(int(value), bits) for value in op.values)[self._fetch.step]
                self._with_operand(m, fall, Mux(self._fetch.number == index, here, 0))
                extras.append([fall] * lanes)
        is_weight = self._which(self._fetch.number, lambda op: op.operand == "weight")
        is_leak = self._which(self._fetch.number, lambda op: op.operand == "leak")
        constants = [(index, self._lane_constants(op.values, absent=0))
                     for index, op in enumerate(passes) if op.operand == "constant"]
        # Two select bits a bit pattern, decoded one stage early, make the multiplexer one LUT4 a bit:
        # 00 → 0, 01 → weight, 10 → leak, 11 → 1.
        selects: dict[tuple, tuple] = {}
        registers = []
        for lane in range(lanes):
            register = Signal(signed(bits), name=f"operand{lane}", reset_less=True)
            leak = ~(peek[lane].as_signed() >> leak_shift) if leak_shift is not None else Const(0, signed(bits))
            for bit in range(bits):
                pattern = tuple(tuple(int(value) >> bit & 1 for value in values[:, lane]) for _, values in constants)
                if pattern not in selects:
                    one = Const(0)
                    for (index, _), ones in zip(constants, pattern, strict=True):
                        if any(ones):
                            row = Const(1) if all(ones) else Array(ones)[self._fetch.group]
                            one = one | ((self._fetch.number == index) & row)
                    high, low = Signal(name=f"select_high{len(selects)}"), Signal(name=f"select_low{len(selects)}")
                    self._with_operand(m, high, is_leak | one)
                    self._with_operand(m, low, is_weight | one)
                    selects[pattern] = high, low
                high, low = selects[pattern]
                weight = weights[lane][min(bit, len(weights[lane]) - 1)]
                leaked = leak[min(bit, len(leak) - 1)]
                chosen = Mux(high, Mux(low, 1, leaked), Mux(low, weight, 0))
                for extra in extras:
                    chosen = chosen | extra[lane][bit]
                m.d.sync += register[bit].eq(chosen)
            registers.append(register)
        return registers

    def _rows(self, m: Module, name: str, bits: int, *, bubbles: bool = False, init: Sequence[int] = ()) -> "_Rows":
        """``bits`` of every neuron: a memory of rows for each bank, connected to the stages."""
        plan, banks = self._plan, []
        for number in range(plan.bank_count):
            bank = RowMemory(
                rows=plan.rows, width=plan.lanes * bits, registers=plan.in_registers, forwards=plan.forwards,
                bubbles=bubbles, init=init,
            )
            m.submodules[name if plan.bank_count == 1 else f"{name}_bank{number}"] = bank
            fetch_row, live = self._fetch.bank(number)
            row, advance = self._add.bank(number)
            m.d.comb += [bank.fetch_row.eq(fetch_row), bank.fetch.eq(self._free), bank.fetch_live.eq(live),
                         bank.row.eq(row), bank.advance.eq(advance)]
            banks.append(bank)
        return _Rows(banks)

    def _inside(self) -> list:
        """Whether each bank has a position in the tile of the row in the add stage."""
        plan, inside = self._plan, []
        for bank in range(plan.bank_count):
            beyond = [place >= size - (tiles - 1) * banks for place, size, tiles, banks in zip(
                divmod(bank, plan.banks[1]), plan.size, plan.tiles, plan.banks, strict=True)]
            inside.append(~Cat(self._add.edges[axis] for axis in (0, 1) if beyond[axis]).any())
        return inside

    def _with_operand(self, m: Module, register: Signal, value) -> None:
        """Register a control signal of the fetch stage for the operand stage."""
        with m.If(self._free):
            m.d.sync += register.eq(value)

    def _lane_constants(self, values, absent: int):
        """int64[position_rows, elements] of a vector over the channels; lanes without a channel get ``absent``."""
        return np.tile(np.append(values, absent)[self._plan.channels_of_rows()], self._plan.bank_count)

    def _by_row(self, constants, lane: int, row):
        """A lane's constant for a row; no multiplexer where all rows agree."""
        column = [int(value) for value in constants[:, lane]]
        bits = self._plan.membrane_bits
        if len(set(column)) == 1:
            return Const(column[0], signed(bits))
        return Array(Const(value, signed(bits)) for value in column)[row]


class _Rows:
    """Rows of all banks side by side."""

    def __init__(self, banks: list[RowMemory]):
        self.value, self.peek = Cat(bank.value for bank in banks), Cat(bank.peek for bank in banks)
        self.next = Cat(bank.next for bank in banks)


def _scaled(weight, value, one_bit: bool):
    """value · weight, of an unsigned slice of bits that holds a weight; ``one_bit``: the value is a power of two."""
    weight = weight.as_signed()
    if not len(value):
        return weight
    if one_bit:
        wide = Shape(len(weight) + len(value), True)
        return reduce(or_, (Mux(value[bit], Const(0, wide) + (weight << bit), 0)[:wide.width]
                            for bit in range(len(value)))).as_signed()
    if value.shape().signed or len(value) > bits_for_unsigned(MAGNITUDE_MAX):
        return weight * value
    return sum((Mux(value[bit], weight << bit, 0) for bit in range(1, len(value))), Mux(value[0], weight, 0))
