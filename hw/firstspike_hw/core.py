# SPDX-License-Identifier: MIT
"""Core: synapse engine and membranes of one layer."""

from collections.abc import Sequence

import numpy as np
from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from firstspike_arch.core_spec import CoreSpec
from firstspike_arch.fixed import CHUNK_BITS, pack_rows
from firstspike_arch.microcode import Microcode

from .capture import CaptureInterface, capture_signature
from .lane_constants import LaneConstants
from .operands import operand_registers, products
from .pass_row import PassRow
from .row_memory import RowBanks, lanes_of
from .sequencer import DropInterface, Sequencer, drop_signature
from .stream_token import token_stream
from .weight_memory import AccessInterface, WeightMemory, memory_access_signature

__all__ = ["Core"]


class Core(wiring.Component):
    """Synapse engine and membranes of one layer.

    An event computes u[row] ← u[row] + value · weights[row, address] for each row that it visits; the events of a
    direct input add to the current instead of u, and all events to sums if the currents are pooled. A marker runs the
    passes of the core's `Microcode`.

    The `Sequencer` issues at most one row a cycle, and a row passes four stages: issue (weight address), fetch (weight
    word → weight register, beside the memory), operand (weight · value, or another operand → operand register, beside
    the adder), add (u + operand, written at the end of the cycle). A row issued in cycle c is added in c + 3. The
    product with a spike's magnitude is a sum of shifted weights, with a polarity a negation; with any other number it
    is a multiplication, or a shift if ``bit_serial``.

    The first pass of the microcode for a step or for the final step captures the spikes of each row in the add stage. A
    capturing row waits in the operand stage until ``capture.grant`` was high in the cycle before. Nothing else waits
    after the sequencer.

    Parameters
    ----------
    spec : CoreSpec
        Description of the core: what it computes, its lanes, its passes and its weight memory.
    image : sequence of int
        Initial weight words, for simulation; empty for Verilog, which loads a file.

    Members
    -------
    events0, events1, … : In(token_stream(layout))
        Input streams.
    capture : Out(capture_signature(...))
        Spikes of the rows.
    drop : In(drop_signature(tag_bits))
        Inference whose rest is to be dropped.
    access : In(memory_access_signature(memory))
        Access to the weight memory, allowed only while no inference is inside.
    chunk : Out(CHUNK_BITS)
        Chunk read, two cycles after ``access.read``; 0 if none is chosen. Only with ``spec.read_back``.
    reload : In(1)
        Start over with the weights now in the memory; allowed only while not ``busy``.
    busy : Out(1)
        High in the middle of a token, and during the passes that run after reset and ``reload``.
    """

    capture: CaptureInterface
    drop: DropInterface
    access: AccessInterface
    chunk: Signal
    reload: Signal
    busy: Signal

    def __init__(self, spec: CoreSpec, image: Sequence[int] = ()):
        self._spec, self._image = spec, image
        names = [f"events{place}" for place in range(len(spec.inputs))]
        super().__init__({
            **{name: In(token_stream(layout)) for name, layout in zip(names, spec.layouts, strict=True)},
            "capture": Out(capture_signature(
                spec.plan.rows, spec.plan.elements, spec.value_bits, spec.layer.out_layout.value_bits)),
            "drop": In(drop_signature(spec.tag_bits)),
            "access": In(memory_access_signature(spec.memory)),
            "reload": In(1), "busy": Out(1), **({"chunk": Out(CHUNK_BITS)} if spec.read_back else {}),
        })
        self.streams: list[stream.Interface] = [getattr(self, name) for name in names]

    @property
    def spec(self) -> CoreSpec:
        """Description that the core is made from."""
        return self._spec

    def elaborate(self, platform):
        m = Module()
        spec = self._spec
        m.submodules.control = sequencer = Sequencer(spec)
        for outside, inside in zip(self.streams, sequencer.streams, strict=True):
            connect(m, flipped(outside), inside)
        free, moves = Signal(init=1), Signal()  # all stages before the last move by the register free
        m.d.comb += [
            sequencer.free.eq(free), sequencer.reload.eq(self.reload), sequencer.drop.valid.eq(self.drop.valid),
            sequencer.drop.tag.eq(self.drop.tag), self.busy.eq(sequencer.busy),
        ]
        # Fetch and operand stage wait only for the grant, the promise that captured spikes will be taken.
        fetch, operand, add = (PassRow(spec, stage) for stage in ("fetch", "operand", "add"))
        with m.If(free):
            m.d.sync += [*fetch.follow(sequencer.issue), *operand.follow(fetch)]
        m.d.sync += [add.follow(operand), free.eq(moves)]
        with m.If(~free):
            m.d.sync += add.valid.eq(0)
        capture = self.capture
        m.d.comb += [
            moves.eq(~capture.request | capture.grant), capture.request.eq(~free | (fetch.valid & fetch.captures)),
            capture.opening.eq(Mux(free, fetch.row == 0, operand.row == 0)),
            capture.coming.eq(operand.valid & operand.captures & free),
            capture.valid.eq(add.valid & add.captures), capture.row.eq(add.row),
            capture.last.eq(add.row == spec.plan.rows - 1), capture.final.eq(add.final),
        ]
        weights = self._weights(m, word=sequencer.issue.word, free=free, moves=moves)
        self._build_lanes(m, weights, fetch=fetch, operand=operand, add=add, free=free)
        return m

    def _weights(self, m: Module, *, word: Value, free: Value, moves: Value) -> list[Value]:
        """Return the weight of each lane, in the operand stage."""
        spec, access = self._spec, self.access
        m.submodules.weights = memory = WeightMemory(spec, self._image)
        m.d.comb += [
            memory.word.eq(word), memory.free.eq(free), memory.moves.eq(moves), memory.access.word.eq(access.word),
            memory.access.chunk.eq(access.chunk), memory.access.ahead.eq(access.ahead),
            memory.access.write.eq(access.write), memory.access.data.eq(access.data),
            memory.access.read.eq(access.read),
        ]
        if spec.read_back:
            m.d.comb += self.chunk.eq(memory.chunk)
        return lanes_of(memory.weights, spec.layer.weight_bits)

    def _build_lanes(
        self, m: Module, weights: list[Value], *, fetch: PassRow, operand: PassRow, add: PassRow, free: Value,
    ) -> None:
        """Build membranes and other state of the lanes, their adders and their spikes."""
        spec, code, bits = self._spec, self._spec.microcode, self._spec.plan.membrane_bits

        def rows(name: str, width: int, *, bubbles: bool = False, init: Sequence[int] = ()) -> RowBanks:
            return RowBanks(m, spec.plan, name, width, fetch=fetch, add=add, free=free, bubbles=bubbles, init=init)

        init = LaneConstants(spec.plan, code.init, absent=-1)
        membranes = rows("membranes", bits, init=pack_rows(init.table, bits) if spec.plan.in_registers else ())
        u = [value.as_signed() for value in lanes_of(membranes.value, bits)]
        peeks = {"membrane": lanes_of(membranes.peek, bits)}
        currents = None
        if code.has_current:
            currents = rows("currents", bits, bubbles=True)
            peeks["current"] = lanes_of(currents.peek, bits)
        sums = None
        if code.pools:
            sums = RowBanks(m, spec.plan, "sums", bits, sums=True, fetch=fetch, add=add, free=free)
            peeks["sum"] = lanes_of(sums.peek, bits)
        if any(op.operand == "shadow" for op in code.passes):
            shadow = rows("shadow", bits)
            m.d.comb += shadow.next.eq(Mux(add.which(lambda op: op.act == "save"), membranes.value, shadow.value))
            peeks["shadow"] = lanes_of(shadow.peek, bits)
        operands = operand_registers(
            m, spec, fetch=fetch, free=free, peeks=peeks,
            products=products(
                weights, operand.value, largest=max(layout.high for layout in spec.layouts),
                one_bit=spec.plan.bit_serial,
                polarity=all(layout.low >= -1 and layout.high == 1 for layout in spec.layouts)))
        spiked = self._build_spikes(m, u, add, rows)
        adds_current = add.which(lambda op: op.store == "current" and op.act == "add")
        left = u if currents is None or not _adds_current(code) else [
            Mux(adds_current, value.as_signed(), other)
            for value, other in zip(lanes_of(currents.value, bits), u, strict=True)]
        if sums is not None:
            left = [Mux(add.is_event, value.as_signed(), other)
                    for value, other in zip(lanes_of(sums.value, bits), left, strict=True)]
        totals = [(value + other)[:bits].as_signed() for value, other in zip(left, operands, strict=True)]
        m.d.comb += membranes.next.eq(Cat(self._updated(u, totals, spiked, init, add)))
        if sums is not None and currents is not None:
            m.d.comb += sums.next.eq(Mux(add.is_event, Cat(totals), 0))
            nexts = Cat(self._pooled(lanes_of(currents.value, bits), operands, add))
            m.d.comb += currents.next.eq(Mux(adds_current, Cat(totals), nexts) if _adds_current(code) else nexts)
        elif currents is not None:
            is_init = add.which(lambda op: op.act == "init")
            m.d.comb += currents.next.eq(Mux(is_init, 0, Mux(adds_current, Cat(totals), currents.value)))
        if spec.value_bits:
            offset = LaneConstants(spec.plan, code.offset, absent=0)
            m.d.comb += [self.capture.values[lane].eq(value + offset.at(add.group, lane))
                         for lane, value in enumerate(u)]

    def _pooled(self, currents: list[Value], operands: list[Signal], add: PassRow) -> list[Value]:
        """Return the next current of each lane: in the passes of a pool the operand, or the larger of both. The first
        of these passes replaces whatever was there."""
        loads, compares = (add.which(lambda op, act=act: op.act == act) for act in ("load", "max"))
        pooled = []
        for lane, operand in zip(currents, operands, strict=True):
            current = lane.as_signed()
            pooled.append(Mux(loads | (compares & (operand > current)), operand, current))
        return pooled

    def _build_spikes(self, m: Module, u: list[Value], add: PassRow, rows) -> Value:
        """Capture the spikes of the row; return, level by level, which neurons have reached the threshold.

        The capturing pass of a marker compares the complete u; later passes use the remembered spikes.
        """
        spec, code, capture, lanes = self._spec, self._spec.microcode, self.capture, self._spec.plan.elements
        levels = max(1, spec.layer.neuron.levels)
        reached = [Signal(lanes, name=f"reached{level}") for level in range(levels)]
        spikes = reached[0]
        if code.levels is not None:
            m.d.comb += spikes.eq(~Cat(value[-1] for value in u) & self._present(add))
            for level in range(1, levels):
                edges = LaneConstants(spec.plan, code.levels[:, level], absent=0)
                m.d.comb += reached[level].eq(spikes & Cat(
                    value >= edges.at(add.group, lane) for lane, value in enumerate(u)))
        visible: Value = spikes
        if spec.fires_once:
            fired = rows("fired", 1)
            is_init = add.which(lambda op: op.act == "init")
            m.d.comb += fired.next.eq(Mux(is_init, 0, Mux(capture.valid, fired.value | spikes, fired.value)))
            visible = spikes & ~fired.value
        m.d.comb += capture.spikes.eq(Mux(add.masked, 0, visible))
        if levels > 1:
            m.d.comb += [capture.magnitudes[lane].eq(sum(level[lane] for level in reached)) for lane in range(lanes)]
        spiked: Value = Cat(reached)
        if spec.remembers_spikes:
            memories = [rows(f"spiked{level}", 1) for level in range(levels)]
            spiked = Mux(capture.valid, spiked, Cat(memory.value for memory in memories))
            m.d.comb += Cat(memory.next for memory in memories).eq(spiked)
        return spiked

    def _present(self, add: PassRow) -> Value:
        """Return which lanes have a neuron in the row."""
        plan = self._spec.plan
        channels = LaneConstants(plan, np.arange(self._spec.layer.channels), absent=-1).table
        masks = [sum(1 << lane for lane, channel in enumerate(row) if channel >= 0) for row in channels]
        present: Value = Const(masks[0], plan.elements) if len(set(masks)) == 1 else Array(
            Const(mask, plan.elements) for mask in masks)[add.group]
        if plan.bank_count == 1:
            return present
        inside = []  # for each bank, whether it has a position in the row's tile
        for bank in range(plan.bank_count):
            beyond = [place >= size - (tiles - 1) * banks for place, size, tiles, banks in zip(
                divmod(bank, plan.banks[1]), plan.size, plan.tiles, plan.banks, strict=True)]
            inside.append(~Cat(add.edges[axis] for axis in (0, 1) if beyond[axis]).any())
        return present & Cat(one.replicate(plan.lanes) for one in inside)

    def _updated(
        self, u: list[Value], totals: list[Value], spiked: Value, init: LaneConstants, add: PassRow,
    ) -> list[Value]:
        """Return the next u of each lane: act(u, operand) in lanes that meet the condition of the pass, else u."""
        passes, lanes = self._spec.microcode.passes, len(u)
        is_init, halves = add.which(lambda op: op.act == "init"), add.which(lambda op: op.halve)
        is_clear = add.which(lambda op: op.act in ("clear", "save"))
        is_current = add.which(lambda op: op.store == "current")
        negative = Cat(value[-1] for value in u)
        holds = []  # for each condition, whether the pass has it, and the lanes that meet it; other lanes keep u
        for key in sorted({(op.when, op.level) for op in passes if op.when != "always"}):
            when, level = key
            met = {"spiked": spiked[(level - 1) * lanes:level * lanes], "negative": negative,
                   "nonnegative": ~negative}[when]
            holds.append((add.which(lambda op, key=key: (op.when, op.level) == key), met))
        nexts = []
        for lane, total in enumerate(totals):
            if any(op.halve for op in passes):
                total = Mux(halves, total >> 1, total)
            if any(op.act in ("clear", "save") for op in passes):
                total = Mux(is_clear, 0, total)
            hold = is_current
            for select, met in holds:
                hold = hold | (select & ~met[lane])
            value = Mux(hold, u[lane], total) if holds or self._spec.microcode.has_current else total
            nexts.append(Mux(is_init, init.at(add.group, lane), value)[:self._spec.plan.membrane_bits])
        return nexts


def _adds_current(code: Microcode) -> bool:
    """Whether a pass adds to the current: an event of a direct input, or the bias behind a pool of its currents."""
    return any(op.store == "current" and op.act == "add" for op in code.passes)
