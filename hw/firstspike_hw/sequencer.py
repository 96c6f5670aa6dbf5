# SPDX-License-Identifier: MIT
"""Sequencer: which row a core visits in which cycle, for what, and beside which word of weights."""

from collections.abc import Sequence

from amaranth.hdl import Array, Cat, Const, Module, Mux, Shape, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from firstspike_arch.array import LayerPlan
from firstspike_arch.core_spec import CoreSpec
from firstspike_arch.events import TokenLayout
from firstspike_arch.fixed import bits_for_unsigned
from firstspike_arch.walk import Walk

from .first_one import at_most_one, without_lowest
from .stream_token import token_stream

__all__ = ["Sequencer", "drop_signature", "issue_signature", "value_shape"]


def drop_signature(tag_bits: int) -> wiring.Signature:
    """The inference, by its running number, that is decided and whose rest is to be dropped."""
    return wiring.Signature({"valid": Out(1), "tag": Out(tag_bits)})


def value_shape(layouts: Sequence[TokenLayout]) -> Shape:
    """Holds the values of the events of several streams, and 1."""
    signed = any(layout.signed for layout in layouts)
    return Shape(max(layout.value_bits + (signed and not layout.signed) for layout in layouts), signed)


def issue_signature(
    *, passes: int, plan: LayerPlan, words: int, value: Shape, falls: int,
) -> wiring.Signature:
    """A row that goes into the pipeline in this cycle.

    ``number``: its pass. ``group``: its place among the rows at its position, in the passes of a marker. ``word``: of
    weights; ``value``: what they are multiplied by. ``captures``: its spikes are captured; ``final``: for the last
    step; ``masked``: as if there were none. ``step``: counted up to ``falls``, of a marker's passes.

    With several banks, each has its row in ``bank_rows``, if it is ``reached``; ``row`` is that of all of them in the
    passes of a marker. ``edges``: the row is in the last tile down, across: not all banks have a position there.
    """
    banks = {} if plan.bank_count == 1 else {
        "bank_rows": Out(data.ArrayLayout(range(plan.rows), plan.bank_count)), "reached": Out(plan.bank_count),
        "edges": Out(2),
    }
    return wiring.Signature({
        **banks,
        "valid": Out(1), "number": Out(range(passes)), "row": Out(range(plan.rows)),
        "group": Out(range(plan.position_rows)), "word": Out(range(words)), "value": Out(value), "captures": Out(1),
        "final": Out(1), "masked": Out(1), "step": Out(range(falls + 1)),
    })


class Sequencer(wiring.Component):
    """Turns tokens into rows, one a cycle; no bubbles between tokens.

    An event visits the rows of its `Walk`, a marker all rows in each pass of its program; a token is taken with its
    last row. Events of a map are decoded into a register first, one cycle earlier; there they are taken. An event that
    reaches nothing costs one cycle. With one row, a pass whose operand is what the pass before wrote waits one cycle.

    With several streams all are decoded into registers. An event is taken from the first stream that holds one; a
    marker waits until every stream holds one, and takes them all. The stream of the layer's own spikes (``recurrent``)
    is one step late: its first marker is there from the beginning, an inference's final marker waits there for the
    next one's first, and events that come while the first step is open belong to the inference before: they are taken
    without effect, in one cycle.

    Rows of a convolution come in no fixed order: one that is still in one of the two stages behind (issued one or two
    cycles before, while nothing waited) waits until it has left them. Where sums are forwarded (`LayerPlan.forwards`),
    only the passes of a marker wait so, and its first row waits until both stages are empty.

    With several banks an event visits its neighbours in all of them in the same cycle. If the plan is ``bit_serial``,
    an event is walked once for each bit of its value that is 1, lowest first, and a value of 0 costs one cycle.

    The final marker's program also starts the next inference: no sweep between inferences. After reset, and after
    ``reload``, the final program runs once without capturing.

    From the cycle after ``drop`` names the inference at hand, events and step markers are taken at one a cycle without
    effect, and the final marker captures no spikes. Markers of the recurrent stream are kept for the final one.

    Parameters
    ----------
    spec : CoreSpec

    Members
    -------
    events0, events1, … : In(token_stream(layout))
    issue : Out(issue_signature(...))
    free : In(1)
        The stages behind move.
    drop : In(drop_signature(tag_bits))
    reload : In(1)
        Only while not ``busy``.
    busy : Out(1)
        In the middle of a token, or of the program that runs after reset and reload.
    """

    def __init__(self, spec: CoreSpec):
        self._layouts, self._walks, self._recurrent = spec.layouts, spec.walks, spec.recurrent
        self._plan, self._microcode, self._tag_bits = spec.plan, spec.microcode, spec.tag_bits
        self._words, self._bias_word, self._bias_stride = spec.memory.depth, spec.bias_word, spec.bias_stride
        passes = spec.microcode.passes
        self.falls = max((len(op.values) for op in passes if op.operand == "fall" and op.values is not None), default=0)
        streams = {f"events{index}": In(token_stream(layout)) for index, layout in enumerate(spec.layouts)}
        super().__init__({
            **streams,
            "issue": Out(issue_signature(passes=len(passes), plan=spec.plan, words=self._words,
                                         value=value_shape(spec.layouts), falls=self.falls)),
            "free": In(1), "drop": In(drop_signature(spec.tag_bits)), "reload": In(1), "busy": Out(1),
        })
        self.streams = [getattr(self, name) for name in streams]

    def elaborate(self, platform):
        m = Module()
        issue, free, rows, program = self.issue, self.free, self._plan.rows, self._microcode
        starts, steps, finals = len(program.start), len(program.step), len(program.final)
        passes = program.passes
        boot, opening = Signal(init=1), Signal(init=1)  # opening: no marker of this inference yet
        position = Signal(range(starts + max(steps, finals)), init=starts)
        begins = Signal(init=1)  # a token begins
        self._fresh = Signal(init=1)  # a pass begins
        self._take, self._marker, self._dropped, self._opening = Signal(), Signal(), Signal(), opening
        self._starting = Signal()
        tag, marker, dropped = Signal(self._tag_bits), self._marker, self._dropped
        final, skip, takes_nothing = Signal(), Signal(), Signal()
        m.d.comb += [self._starting.eq(begins & self._fresh), self.busy.eq(boot | ~self._starting)]
        head = self._build_heads(m)
        m.d.comb += [
            marker.eq(boot | head.marker), final.eq(boot | (head.marker & head.final)),
            skip.eq(dropped & self._starting & ~final),
            takes_nothing.eq(~marker & (head.empty | ((head.value == 0) & self._plan.bit_serial))),
        ]
        last_pass = Signal()
        with m.If(final):
            m.d.comb += [issue.number.eq(1 + steps + position), last_pass.eq(position == starts + finals - 1)]
        with m.Elif(marker):
            m.d.comb += [issue.number.eq(1 + position), last_pass.eq(position == starts + steps - 1)]
        with m.Else():
            m.d.comb += last_pass.eq(1)
        self._value = head.value
        if self._plan.bit_serial:
            done, rest = Signal.like(head.value), Signal.like(head.value)
            m.d.comb += rest.eq(head.value & ~done)
            self._value = without_lowest(rest) ^ rest
            with m.If(~marker):
                m.d.comb += last_pass.eq(at_most_one(rest))
        if starts:
            with m.If(marker & (position < starts)):
                m.d.comb += [issue.number.eq(1 + position), last_pass.eq(0)]
        only_vector = len(self._walks) == 1 and self._walks[0].x is None
        pass_ends = (self._walk_vector if only_vector else self._walk_maps)(m, head)
        waits = Const(0)
        settling = [index for index, op in enumerate(passes) if op.settle]
        if rows == 1 and settling and self._plan.in_registers:
            settled, settles = Signal(), Cat(issue.number == index for index in settling).any()
            with m.If(free):
                m.d.sync += settled.eq(settles & ~settled & (boot | head.valid))
            waits = settles & ~settled
        if self._plan.scattered:
            waits = waits | self._build_scoreboard(m)
        m.d.comb += issue.valid.eq((boot | (head.valid & ~skip & ~takes_nothing)) & free & ~waits)
        token_ends = Signal()
        m.d.comb += token_ends.eq(issue.valid & pass_ends & last_pass)
        with m.If(issue.valid):
            m.d.sync += self._fresh.eq(pass_ends)
            if self._plan.bit_serial:
                with m.If(pass_ends & ~marker):
                    m.d.sync += done.eq(Mux(last_pass, 0, done | self._value))
            with m.If(pass_ends):
                m.d.sync += [begins.eq(last_pass), position.eq(position + marker)]
        with m.If(token_ends):
            m.d.sync += boot.eq(0)
            with m.If(marker):
                m.d.sync += [opening.eq(final), position.eq(Mux(final, 0, starts))]
        with m.If(self.reload):
            m.d.sync += [boot.eq(1), position.eq(starts)]
        m.d.comb += self._take.eq(~boot & (token_ends | ((skip | (head.valid & takes_nothing)) & free)))
        if self.falls:
            with m.If(self._take & marker):
                m.d.sync += issue.step.eq(Mux(final, 0, issue.step + 1))

        # Late, so that no path goes through counter and comparison: the next inference cannot be named that soon.
        ends, ended = head.valid & self._take & final, Signal()
        m.d.sync += [
            ended.eq(ends), tag.eq(tag + ended), dropped.eq(self.drop.valid & (self.drop.tag == tag) & ~ends & ~ended),
        ]
        masked = Signal()
        with m.If(free & self._starting):
            m.d.sync += masked.eq(dropped)
        m.d.comb += [
            issue.captures.eq(marker & (position == starts) & ~boot), issue.final.eq(final),
            issue.masked.eq(Mux(self._starting, dropped, masked)),
        ]
        return m

    def _build_heads(self, m: Module) -> "_Head":
        """The token at hand: as it comes, decoded, or chosen among several."""
        if len(self._walks) == 1 and self._walks[0].x is None:
            events, token = self.streams[0], self.streams[0].payload
            m.d.comb += events.ready.eq(self._take)
            return _Head(valid=events.valid, marker=token.marker, final=token.final, empty=Const(0),
                         value=token.value)
        heads = [self._decode(m, index) for index in range(len(self._walks))]
        if len(heads) == 1:
            m.d.comb += heads[0].taken.eq(self._take)
            return heads[0]
        # Events first; step markers of a dropped inference go alone.
        picks = [
            head.valid & (~head.marker | (Const(index != self._recurrent) & self._dropped & ~head.final))
            for index, head in enumerate(heads)
        ]
        count = len(heads)
        choice, kept = Signal(range(count)), Signal(range(count))
        found, all_markers, kept_marker = Signal(), Signal(), Signal()
        with m.If(self._starting):
            m.d.comb += [found.eq(Cat(picks).any()),
                         all_markers.eq(~found & Cat(head.valid & head.marker for head in heads).all())]
            for index in reversed(range(count)):
                with m.If(picks[index]):
                    m.d.comb += choice.eq(index)
            with m.If(self.free):
                m.d.sync += [kept.eq(choice), kept_marker.eq(all_markers)]
        with m.Else():
            m.d.comb += [choice.eq(kept), all_markers.eq(kept_marker), found.eq(~kept_marker)]
        for index, head in enumerate(heads):
            m.d.comb += head.taken.eq(self._take & (all_markers | (found & (choice == index))))
        chosen = _Head.like(heads, choice)
        chosen.valid, chosen.marker, chosen.final = found | all_markers, all_markers, heads[0].final
        chosen.choice = choice
        return chosen

    def _decode(self, m: Module, index: int) -> "_Head":
        """A stream's token in a register, with where its walk begins."""
        events, token, walk = self.streams[index], self.streams[index].payload, self._walks[index]
        recurrent = index == self._recurrent
        head = _Head.registers(f"head{index}", walk, self._plan, self._words, self.issue.value.shape(),
                               waiting=recurrent)
        load = ~head.valid | head.taken
        m.d.comb += events.ready.eq(load)
        address = token.address
        if walk.x is None or walk.y is None:
            fields = [head.row.eq(0), head.word.eq(walk.base + address * walk.channel_words)]
            misses = Const(0)
        else:
            channel_bits, x_bits, _ = self._layouts[index].field_bits
            channel, x, y = (address[:channel_bits], address[channel_bits:channel_bits + x_bits],
                             address[channel_bits + x_bits:])
            start = _look_up(walk.channel_row, channel) if walk.channel_row.any() else 0
            fields = [
                head.row.eq(_look_up(walk.y.row, y) + _look_up(walk.x.row, x) + start),
                head.word.eq(walk.base + _look_up(walk.y.word, y) + _look_up(walk.x.word, x)
                             + channel * walk.channel_words),
                head.x_last.eq(_look_up(walk.x.count - 1, x)), head.y_last.eq(_look_up(walk.y.count - 1, y)),
            ]
            misses = _look_up(walk.x.count == 0, x) | _look_up(walk.y.count == 0, y)
            if walk.bank_rows is not None:
                for table, coordinate, rows, hits, first in (
                    (walk.bank_rows[0], y, head.y_rows, head.y_hits, 0),
                    (walk.bank_rows[1], x, head.x_rows, head.x_hits, start),
                ):
                    fields += [row.eq(_look_up(column, coordinate) + first)
                               for row, column in zip(rows, table.T, strict=True)]
                    fields += [hit.eq(_look_up(column >= 0, coordinate))
                               for hit, column in zip(hits, table.T, strict=True)]
        missed = Signal(name=f"head{index}_missed")
        with m.If(load):
            m.d.sync += [head.valid.eq(events.valid), head.marker.eq(token.marker), head.final.eq(token.final),
                         head.value.eq(token.value if len(token.value) else 1), missed.eq(misses), *fields]
        head.empty = missed | self._opening if recurrent else missed
        return head

    def _walk_vector(self, m: Module, head: "_Head"):
        """All rows in their order, for events and markers alike."""
        rows, issue = self._plan.rows, self.issue
        inputs = self._bias_word // self._bias_stride
        row, address = Signal(range(rows)), Signal(range(-(-self._words // self._bias_stride)))
        # Every pass of a marker gets the first bias row: the address depends on the pass only if there are more.
        m.d.comb += address.eq(Mux(self._marker, inputs, self.streams[0].payload.address))
        for index, op in enumerate(self._microcode.passes):
            if index and op.operand == "weight" and op.index:
                with m.If(issue.number == index):
                    m.d.comb += address.eq(inputs + op.index)
        low = self._bias_stride.bit_length() - 1
        ends = row == rows - 1
        m.d.comb += [issue.row.eq(row), issue.group.eq(row), issue.word.eq(Cat(row[:low], address)),
                     issue.value.eq(Mux(self._marker, 1, self._value))]
        with m.If(issue.valid):
            m.d.sync += row.eq(Mux(ends, 0, row + 1))
        return ends

    def _walk_maps(self, m: Module, head: "_Head"):
        """For an event, positions along y, along x, rows at each; for a marker all rows."""
        walks, plan, issue = self._walks, self._plan, self.issue
        reach_last = head.constant([walk.reach - 1 for walk in walks])
        at, group = Signal(range(max(walk.reach for walk in walks))), Signal(range(plan.position_rows))
        x, y = Signal.like(head.x_last, name="x"), Signal.like(head.y_last, name="y")
        row, word = Signal.like(issue.row), Signal.like(issue.word)
        line_row, line_word, next_row, next_word = (
            Signal.like(like, name=name) for like, name in
            ((row, "line_row"), (word, "line_word"), (row, "next_row"), (word, "next_word")))
        first_row, first_word, bias_word = Signal.like(row), Signal.like(word), Signal.like(word)
        m.d.comb += [
            first_row.eq(Mux(self._marker, 0, head.row)), bias_word.eq(self._bias_word + group),
            issue.row.eq(Mux(self._fresh, first_row, row)), issue.group.eq(group),
            first_word.eq(Mux(self._fresh, head.word, word)), issue.word.eq(Mux(self._marker, bias_word, first_word)),
            issue.value.eq(Mux(self._marker, 1, self._value)),
        ]
        for index, op in enumerate(self._microcode.passes):
            if index and op.operand == "weight" and op.index:
                with m.If(issue.number == index):
                    m.d.comb += bias_word.eq(self._bias_word + op.index * self._bias_stride + group)
        reach_ends, position_ends = at == reach_last, group == plan.position_rows - 1
        x_ends, y_ends = x == head.x_last, y == head.y_last
        line = Signal.like(row, name="line"), Signal.like(word, name="line_of_words")
        m.d.comb += [
            line[0].eq(Mux(self._fresh, head.row, line_row)), line[1].eq(Mux(self._fresh, head.word, line_word)),
            next_row.eq(issue.row + 1), next_word.eq(first_word + 1),
        ]

        def along(axis: str, step: str, less: int):
            axes = [getattr(walk, axis) for walk in walks]
            return head.constant([(getattr(one, step) if one else 0) - less * (walk.reach - 1)
                                  for one, walk in zip(axes, walks, strict=True)])

        with m.If(~self._marker & reach_ends):
            with m.If(x_ends):
                m.d.comb += [
                    next_row.eq(line[0] + along("y", "row_step", 0)),
                    next_word.eq(line[1] + along("y", "word_step", 0)),
                ]
            with m.Else():
                m.d.comb += [
                    next_row.eq(issue.row + along("x", "row_step", 1)),
                    next_word.eq(first_word + along("x", "word_step", 1)),
                ]
        ends = Mux(self._marker, issue.row == plan.rows - 1, reach_ends & x_ends & y_ends)
        if plan.bank_count > 1:
            self._reach_banks(m, head, at, position_ends)
        with m.If(issue.valid):
            m.d.sync += [row.eq(next_row), word.eq(next_word), line_row.eq(line[0]), line_word.eq(line[1])]
            with m.If(self._marker):
                m.d.sync += group.eq(Mux(position_ends, 0, group + 1))
            with m.Else():
                m.d.sync += at.eq(Mux(reach_ends, 0, at + 1))
                with m.If(reach_ends):
                    m.d.sync += x.eq(Mux(x_ends, 0, x + 1))
                    with m.If(x_ends):
                        m.d.sync += [y.eq(Mux(y_ends, 0, y + 1)), line_row.eq(next_row), line_word.eq(next_word)]
        return ends

    def _reach_banks(self, m: Module, head: "_Head", at: Signal, position_ends) -> None:
        """The row of each bank, and whether it is reached; of a marker, whether its tile is the last down or across."""
        plan, issue = self._plan, self.issue
        down, across = plan.tiles
        tile_y, tile_x = Signal(range(down)), Signal(range(across))
        x_edge, y_edge = tile_x == across - 1, tile_y == down - 1
        with m.If(issue.valid & self._marker & position_ends):
            m.d.sync += tile_x.eq(Mux(x_edge, 0, tile_x + 1))
            with m.If(x_edge):
                m.d.sync += tile_y.eq(Mux(y_edge, 0, tile_y + 1))
        m.d.comb += issue.edges.eq(Cat(y_edge, x_edge))
        for bank in range(plan.bank_count):
            y, x = divmod(bank, plan.banks[1])
            m.d.comb += [
                issue.bank_rows[bank].eq(Mux(self._marker, issue.row, head.y_rows[y] + head.x_rows[x] + at)),
                issue.reached[bank].eq(self._marker | (head.y_hits[y] & head.x_hits[x])),
            ]

    def _build_scoreboard(self, m: Module):
        """High while the row at hand is in one of the two stages in which its membranes are not yet written."""
        issue = self.issue
        fetched, operand = ((Signal(name=f"{name}_valid"), Signal.like(issue.row, name=f"{name}_row"))
                            for name in ("fetched", "operand"))
        with m.If(self.free):
            m.d.sync += [fetched[0].eq(issue.valid), fetched[1].eq(issue.row),
                         operand[0].eq(fetched[0]), operand[1].eq(fetched[1])]
        same = Cat(valid & (row == issue.row) for valid, row in (fetched, operand)).any()
        if self._plan.forwards:
            return self._marker & (same | (self._starting & (fetched[0] | operand[0])))
        return same


class _Head:
    """The token at hand; decoded, also where its walk begins, and how far it reaches."""

    _PLACES = ("row", "word", "x_last", "y_last", "value", "empty")

    def __init__(self, **fields):
        self.choice = None
        for name, value in fields.items():
            setattr(self, name, value)

    @classmethod
    def registers(cls, name: str, walk: Walk, plan: LayerPlan, words: int, value: Shape, *, waiting: bool) -> "_Head":
        """Of one stream; ``waiting``: a marker is there from the beginning."""
        counts = [1 if axis is None else int(axis.count.max(initial=1)) for axis in (walk.x, walk.y)]
        banks: dict[str, list[Signal]] = {"y_rows": [], "x_rows": [], "y_hits": [], "x_hits": []}
        for axis, table in zip("yx", walk.bank_rows or (), strict=False):
            for bank in range(table.shape[1]):
                banks[f"{axis}_rows"].append(Signal(range(plan.rows), name=f"{name}_{axis}_row{bank}"))
                banks[f"{axis}_hits"].append(Signal(name=f"{name}_{axis}_hit{bank}"))
        return cls(
            **banks, valid=Signal(name=f"{name}_valid", init=waiting),
            marker=Signal(name=f"{name}_marker", init=waiting),
            final=Signal(name=f"{name}_final"), taken=Signal(name=f"{name}_taken"),
            row=Signal(range(plan.rows), name=f"{name}_row"), word=Signal(range(words), name=f"{name}_word"),
            x_last=Signal(range(counts[0]), name=f"{name}_x_last"),
            y_last=Signal(range(counts[1]), name=f"{name}_y_last"), value=Signal(value, name=f"{name}_value"),
        )

    @classmethod
    def like(cls, heads: "list[_Head]", choice: Signal) -> "_Head":
        """The one of them that is chosen."""
        return cls(**{name: Array(getattr(head, name) for head in heads)[choice] for name in cls._PLACES})

    def constant(self, values: list[int]):
        """A constant by stream."""
        if len(set(values)) == 1:
            return values[0]
        bits = 1 + max(bits_for_unsigned(abs(value)) for value in values)
        return Array(Const(value, Shape(bits, True)) for value in values)[self.choice]


def _look_up(table, coordinate):
    """A table of non-negative numbers (less than that stands for: any)."""
    return Array(max(int(value), 0) for value in table)[coordinate]
