# SPDX-License-Identifier: MIT
"""Core: synapse engine and membranes of one layer."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from firstspike_arch.core_spec import CoreSpec
from firstspike_arch.fixed import CHUNK_BITS, pack_rows
from firstspike_arch.microcode import Microcode

from .capture import CaptureInterface, capture_signature
from .lane_constants import LaneConstants
from .leak_products import leak_products
from .operands import late_operands, operand_registers, products
from .pass_row import PassRow
from .rise import Rise
from .row_memory import RowBanks, lanes_of
from .sequencer import DropInterface, IssueInterface, Sequencer, drop_signature
from .stream_token import input_stream
from .trace import Trace
from .weight_fill import FillInterface, fill_signature
from .weight_memory import AccessInterface, WeightMemory, memory_access_signature, rotated

__all__ = ["Core"]


class Core(wiring.Component):
    """Synapse engine and membranes of one layer.

    An event computes u[row] ← u[row] + value · weights[row, address] for each row that it visits; the events of a
    direct input add to the current instead of u, all events to sums if the currents are pooled, and to the `Trace` if
    the currents last. If thresholds adapt, u is compared with their `Rise`. A marker runs the passes of the core's
    `Microcode`.

    The `Sequencer` issues at most one row a cycle, and a row passes four stages: issue (weight address), fetch (weight
    word → weight register, beside the memory), operand (weight · value, or another operand → operand register, beside
    the adder), add (u + operand, written at the end of the cycle). A row issued in cycle c is added in c + 3, or
    in c + 4 if the core has an address stage before fetch (`CoreSpec.address_stage`). Rows in memories are read in the
    fetch stage; those far from the lanes (`CoreSpec.remote_rows`) in the address stage, and are written a cycle later.
    Where words of weights are all that is added, they come one cycle later, and need no operand register. The product
    with a spike's magnitude is a sum of shifted weights, with a polarity a negation; with any other number it is a
    multiplication, or a shift if ``bit_serial``. If the core takes two events at once, their two products are added up
    in the operand stage: what u becomes is in the proved range, and the sum of the two alone may leave it, as all sums
    are modulo 2^bits.

    The first pass of the microcode for a step or for the final step captures the spikes of each row in the add stage.
    An operand that the spikes choose is chosen one stage before, as a marker's row is never in two stages. A capturing
    row waits in the operand stage until ``capture.grant`` was high in the cycle before. Nothing else waits after the
    sequencer.

    Parameters
    ----------
    spec : CoreSpec
        Description of the core: what it computes, its lanes, its passes and its weight memory.
    image : sequence of int
        Initial weight words, for simulation; empty for Verilog, which loads a file.

    Members
    -------
    events0, events1, … : In(input_stream(spec.inputs[place]))
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
    fill : In(fill_signature(fetching, words)), done : Out(1)
        With external weights: writes of a weight fetcher; and whether all words of another event have been read at the
        end of this cycle, which is the first after it was taken in which the stages move.
    mismatch : Out(1)
        With parity: a word of one of its memories did not fit its parity, three cycles after it was used.
    """

    capture: CaptureInterface
    drop: DropInterface
    access: AccessInterface
    chunk: Signal
    reload: Signal
    busy: Signal
    fill: FillInterface
    done: Signal
    mismatch: Signal

    def __init__(self, spec: CoreSpec, image: Sequence[int] = ()):
        self._spec, self._image = spec, image
        names = [f"events{place}" for place in range(len(spec.inputs))]
        super().__init__({
            **{name: In(input_stream(one)) for name, one in zip(names, spec.inputs, strict=True)},
            "capture": Out(capture_signature(
                spec.plan.rows, spec.plan.elements, spec.value_bits, spec.layer.out_layout.value_bits,
                spec.plan if spec.plan.options.skips else None)),
            "drop": In(drop_signature(spec.tag_bits)),
            "access": In(memory_access_signature(spec.memory)),
            "reload": In(1), "busy": Out(1), **({"chunk": Out(CHUNK_BITS)} if spec.read_back else {}),
            **({"fill": In(fill_signature(spec.fetching, spec.memory.depth)), "done": Out(1)} if spec.fetching else {}),
            **({"mismatch": Out(1)} if spec.parity else {}),
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
        add.decode_early(m, operand)
        before: PassRow | IssueInterface = sequencer.issue
        if spec.address_stage:
            before = PassRow(spec, "address")
            if spec.remote_rows:
                fetch.reads = before
            with m.If(free):
                m.d.sync += before.follow(sequencer.issue)
        with m.If(free):
            m.d.sync += [*fetch.follow(before), *operand.follow(fetch)]
        m.d.sync += [add.follow(operand), free.eq(moves)]
        with m.If(~free):
            m.d.sync += add.valid.eq(0)
        if spec.fetching:
            took = Signal()
            with m.If(free):
                m.d.sync += took.eq(sequencer.takes_event)
            m.d.comb += self.done.eq(took & free)
        capture = self.capture
        m.d.comb += [
            moves.eq(~capture.request | capture.grant), capture.request.eq(~free | (fetch.valid & fetch.captures)),
            capture.opening.eq(Mux(free, fetch.row == 0, operand.row == 0)),
            capture.coming.eq(operand.valid & operand.captures & free),
            capture.valid.eq(add.valid & add.captures), capture.row.eq(add.row),
            capture.last.eq(add.last if spec.plan.options.skips else add.row == spec.plan.rows - 1),
            capture.final.eq(add.final),
        ]
        if spec.plan.options.skips:
            m.d.comb += [capture.tile.eq(add.tile), capture.group.eq(add.group)]
        products = self._products(m, issue=sequencer.issue, fetch=fetch, operand=operand, add=add, free=free)
        rows = self._build_lanes(m, products, fetch=fetch, operand=operand, add=add, free=free)
        if spec.parity:
            m.d.sync += self.mismatch.eq(Cat(m.submodules.weights.mismatch, rows).any())
        return m

    def _products(
        self, m: Module, *, issue: IssueInterface, fetch: PassRow, operand: PassRow, add: PassRow, free: Value,
    ) -> list[Value]:
        """Return what an event adds to each lane, weight times value, in steps of the membranes; of two events, the sum
        of both. In the operand stage; in the add stage if `CoreSpec.adds_words`."""
        spec, access = self._spec, self.access
        m.submodules.weights = memory = WeightMemory(spec, self._image)
        m.d.comb += [
            memory.word.eq(issue.word), memory.free.eq(free), memory.access.word.eq(access.word),
            memory.access.chunk.eq(access.chunk), memory.access.ahead.eq(access.ahead),
            memory.access.write.eq(access.write), memory.access.data.eq(access.data),
            memory.access.read.eq(access.read),
        ]
        if spec.read_back:
            m.d.comb += self.chunk.eq(memory.chunk)
        if spec.parity:
            m.d.comb += memory.live.eq(add.valid if spec.adds_words else operand.valid & free)
        if spec.fetching:
            m.d.comb += [memory.fill.word.eq(self.fill.word), memory.fill.chunks.eq(self.fill.chunks),
                         memory.fill.data.eq(self.fill.data)]

        exponent = spec.layer.weight_exponent

        def of_event(words: Value, value: Value) -> list[Value]:
            found = products(
                lanes_of(words, spec.layer.weight_bits), value, largest=max(layout.high for layout in spec.layouts),
                one_bit=spec.plan.bit_serial, polarity=spec.polarity)
            return [Cat(Const(0, exponent), product).as_signed() for product in found] if exponent else found

        first = of_event(self._turned(m, memory, fetch, operand), operand.value)
        if not spec.pairs:
            return first
        m.d.comb += [memory.second_word.eq(issue.second_word), memory.second.eq(fetch.second)]
        sums = []
        for one, other in zip(first, of_event(memory.second_weights, operand.second_value), strict=True):
            sums.append(Signal((one + other).shape(), name=f"both{len(sums)}"))
            m.d.comb += sums[-1].eq(one + other)
        return sums

    def _turned(self, m: Module, memory: WeightMemory, fetch: PassRow, operand: PassRow) -> Value:
        """Return the word of weights, rotated to the banks in the operand stage; along both axes, down in the fetch
        stage."""
        banks, (down, across) = self._spec.plan.banks, self._spec.plan.rotates
        if down and across:
            m.d.comb += memory.turn.eq(fetch.turns["y_turn"])
        if not down and not across:
            return memory.weights
        # A signal, as every lane cuts its weight out of it: an expression would be written once for each.
        turned = Signal(len(memory.weights), name="turned")
        axis = int(across)
        m.d.comb += turned.eq(rotated(memory.weights, operand.turns["x_turn" if axis else "y_turn"], banks, axis))
        return turned

    def _build_lanes(
        self, m: Module, products: list[Value], *, fetch: PassRow, operand: PassRow, add: PassRow, free: Value,
    ) -> list[Value]:
        """Build membranes and other state of the lanes, their adders and their spikes; return ``mismatches`` of all
        memories of rows."""
        spec, code, bits = self._spec, self._spec.microcode, self._spec.plan.membrane_bits
        narrow = spec.plan.current_bits

        kept = None
        if code.has_current or code.has_trace:
            kept = add.which(lambda op: op.store in ("current", "trace"))
        moved = add.valid if kept is None or not code.has_trace else add.valid & ~kept

        mismatches: list[Value] = []

        def row_banks(name: str, width: int, **options: Any) -> RowBanks:
            banks = RowBanks(m, spec.plan, name, width, fetch=fetch, add=add, free=free, **options)
            mismatches.extend(banks.mismatches)
            return banks

        def rows(name: str, width: int, **options: Any) -> RowBanks:
            return row_banks(name, width, keeps=kept, rotates=moved if code.has_trace else None, **options)

        init = LaneConstants(spec.plan, code.init, absent=-1)
        membranes = rows("membranes", bits, init=pack_rows(init.table, bits) if spec.plan.in_registers else (),
                         restart=add.inits_all)
        # Only events need what is forwarded: the passes of a marker begin when the last event has been added.
        u, peek, latest = ([value.as_signed() for value in lanes_of(word, bits)]
                           for word in (membranes.settled, membranes.peek, membranes.value))
        peeks: dict[str, list[Value]] = {}
        currents = None
        if code.has_current:
            currents = row_banks("currents", narrow, bubbles=True)
            peeks["current"] = [value.as_signed() for value in lanes_of(currents.peek, narrow)]
        sums = None
        if code.pools:
            sums = row_banks("sums", bits, sums=True)
            peeks["sum"] = lanes_of(sums.peek, bits)
        if code.has_trace:
            trace = Trace(m, spec, fetch=fetch, operand=operand, add=add, free=free, products=products,
                          currents=peeks.get("current"))
            mismatches.extend(trace.mismatches)
            peeks["trace"] = trace.peek
        shadow = None
        if any(op.act == "save" for op in code.passes):
            shadow = rows("shadow", bits)
            peeks["shadow"] = lanes_of(shadow.peek, bits)
        rise = Rise(m, spec, fetch=fetch, operand=operand, add=add, free=free) if code.has_rise else None
        if rise is not None:
            mismatches.extend(rise.mismatches)
            peeks["rise"] = rise.peek
        spiked, seen, remembered = self._build_spikes(
            m, u, peek, rows, operand=operand, add=add, moved=moved, rise=[] if rise is None else rise.peek)
        operands = operand_registers(m, spec, fetch=fetch, operand=operand, free=free, peeks=peeks, seen=seen,
                                     remembered=remembered, products=products)
        if rise is not None:
            rise.follow(remembered)
        bases = self._bases(m, u, spiked, add)
        left = latest
        if not spec.plan.in_one_row:
            left = [_replaced(value, lane, add, bases) for lane, value in enumerate(latest)]
        adds_current = add.which(lambda op: op.store == "current" and op.act == "add")
        if currents is not None and _adds_current(code):
            left = [Mux(adds_current, value.as_signed(), other)
                    for value, other in zip(lanes_of(currents.value, narrow), left, strict=True)]
        if sums is not None:
            left = [Mux(add.is_event, value.as_signed(), other)
                    for value, other in zip(lanes_of(sums.value, bits), left, strict=True)]
        late, more = late_operands(m, spec, operand=operand, u=u)
        if any(op.halve and op.toward_zero for op in code.passes):
            # The number and what is added to it have one sign, so that the sum is negative if either is.
            rounds = add.which(lambda op: op.halve and op.toward_zero)
            ups = [rounds & (value[-1] | other[-1]) for value, other in zip(left, operands, strict=True)]
            more = ups if more is None else [one | other for one, other in zip(more, ups, strict=True)]
        right = operands if late is None else [one | other for one, other in zip(operands, late, strict=True)]
        totals = [(value + other)[:bits].as_signed() for value, other in zip(left, right, strict=True)]
        if more is not None:
            # One adder: its lowest bits, whose sum is not taken, carry.
            totals = [(Cat(carry, value) + Cat(carry, other).as_signed())[1 : bits + 1].as_signed()
                      for carry, value, other in zip(more, left, right, strict=True)]
        sums_of_u = totals
        if spec.plan.in_one_row:
            sums_of_u = [_replaced(value, lane, add, bases) for lane, value in enumerate(totals)]
        if shadow is not None:
            m.d.comb += shadow.next.eq(Mux(add.which(lambda op: op.act == "save"), Cat(sums_of_u), shadow.value))
        m.d.comb += membranes.next.eq(Cat(self._updated(u, sums_of_u, spiked, add)))
        if sums is not None and currents is not None:
            m.d.comb += sums.next.eq(Mux(add.is_event, Cat(totals), 0))
            nexts = Cat(self._pooled(lanes_of(currents.value, narrow), operands, add))
            if _adds_current(code):
                nexts = Mux(adds_current, Cat(total[:narrow] for total in totals), nexts)
            m.d.comb += currents.next.eq(nexts)
        elif currents is not None:
            is_init = add.which(lambda op: op.act == "init")
            first = LaneConstants(spec.plan, code.current, absent=0)
            m.d.comb += currents.next.eq(Mux(
                is_init, Cat(first.at(add.group, lane)[:narrow] for lane in range(spec.plan.elements)),
                Mux(adds_current, Cat(total[:narrow] for total in totals), currents.value)))
        if spec.value_bits:
            offset = LaneConstants(spec.plan, code.offset, absent=0)
            m.d.comb += [self.capture.values[lane].eq(value + offset.at(add.group, lane))
                         for lane, value in enumerate(u)]
        return mismatches

    def _pooled(self, currents: list[Value], operands: list[Value], add: PassRow) -> list[Value]:
        """Return the next current of each lane: in the passes of a pool the operand, or the larger of both. The first
        of these passes replaces whatever was there."""
        loads, compares = (add.which(lambda op, act=act: op.act == act) for act in ("load", "max"))
        pooled = []
        for lane, operand in zip(currents, operands, strict=True):
            current = lane.as_signed()
            pooled.append(Mux(loads | (compares & (operand > current)), operand, current)[:len(lane)])
        return pooled

    def _build_spikes(
        self, m: Module, u: list[Value], peek: list[Value], rows, *, operand: PassRow, add: PassRow, moved: Value,
        rise: list[Value],
    ) -> tuple[Value, Sequence[Value], Sequence[Value]]:
        """Capture the spikes of the row in the add stage, of thresholds that are higher by the rise of each lane, if
        they adapt.

        Returns which neurons have spiked in this step, in the add stage; and, for each threshold, which have reached
        it, in the operand stage: now, for the capturing pass, which compares the complete u, and as remembered, for
        later ones.
        """
        spec, code, capture, lanes = self._spec, self._spec.microcode, self.capture, self._spec.plan.elements
        levels, plan = max(1, spec.layer.neuron.levels), spec.plan
        # In one row, the rise is that of the add stage, too.
        now = self._reached(u, add, rise if plan.in_one_row else [])
        reached = [Signal(lanes, name=f"reached{level}") for level in range(levels)]
        seen = now
        if not plan.in_one_row:
            # The row in the operand stage is next in the ring only while the row before it is replaced.
            ahead = self._reached(peek if not plan.in_registers else [
                Mux(moved, one, value).as_signed() for one, value in zip(peek, u, strict=True)], operand, rise)
            if plan.in_registers:
                # While all rows restart together, the next row is the first as it starts.
                ahead = [Mux(add.valid & add.inits_all, starts, level)
                         for level, starts in zip(ahead, self._starts_reached(), strict=True)]
            # Signals, as Amaranth copies every other value for each lane that uses a bit of it.
            seen = [Signal(lanes, name=f"seen{level}") for level in range(len(ahead))]
            m.d.comb += [signal.eq(level) for signal, level in zip(seen, ahead, strict=True)]
            if levels > 1 or rise:
                now = [Signal(lanes, name=f"level{level}", reset_less=True) for level in range(levels)]
                m.d.sync += [register.eq(level) for register, level in zip(now, seen, strict=True)]
        if code.levels is not None:
            m.d.comb += [level.eq(one & self._present(add)) for level, one in zip(reached, now, strict=True)]
        shows = Signal()
        m.d.sync += shows.eq(capture.coming & ~operand.masked)
        visible = reached[0] & shows.replicate(lanes)
        if spec.fires_once and plan.in_one_row:
            fired = Signal(lanes)
            visible = visible & ~fired
            # One by one: a spike is the clock enable of its own flip-flop, which needs no gate.
            for lane in range(lanes):
                with m.If(visible[lane]):
                    m.d.sync += fired[lane].eq(1)
            with m.If(add.valid & add.inits_all):
                m.d.sync += fired.eq(0)
        elif spec.fires_once:
            held = rows("fired", 1, restart=add.inits_all)
            visible = visible & ~held.value
            m.d.comb += held.next.eq(Mux(add.inits_row, 0, held.value | visible))
        m.d.comb += capture.spikes.eq(visible)
        if levels > 1:
            m.d.comb += [capture.magnitudes[lane].eq(sum(level[lane] for level in reached)) for lane in range(lanes)]
        if not spec.remembered_levels:
            return reached[0], seen, ()
        memories = [rows(f"spiked{level}", 1) for level in range(spec.remembered_levels)]
        spiked = [Signal(lanes, name=f"has_spiked{level}") for level in range(len(memories))]
        m.d.comb += [signal.eq(Mux(capture.valid, level, memory.value))
                     for signal, level, memory in zip(spiked, reached, memories, strict=False)]
        m.d.comb += [memory.next.eq(signal) for memory, signal in zip(memories, spiked, strict=True)]
        return spiked[0], seen, [memory.peek for memory in memories]

    def _reached(self, u: list[Value], stage: PassRow, rise: list[Value]) -> list[Value]:
        """Return, for each threshold, which lanes of the row in a stage have reached it; with ``rise``, if all
        thresholds are higher by that."""
        spec = self._spec
        if rise:
            u = [value - one for value, one in zip(u, rise, strict=True)]
        found: list[Value] = [~Cat(value[-1] for value in u)]
        thresholds = spec.microcode.levels
        for edge in () if thresholds is None else thresholds.T[1:]:
            edges = LaneConstants(spec.plan, edge, absent=0)
            found.append(Cat(value >= edges.at(stage.group, lane) for lane, value in enumerate(u)))
        return found

    def _starts_reached(self) -> list[Value]:
        """Return, for each threshold, which lanes of the first row start at it or above."""
        plan, code = self._spec.plan, self._spec.microcode
        start = LaneConstants(plan, code.init, absent=-1).table[0]
        edges = [np.zeros_like(start)] + ([] if code.levels is None else [
            LaneConstants(plan, edge, absent=0).table[0] for edge in code.levels.T[1:]])
        return [Const(sum(1 << lane for lane in np.flatnonzero(start >= edge).tolist()), plan.elements)
                for edge in edges]

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

    def _bases(self, m: Module, u: list[Value], spiked: Value, add: PassRow) -> list[tuple[Value, LaneConstants]]:
        """Return which lanes take a number instead of u before the sum, and this number, for each pass that has one.

        If all neurons are in one row, the sum is replaced instead, by that of the number and the pass's constant. In
        registers, the number at the beginning of an inference is left out: they are set without a multiplexer.
        """
        plan, lanes, bases = self._spec.plan, len(u), []
        negative = Cat(value[-1] for value in u)
        holds = {"spiked": spiked, "negative": negative, "nonnegative": ~negative, "always": Const(-1, lanes)}
        for number, op in enumerate(self._spec.microcode.passes):
            if op.base is None or (plan.in_registers and op.act == "init"):
                continue
            base = op.base if op.values is None or not plan.in_one_row else op.base + op.values
            select = Signal(lanes, name=f"takes_base{number}")
            m.d.comb += select.eq(add.which(lambda one, op=op: one is op).replicate(lanes) & holds[op.when])
            bases.append((select, LaneConstants(plan, base, absent=-1)))
        return bases

    def _updated(self, u: list[Value], totals: list[Value], spiked: Value, add: PassRow) -> list[Value]:
        """Return the next u of each lane, from the sum of each; in passes for the current, registers keep u."""
        spec, passes = self._spec, self._spec.microcode.passes
        halves, clears = add.which(lambda op: op.halve), add.which(lambda op: op.act == "save" and not op.halve)
        # Where there are traces, registers do not move in such passes.
        keeps = spec.microcode.has_current and spec.plan.in_registers and not spec.microcode.has_trace
        is_current = add.which(lambda op: op.store == "current") if keeps else Const(0)
        holds = add.which(spec.holds)
        product, products = spec.microcode.leak_products.get("membrane"), u
        if product is not None:
            products = leak_products(spec.plan, product, u, add.group)
        multiplies = add.which(lambda op: op.operand == "product")
        nexts = []
        for lane, total in enumerate(totals):
            if any(op.halve for op in passes):
                total = Mux(halves, total >> 1, total)
            if any(op.act == "save" and not op.halve for op in passes):
                total = Mux(clears, 0, total)
            if any(map(spec.holds, passes)) or keeps:
                total = Mux(is_current | (holds & ~spiked[lane]), u[lane], total)
            if product is not None:
                total = Mux(multiplies, products[lane], total)
            nexts.append(total[:spec.plan.membrane_bits])
        return nexts


def _replaced(value: Value, lane: int, add: PassRow, bases: list[tuple[Value, LaneConstants]]) -> Value:
    """Return a number of a lane, or that by which a pass replaces it."""
    for select, base in bases:
        value = Mux(select[lane], base.at(add.group, lane), value)
    return value.as_signed()


def _adds_current(code: Microcode) -> bool:
    """Whether a pass adds to the current: an event of a direct input, or the bias behind a pool of its currents."""
    return any(op.store == "current" and op.act == "add" for op in code.passes)
