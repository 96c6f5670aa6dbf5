# SPDX-License-Identifier: MIT
"""Row walks: the rows that a token visits one after the other, and the word of weights for each."""

import numpy as np
from amaranth.hdl import Array, Cat, Const, Module, Mux, Shape, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from firstspike_arch.core_spec import CoreSpec
from firstspike_arch.fixed import bits_for_unsigned, ceil_div

from .capture import tile_struct
from .row_marks import RowMarks
from .token_head import axes_of, head_struct, turns

__all__ = ["MapWalk", "VectorWalk"]


class VectorWalk(wiring.Component):
    """Walk of a core whose only stream is a vector: events and markers visit all rows in their order.

    Outputs are valid in the same cycle, for one row a cycle. A second event at once visits the same rows.

    Parameters
    ----------
    spec : CoreSpec

    Members
    -------
    address : In(...)
        Address of the current event, or the buffer of its weights.
    second_address : In(...), second_word : Out(range(words))
        If the core takes two events at once: address of the second one, and address of its word of weights.
    marker : In(1)
        The current token is a marker.
    number : In(range(passes))
        Number of the current pass.
    step : In(1)
        Go on to the next row at the end of this cycle.
    row : Out(range(rows))
        Current row.
    word : Out(range(words))
        Address of its word of weights.
    ends : Out(1)
        The current row is the last of the pass.
    """

    address: Signal
    second_address: Signal
    second_word: Signal
    marker: Signal
    number: Signal
    step: Signal
    row: Signal
    word: Signal
    ends: Signal

    def __init__(self, spec: CoreSpec):
        if len(spec.inputs) != 1 or spec.inputs[0].walk.x is not None:
            raise ValueError(f"spec must be a core with one stream, of a vector, not core {spec.index} with "
                             f"{len(spec.inputs)} of shape {spec.inputs[0].layout.shape}")
        self._spec = spec
        one, word = spec.inputs[0], range(spec.memory.depth)
        address_bits = bits_for_unsigned(one.fetching.buffers - 1) if one.fetching else one.layout.address_bits
        super().__init__({
            "address": In(address_bits), "marker": In(1),
            "number": In(range(len(spec.microcode.passes))), "step": In(1),
            "row": Out(range(spec.plan.rows)), "word": Out(word), "ends": Out(1),
            **({"second_address": In(address_bits), "second_word": Out(word)} if spec.pairs else {}),
        })

    @property
    def spec(self) -> CoreSpec:
        """The core that it belongs to."""
        return self._spec

    def elaborate(self, platform):
        m = Module()
        spec, rows = self._spec, self._spec.plan.rows
        inputs = spec.bias_word // spec.bias_stride
        line = Signal(range(ceil_div(spec.memory.depth, spec.bias_stride)))
        m.d.comb += line.eq(Mux(self.marker, inputs + _marker_row(m, spec, self.number), self.address))
        low = spec.bias_stride.bit_length() - 1
        row = Signal(range(rows))
        m.d.comb += [self.row.eq(row), self.word.eq(Cat(row[:low], line)), self.ends.eq(row == rows - 1)]
        if spec.pairs:
            m.d.comb += self.second_word.eq(Cat(row[:low], self.second_address))
        with m.If(self.step):
            m.d.sync += row.eq(Mux(self.ends, 0, row + 1))
        return m


class MapWalk(wiring.Component):
    """Walk of any other core: an event visits positions along y, at each along x, at each the rows of its channels.

    A marker visits all rows, or with ``skips`` those that `RowMarks` finds. With several banks, an event visits as many
    positions at once, of which those at the ends of a walk need not be reached. Outputs are valid in the same cycle,
    for one row a cycle.

    Parameters
    ----------
    spec : CoreSpec

    Members
    -------
    head : In(head_struct(spec, spec.walks))
        Current token, decoded.
    choice : In(range(streams))
        Number of its stream.
    marker : In(1)
        The current token is a marker.
    number : In(range(passes))
        Number of the current pass.
    fresh : In(1)
        The current row is the first of its pass.
    step : In(1)
        Go on to the next row at the end of this cycle.
    row : Out(range(rows))
        Current row.
    group : Out(range(position_rows))
        Place of the row among those at its position, in a marker's pass.
    word : Out(range(words))
        Address of its word of weights.
    ends : Out(1)
        The current row is the last of its pass, or of an event's walk.
    bank_rows : Out(ArrayLayout(range(rows), banks)), reached : Out(banks), edges : Out(2)
        With several banks: the row of each bank, whether the bank is visited, and whether the row of a marker's pass is
        in the last tile down, across.
    choices : Out(ArrayLayout(range(rows), number)), chosen : Out(number)
        If one row a cycle is compared with others (with one bank, or if sums are forwarded; not with a pool of
        currents): rows from registers, and which of them is the current one. If sums are forwarded, none is for an
        event's first row, which nothing waits for.
    y_turn : Out(range(banks down)), x_turn : Out(range(banks across))
        If words of weights are rotated: by how many banks.
    sum_row : Out(range(sum_rows)), clears : Out(1)
        With a pool of currents: the row of the sums that an event or a pass takes, and whether the pass is the last to
        take it.
    skips : In(1), last_pass : In(1), found : Out(1), tile : Out(tile_struct(plan))
        Where rows are skipped: the current token is a step marker, and skips them; its current pass is the last; the
        rows that a marker visits are known; and the tile of its row.
    """

    head: data.View
    choice: Signal
    marker: Signal
    number: Signal
    fresh: Signal
    step: Signal
    row: Signal
    group: Signal
    word: Signal
    ends: Signal
    bank_rows: data.View
    reached: Signal
    edges: Signal
    choices: data.View
    chosen: Signal
    y_turn: Signal
    x_turn: Signal
    sum_row: Signal
    clears: Signal
    skips: Signal
    last_pass: Signal
    found: Signal
    tile: data.View

    def __init__(self, spec: CoreSpec):
        self._spec = spec
        plan = spec.plan
        skips = {"skips": In(1), "last_pass": In(1), "found": Out(1), "tile": Out(tile_struct(plan))}
        banks = {} if plan.bank_count == 1 else {
            "bank_rows": Out(data.ArrayLayout(range(plan.rows), plan.bank_count)), "reached": Out(plan.bank_count),
            "edges": Out(2),
        }
        count = 2 + plan.options.skips + (not plan.forwards)
        choices = {"choices": Out(data.ArrayLayout(range(plan.walk_rows), count)), "chosen": Out(count)}
        compared = (plan.bank_count == 1 or plan.forwards) and not plan.sum_rows
        super().__init__({
            "head": In(head_struct(spec, spec.walks)), "choice": In(range(len(spec.inputs))), "marker": In(1),
            "number": In(range(len(spec.microcode.passes))), "fresh": In(1), "step": In(1),
            "row": Out(range(plan.rows)), "group": Out(range(plan.position_rows)),
            "word": Out(range(spec.memory.depth)), "ends": Out(1), **banks,
            **{name: Out(values) for name, values in turns(plan).items()},
            **({"sum_row": Out(range(plan.sum_rows)), "clears": Out(1)} if plan.sum_rows else {}),
            **(skips if plan.options.skips else {}), **(choices if compared else {}),
        })

    @property
    def spec(self) -> CoreSpec:
        """The core that it belongs to."""
        return self._spec

    def elaborate(self, platform):
        m = Module()
        spec, plan, head, fresh = self._spec, self._spec.plan, self.head, self.fresh
        row, line_row, next_row, current_row = (
            Signal(range(plan.walk_rows), name=name) for name in ("row", "line_row", "next_row", "current_row"))
        word, line_word, next_word, event_word = (
            Signal(range(spec.memory.depth), name=name) for name in ("word", "line_word", "next_word", "event_word"))
        counted = Signal(range(plan.position_rows), name="group")
        position_ends = counted == plan.position_rows - 1
        visited: Value = Mux(fresh, Mux(self.marker, 0, head.row), row)
        skips: Value = self.skips if plan.options.skips else Const(0)
        choices = [(~skips & ~fresh, row), (~skips & fresh & self.marker, Const(0))]
        if not plan.forwards:
            choices.append((fresh & ~self.marker, head.row))
        ends: Value = current_row == plan.rows - 1
        group: Value = counted
        tile_y: Value = Const(0)
        tile_x: Value = Const(0)
        marks: RowMarks | None = None
        if plan.bank_count > 1 or plan.sum_rows or plan.options.skips:
            tile_y, tile_x = self._tile(m, position_ends)
        if plan.options.skips:
            marks = RowMarks(lines=plan.tiles[0], line_rows=plan.tiles[1] * plan.position_rows,
                             ports=spec.tiles_reached)
            m.submodules.marks = marks
            choices.append((skips, marks.row))
            place = divmod(np.arange(marks.line_rows), plan.position_rows)
            found_x, found_group = (Array(part.tolist())[marks.place] for part in place)
            group, tile_y, tile_x, visited, ends = (Mux(self.skips, found, other) for found, other in (
                (found_group, group), (marks.line, tile_y), (found_x, tile_x), (marks.row, visited),
                (marks.ends, ends)))
            m.d.comb += [
                marks.step.eq(self.step & self.skips),
                marks.clear.eq(self.step & self.marker & self.ends & self.last_pass), self.found.eq(marks.valid),
                self.tile.y.eq(tile_y), self.tile.x.eq(tile_x),
            ]
            if plan.bank_count == 1:
                m.d.comb += [marks.rows[0].eq(current_row), marks.marks.eq(self.step & ~self.marker)]
        m.d.comb += [
            current_row.eq(visited), self.row.eq(current_row), self.group.eq(group),
            event_word.eq(Mux(fresh, head.word, word)),
            self.word.eq(Mux(self.marker, spec.bias_word + _marker_row(m, spec, self.number, spec.bias_stride)
                             + self.group, event_word)),
        ]
        if "choices" in self.signature.members:
            m.d.comb += [self.chosen.eq(Cat(chosen for chosen, _ in choices)),
                         *(self.choices[place].eq(row) for place, (_, row) in enumerate(choices))]
        # Counters of the walk: the row among those of a position, then the position along x and along y.
        at = Signal(range(max(walk.reach for walk in spec.walks)))
        x, y = Signal.like(head.x_last, name="x"), Signal.like(head.y_last, name="y")
        reach_ends = at == self._by_stream([walk.reach - 1 for walk in spec.walks])
        x_ends, y_ends = x == head.x_last, y == head.y_last
        # Row and word at the beginning of the current line of positions.
        first_row, first_word = Signal.like(row, name="first_row"), Signal.like(word, name="first_word")
        m.d.comb += [
            first_row.eq(Mux(fresh, head.row, line_row)), first_word.eq(Mux(fresh, head.word, line_word)),
            next_row.eq(current_row + 1), next_word.eq(event_word + 1),
        ]
        with m.If(~self.marker & reach_ends):
            with m.If(x_ends):
                m.d.comb += [next_row.eq(first_row + self._along("y", "row_step")),
                             next_word.eq(first_word + self._along("y", "word_step"))]
            with m.Else():
                m.d.comb += [next_row.eq(current_row + self._along("x", "row_step", back=True)),
                             next_word.eq(event_word + self._along("x", "word_step", back=True))]
        m.d.comb += self.ends.eq(Mux(self.marker, ends, reach_ends & x_ends & y_ends))
        if plan.bank_count > 1:
            y_edge, x_edge = (tile == count - 1 for tile, count in zip((tile_y, tile_x), plan.tiles, strict=True))
            m.d.comb += self.edges.eq(Cat(y_edge, x_edge))
            self._reach_banks(m, marks, x=x, y=y, x_ends=x_ends, y_ends=y_ends)
        for name in turns(plan):
            m.d.comb += getattr(self, name).eq(Mux(self.marker, 0, head[name]))
        if plan.sum_rows:
            self._take_sums(m, current_row, group, tile_y, tile_x)
        with m.If(self.step):
            m.d.sync += [row.eq(next_row), word.eq(next_word), line_row.eq(first_row), line_word.eq(first_word)]
            with m.If(self.marker):
                m.d.sync += counted.eq(Mux(position_ends | skips, 0, counted + 1))
            with m.Else():
                m.d.sync += at.eq(Mux(reach_ends, 0, at + 1))
                with m.If(reach_ends):
                    m.d.sync += x.eq(Mux(x_ends, 0, x + 1))
                    with m.If(x_ends):
                        m.d.sync += [y.eq(Mux(y_ends, 0, y + 1)), line_row.eq(next_row), line_word.eq(next_word)]
        return m

    def _reach_banks(
        self, m: Module, marks: RowMarks | None, *, x: Signal, y: Signal, x_ends: Value, y_ends: Value,
    ) -> None:
        """Drive the row of each bank, and whether it is reached; mark the rows that an event reaches."""
        plan, head = self._spec.plan, self.head
        tiles, hits, rows = {}, {}, {}
        for name, visit, ends in (("y", y, y_ends), ("x", x, x_ends)):
            tiles[name] = [further & (~self.marker).replicate(len(further)) for further in head[f"{name}_tiles"]]
            hits[name] = head[f"{name}_opens"]
            if f"{name}_closes" in head.shape().members:
                several = plan.banks["yx".index(name)]
                hits[name] = ((hits[name] | (visit != 0).replicate(several))
                              & (head[f"{name}_closes"] | (~ends).replicate(several)))
            # Tiles before the map have negative rows: all sums are modulo a power of two.
            distance = axes_of(self._spec, name)[0].tile_rows
            rows[name] = [further * distance for further in range(1 << len(head[f"{name}_tiles"][0]))]
        table = []
        for down in rows["y"]:
            for across in rows["x"]:
                row = Signal(range(plan.rows), name=f"row_{len(table)}")
                m.d.comb += row.eq(self.row + (down + across))
                table.append(row)
        for bank in range(plan.bank_count):
            down, across = divmod(bank, plan.banks[1])
            m.d.comb += [
                self.bank_rows[bank].eq(Array(table)[Cat(tiles["x"][across], tiles["y"][down])]),
                self.reached[bank].eq(self.marker | (hits["y"][down] & hits["x"][across])),
            ]
        if marks is not None:
            down, across = (
                [Cat(hit & (further == tile) for hit, further in zip(hits[name], tiles[name], strict=True)).any()
                 for tile in range(len(rows[name]))] for name in ("y", "x"))
            reached = Cat(one & other for one in down for other in across)
            m.d.comb += [marks.marks.eq(Mux(self.step & ~self.marker, reached, 0)),
                         *(marks.rows[port].eq(row) for port, row in enumerate(table))]

    def _tile(self, m: Module, position_ends: Value) -> tuple[Signal, Signal]:
        """Return the tile of a marker's row: how far down, and across."""
        down, across = self._spec.plan.tiles
        tile_y, tile_x = Signal(range(down)), Signal(range(across))
        x_edge, y_edge = tile_x == across - 1, tile_y == down - 1
        skips = self.skips if self._spec.plan.options.skips else Const(0)
        with m.If(self.step & self.marker & position_ends & ~skips):
            m.d.sync += tile_x.eq(Mux(x_edge, 0, tile_x + 1))
            with m.If(x_edge):
                m.d.sync += tile_y.eq(Mux(y_edge, 0, tile_y + 1))
        return tile_y, tile_x

    def _take_sums(self, m: Module, event_row: Signal, group: Value, tile_y: Value, tile_x: Value) -> None:
        """Drive the row of the sums: of an event, or of the tap that a marker's pass takes of each window."""
        plan, pool = self._spec.plan, self._spec.layer.current_pool
        assert pool is not None
        (height, width), rows = plan.sums, plan.position_rows
        down, across = pool.taps(0, height) * width * rows, pool.taps(1, width) * rows
        last_down, last_across = pool.last_taps(0, height), pool.last_taps(1, width)
        m.d.comb += self.sum_row.eq(event_row)
        for number, op in enumerate(self._spec.microcode.passes):
            if op.operand == "sum":
                y, x = divmod(op.index, pool.kernel[1])
                with m.If(self.number == number):
                    m.d.comb += [
                        self.sum_row.eq(Array(down[y].tolist())[tile_y] + Array(across[x].tolist())[tile_x] + group),
                        self.clears.eq(Array(last_down[y].tolist())[tile_y] & Array(last_across[x].tolist())[tile_x]),
                    ]

    def _along(self, axis: str, step: str, *, back: bool = False):
        """Return the distance from a position to the next along an axis; ``back``: from the last row of a position."""
        axes = [(getattr(walk, axis), walk.reach) for walk in self._spec.walks]
        return self._by_stream([(getattr(one, step) if one else 0) - back * (reach - 1) for one, reach in axes])

    def _by_stream(self, values: list[int]):
        """Return a constant of the current stream, given its value for each stream."""
        if len(set(values)) == 1:
            return values[0]
        bits = 1 + max(bits_for_unsigned(abs(value)) for value in values)
        return Array(Const(value, Shape(bits, True)) for value in values)[self.choice]


def _marker_row(m: Module, spec: CoreSpec, number: Value, stride: int = 1) -> Value:
    """Return ``stride`` times the row of `CoreSpec.marker_rows` that a marker's pass of this number takes; a constant
    if all passes take the same."""
    rows = [spec.marker_row(op) * stride for op in spec.microcode.passes[1:]]
    if len(set(rows)) == 1:
        return Const(rows[0])
    row = Signal(range(max(rows) + 1), name="marker_row")
    with m.Switch(number):
        for value in sorted(set(rows)):
            with m.Case(*(index for index, one in enumerate(rows, 1) if one == value)):
                m.d.comb += row.eq(value)
    return row
