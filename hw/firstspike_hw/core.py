# SPDX-License-Identifier: MIT
"""Core: synapse engine and membranes of one dense layer."""

from collections.abc import Sequence

import numpy as np
from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped
from firstspike_arch.array import LayerPlan
from firstspike_arch.fixed import CHUNK_BITS, pack_rows
from firstspike_arch.memory import MemoryShape, bias_stride
from firstspike_arch.network import Layer
from firstspike_arch.rows import MarkerProgram
from firstspike_arch.walk import walk_of

from .row_memory import RowMemory, lanes_of
from .sequencer import Sequencer, drop_signature, passes_of
from .stream_token import token_stream

__all__ = ["Core", "capture_signature", "memory_write_signature"]


def capture_signature(rows: int, lanes: int, value_bits: int) -> wiring.Signature:
    """Spikes of one row, as a core captures them when a step marker passes.

    ``valid`` lasts one cycle and cannot be refused, and ``coming`` says it one cycle before. What can be refused is the
    promise for a row whose ``request`` is high two cycles before: with ``grant`` it goes on, and becomes valid.
    ``opening``: the row that asks is the first of its step. ``last``: the valid row is the last of its step; ``final``:
    of its inference's last step. ``values``: pre-reset membranes.
    """
    members = {
        "request": Out(1), "opening": Out(1), "grant": In(1), "coming": Out(1),
        "valid": Out(1), "row": Out(range(rows)), "last": Out(1), "final": Out(1), "spikes": Out(lanes),
    }
    if value_bits:
        members["values"] = Out(data.ArrayLayout(signed(value_bits), lanes))
    return wiring.Signature(members)


def memory_write_signature(shape: MemoryShape) -> wiring.Signature:
    """One chunk of a memory word to be written; ``ahead`` is high in the cycle before any ``enable``."""
    return wiring.Signature({
        "ahead": Out(1), "word": Out(range(shape.depth)), "enable": Out(shape.chunks), "data": Out(CHUNK_BITS),
    })


class _PassRow:
    """A row on its way through a core: its pass by number, and for the first pass of a marker, whose spikes."""

    def __init__(self, stage: str, *, passes: int, plan: LayerPlan):
        self.valid, self.number = Signal(name=f"{stage}_valid"), Signal(range(passes), name=f"{stage}_number")
        self.row, self.captures = Signal(range(plan.rows), name=f"{stage}_row"), Signal(name=f"{stage}_captures")
        self.final, self.masked = Signal(name=f"{stage}_final"), Signal(name=f"{stage}_masked")
        # Without positions a row is its own place at its position.
        self.group = self.row if plan.positions == 1 else Signal(range(plan.position_rows), name=f"{stage}_group")

    def follow(self, before) -> list:
        """Take over what the stage before holds."""
        fields = ["valid", "number", "row", "captures", "final", "masked", *(["group"] * (self.group is not self.row))]
        return [getattr(self, field).eq(getattr(before, field)) for field in fields]


class Core(wiring.Component):
    """u[row] ← u[row] + weights[row, address] for the rows of an event; at a marker, the passes of its `MarkerProgram`.

    The `Sequencer` says which row comes in which cycle. Four stages: issue (weight address), fetch (weight word →
    weight register, beside the memory), operand (weight, or another operand → operand register, beside the adder), add
    (u + operand, written at the end of the cycle). A row issued in cycle c is added in c + 3. The first pass of a
    marker captures the spikes of a row in its add stage, and waits in the operand stage until ``capture.grant`` was
    high in the cycle before; nothing else ever waits behind the sequencer.

    Parameters
    ----------
    layer, plan, program, memory
        What to compute, on how many lanes, by which passes, from which weight memory.
    image : sequence of int
        Initial weight words, for simulation; empty for Verilog, which loads a file.
    value_bits : int
        Width of the membranes handed out with the capture; 0: none.
    tag_bits : int

    Members
    -------
    events : In(token_stream(layer.in_shape))
    capture : Out(capture_signature(...))
    drop : In(drop_signature(tag_bits))
    write : In(memory_write_signature(memory))
        Not while an inference is inside.
    reload : In(1)
    """

    def __init__(
        self, *, layer: Layer, plan: LayerPlan, program: MarkerProgram, memory: MemoryShape,
        image: Sequence[int] = (), value_bits: int = 0, tag_bits: int = 1,
    ):
        self._layer, self._plan, self._program = layer, plan, program
        self._memory, self._image = memory, image
        self._value_bits, self._tag_bits = value_bits, tag_bits
        self._passes = passes_of(program)
        super().__init__({
            "events": In(token_stream(layer.in_shape)),
            "capture": Out(capture_signature(plan.rows, plan.lanes, value_bits)),
            "drop": In(drop_signature(tag_bits)),
            "write": In(memory_write_signature(memory)),
            "reload": In(1),
        })

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
        layer, plan, program, rows = self._layer, self._plan, self._program, self._plan.rows
        walk = walk_of(layer, plan)
        m.submodules.sequencer = sequencer = Sequencer(
            shape=layer.in_shape, walk=walk, plan=plan, program=program, words=self._memory.depth,
            bias_stride=bias_stride(layer, plan), tag_bits=self._tag_bits,
        )
        connect(m, flipped(self.events), sequencer.events)
        self._free = free = Signal(init=1)  # a register: every stage before the last moves by it
        m.d.comb += [
            sequencer.free.eq(free), sequencer.reload.eq(self.reload), sequencer.drop.valid.eq(self.drop.valid),
            sequencer.drop.tag.eq(self.drop.tag),
        ]
        # Fetch and operand stage: wait only for the promise that captured spikes will be taken.
        self._issue = sequencer.issue
        self._fetch, self._operand, self._add = (
            _PassRow(name, passes=len(self._passes), plan=plan) for name in ("fetch", "operand", "add"))
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
        shape = self._memory
        memory = Memory(shape=shape.width, depth=shape.depth, init=self._image)
        m.submodules[shape.name] = memory
        read = memory.read_port()
        write = memory.write_port(granularity=CHUNK_BITS)
        reads = Signal()
        m.d.sync += reads.eq(self._moves & ~self.write.ahead)
        m.d.comb += [
            read.addr.eq(self._issue.word),
            # Never both in one cycle: otherwise synthesis spends logic on what a collision would read.
            read.en.eq(reads), write.addr.eq(self.write.word), write.en.eq(Mux(reads, 0, self.write.enable)),
            write.data.eq(self.write.data.replicate(shape.chunks)),
        ]
        # Two flip-flops in a row: the first next to the memory, whose output is slow, the second next to the adder.
        self._weights = weights = Signal(shape.used_bits, reset_less=True)
        with m.If(self._free):
            m.d.sync += weights.eq(read.data)

    def _build_lanes(self, m: Module) -> None:
        lanes, rows, bits = self._plan.lanes, self._plan.rows, self._plan.membrane_bits
        passes, neuron = self._passes, self._layer.neuron
        remembers_spike = any(op.when == "spiked" for op in passes[2:])
        fires_once = neuron.single_spike and neuron.theta is not None
        init = self._lane_constants(self._program.init, absent=-1)
        m.submodules.membranes = membranes = RowMemory(
            rows=rows, width=lanes * bits, registers=self._plan.in_registers,
            init=pack_rows(init, bits) if self._plan.in_registers else (),
        )
        self._follow_rows(m, membranes)
        u = [value.as_signed() for value in lanes_of(membranes.value, bits)]
        operands = self._build_operands(m, lanes_of(membranes.peek, bits), membranes.value)

        # Spikes. The capturing pass of a marker sees u complete; later passes see the remembered spike.
        negative = Cat(value[-1] for value in u)
        masks = [sum(1 << lane for lane in range(lanes) if row[lane] >= 0) for row in self._plan.channels_of_rows()]
        present = Const(masks[0], lanes) if len(set(masks)) == 1 else Array(
            Const(mask, lanes) for mask in masks)[self._add.group]
        spikes = Signal(lanes)
        if neuron.theta is not None:
            m.d.comb += spikes.eq(~negative & present)
        if fires_once:
            m.submodules.fired = fired = RowMemory(rows=rows, width=lanes, registers=self._plan.in_registers)
            starts = self._which(self._add.number, lambda op: op.act == "init")
            self._follow_rows(m, fired)
            m.d.comb += fired.next.eq(Mux(starts, 0, Mux(self.capture.valid, fired.value | spikes, fired.value)))
        spiked = spikes
        if remembers_spike:
            m.submodules.spiked = memory = RowMemory(rows=rows, width=lanes, registers=self._plan.in_registers)
            spiked = Mux(self.capture.valid, spikes, memory.value)
            self._follow_rows(m, memory)
            m.d.comb += memory.next.eq(spiked)
        visible = spikes & ~fired.value if fires_once else spikes
        m.d.comb += self.capture.spikes.eq(Mux(self._add.masked, 0, visible))

        # u ← act(u, operand), lane by lane.
        number = self._add.number
        is_init = self._which(number, lambda op: op.act == "init")
        is_clear = self._which(number, lambda op: op.act in ("clear", "save"))
        halves = self._which(number, lambda op: op.halve)
        conditions = {
            "spiked": spiked, "negative": negative, "nonnegative": ~negative,
        }
        kept = [self._which(number, lambda op, when=when: op.when == when) for when in conditions]
        used = [when for when in conditions if any(op.when == when for op in passes)]
        nexts = []
        for lane in range(lanes):
            total = (u[lane] + operands[lane])[:bits].as_signed()
            if any(op.halve for op in passes):
                total = Mux(halves, total >> 1, total)
            if any(op.act in ("clear", "save") for op in passes):
                total = Mux(is_clear, 0, total)
            hold = Const(0)
            for when, select in zip(conditions, kept, strict=True):
                if when in used:
                    hold = hold | (select & ~conditions[when][lane])
            value = Mux(hold, u[lane], total) if used else total
            nexts.append(Mux(is_init, self._by_row(init, lane, self._add.group), value)[:bits])
        m.d.comb += membranes.next.eq(Cat(nexts))
        if self._value_bits:
            offset = self._lane_constants(self._program.offset, absent=0)
            m.d.comb += [
                self.capture.values[lane].eq(u[lane] + self._by_row(offset, lane, self._add.group))
                for lane in range(lanes)
            ]

    def _build_operands(self, m: Module, peek: list, current) -> list:
        """The operand register of each lane, loaded at the end of the operand stage."""
        lanes, bits, weight_bits = self._plan.lanes, self._plan.membrane_bits, self._layer.weight_bits
        weights = lanes_of(self._weights[:lanes * weight_bits], weight_bits)
        if self._program.pure_weights:
            # Sign extension costs nothing here: only weight_bits flip-flops a lane.
            registers = [Signal(signed(weight_bits), name=f"operand{lane}", reset_less=True) for lane in range(lanes)]
            m.d.sync += [register.eq(weight) for register, weight in zip(registers, weights, strict=True)]
            return registers
        passes, rows = self._passes, self._plan.rows
        leak_shift = next((op.index for op in passes if op.operand == "leak"), None)
        shadow = None
        if any(op.operand == "shadow" for op in passes):
            m.submodules.shadow = store = RowMemory(
                rows=rows, width=lanes * bits, registers=self._plan.in_registers,
            )
            saves = self._which(self._add.number, lambda op: op.act == "save")
            self._follow_rows(m, store)
            m.d.comb += store.next.eq(Mux(saves, current, store.value))
            shadow = lanes_of(store.peek, bits)
            adds_shadow = Signal()
            self._with_operand(m, adds_shadow, self._which(self._fetch.number, lambda op: op.operand == "shadow"))
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
                weight = weights[lane][min(bit, weight_bits - 1)]
                leaked = leak[min(bit, len(leak) - 1)]
                chosen = Mux(high, Mux(low, 1, leaked), Mux(low, weight, 0))
                if shadow is not None:
                    chosen = chosen | (adds_shadow & shadow[lane][bit])
                m.d.sync += register[bit].eq(chosen)
            registers.append(register)
        return registers

    def _follow_rows(self, m: Module, store: RowMemory) -> None:
        """Connect what every store of rows needs to know about the stages."""
        m.d.comb += [
            store.fetch_row.eq(self._fetch.row), store.fetch.eq(self._free), store.row.eq(self._add.row),
            store.advance.eq(self._add.valid),
        ]

    def _with_operand(self, m: Module, register: Signal, value) -> None:
        """Register a control signal of the fetch stage for the operand stage."""
        with m.If(self._free):
            m.d.sync += register.eq(value)

    def _lane_constants(self, values, absent: int):
        """int64[position_rows, lanes] of a vector over the channels; lanes without a channel get ``absent``."""
        return np.append(values, absent)[self._plan.channels_of_rows()]

    def _by_row(self, constants, lane: int, row):
        """A lane's constant for a row; no multiplexer where all rows agree."""
        column = [int(value) for value in constants[:, lane]]
        bits = self._plan.membrane_bits
        if len(set(column)) == 1:
            return Const(column[0], signed(bits))
        return Array(Const(value, signed(bits)) for value in column)[row]
