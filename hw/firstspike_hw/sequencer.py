# SPDX-License-Identifier: MIT
"""Sequencer: which row a core visits in which cycle, for what, and beside which word of weights."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from firstspike_arch.array import LayerPlan
from firstspike_arch.connectivity import Shape
from firstspike_arch.events import TokenLayout
from firstspike_arch.rows import MarkerProgram, RowOp
from firstspike_arch.walk import Walk

from .stream_token import token_stream

__all__ = ["Sequencer", "drop_signature", "issue_signature", "passes_of"]


def drop_signature(tag_bits: int) -> wiring.Signature:
    """The inference, by its running number, that is decided and whose rest is to be dropped."""
    return wiring.Signature({"valid": Out(1), "tag": Out(tag_bits)})


def passes_of(program: MarkerProgram) -> list[RowOp]:
    """The passes by number: 0 integrates an event, then the step program, then the final program."""
    return [RowOp(act="add", operand="weight"), *program.step, *program.final]


def issue_signature(*, passes: int, plan: LayerPlan, words: int) -> wiring.Signature:
    """A row that goes into the pipeline in this cycle.

    ``number``: its pass. ``group``: its place among the rows at its position, in the passes of a marker. ``word``: of
    weights. ``captures``: its spikes are captured; ``final``: for the last step; ``masked``: as if there were none.
    """
    return wiring.Signature({
        "valid": Out(1), "number": Out(range(passes)), "row": Out(range(plan.rows)),
        "group": Out(range(plan.position_rows)), "word": Out(range(words)), "captures": Out(1), "final": Out(1),
        "masked": Out(1),
    })


class Sequencer(wiring.Component):
    """Turns tokens into rows, one a cycle; no bubbles between tokens.

    An event visits the rows of its `Walk`, a marker all rows in each pass of its program; a token is taken with its
    last row. Events of a map are decoded into a register first, one cycle earlier; there they are taken. An event that
    reaches nothing costs one cycle. With one row, a pass whose operand is what the pass before wrote waits one cycle.

    Rows of a convolution come in no fixed order: one that is still in one of the two stages behind (issued one or two
    cycles before, while nothing waited) waits until it has left them.

    The final marker's program also starts the next inference: no sweep between inferences. After reset, and after
    ``reload``, the final program runs once without capturing.

    From the cycle after ``drop`` names the inference at hand, events and step markers are taken at one a cycle without
    effect, and the final marker captures no spikes.

    Members
    -------
    events : In(token_stream(shape))
    issue : Out(issue_signature(...))
    free : In(1)
        The stages behind move.
    drop : In(drop_signature(tag_bits))
    reload : In(1)
    """

    def __init__(
        self, *, shape: Shape, walk: Walk, plan: LayerPlan, program: MarkerProgram, words: int, bias_stride: int,
        tag_bits: int,
    ):
        self._shape, self._walk, self._plan, self._program = shape, walk, plan, program
        self._words, self._bias_stride, self._tag_bits = words, bias_stride, tag_bits
        super().__init__({
            "events": In(token_stream(shape)),
            "issue": Out(issue_signature(passes=len(passes_of(program)), plan=plan, words=words)),
            "free": In(1), "drop": In(drop_signature(tag_bits)), "reload": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        issue, free, rows = self.issue, self.free, self._plan.rows
        steps, finals = len(self._program.step), len(self._program.final)
        passes = passes_of(self._program)
        boot = Signal(init=1)
        position = Signal(range(max(steps, finals)))
        self._take, self._marker, self._fresh = Signal(), Signal(), Signal(init=1)  # fresh: a pass begins
        head = self._build_head(m)
        tag, marker = Signal(self._tag_bits), self._marker
        final, dropped, starting, skip, takes_nothing = Signal(), Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            marker.eq(boot | head.marker), final.eq(boot | (head.marker & head.final)),
            starting.eq((position == 0) & self._fresh), skip.eq(dropped & starting & ~final),
            takes_nothing.eq(~marker & head.empty),
        ]
        last_pass = Signal()
        with m.If(final):
            m.d.comb += [issue.number.eq(1 + steps + position), last_pass.eq(position == finals - 1)]
        with m.Elif(marker):
            m.d.comb += [issue.number.eq(1 + position), last_pass.eq(position == steps - 1)]
        with m.Else():
            m.d.comb += last_pass.eq(1)
        pass_ends = (self._walk_vector if self._walk.x is None else self._walk_map)(m, head)
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
        with m.If(issue.valid):
            m.d.sync += self._fresh.eq(pass_ends)
            with m.If(pass_ends):
                m.d.sync += position.eq(Mux(last_pass, 0, position + 1))
                with m.If(last_pass):
                    m.d.sync += boot.eq(0)
        with m.If(self.reload):
            m.d.sync += boot.eq(1)
        m.d.comb += self._take.eq(
            ~boot & ((issue.valid & pass_ends & last_pass) | ((skip | (head.valid & takes_nothing)) & free)))

        # Late, so that no path goes through counter and comparison: the next inference cannot be named that soon.
        ends, ended = head.valid & self._take & final, Signal()
        m.d.sync += [
            ended.eq(ends), tag.eq(tag + ended), dropped.eq(self.drop.valid & (self.drop.tag == tag) & ~ends & ~ended),
        ]
        masked = Signal()
        with m.If(free & starting):
            m.d.sync += masked.eq(dropped)
        m.d.comb += [
            issue.captures.eq(marker & (position == 0) & ~boot), issue.final.eq(final),
            issue.masked.eq(Mux(starting, dropped, masked)),
        ]
        return m

    def _build_head(self, m: Module) -> "_Head":
        """The token at hand: as it comes, or decoded."""
        events, token = self.events, self.events.payload
        if self._walk.x is None or self._walk.y is None:
            m.d.comb += events.ready.eq(self._take)
            return _Head(events.valid, token.marker, token.final, Const(0))
        self._coordinates = _Coordinates(self._walk, self._plan, self._words)
        head = _Head(*(Signal(name=f"head_{name}") for name in ("valid", "marker", "final", "empty")))
        load = ~head.valid | self._take
        m.d.comb += events.ready.eq(load)
        channel_bits, x_bits, _ = TokenLayout(shape=self._shape).field_bits
        address = token.address
        channel, x, y = (address[:channel_bits], address[channel_bits:channel_bits + x_bits],
                         address[channel_bits + x_bits:])
        with m.If(load):
            m.d.sync += [
                head.valid.eq(events.valid), head.marker.eq(token.marker), head.final.eq(token.final),
                *self._coordinates.decode(channel, x, y), head.empty.eq(self._coordinates.misses(x, y)),
            ]
        return head

    def _walk_vector(self, m: Module, head: "_Head"):
        """All rows in their order, for events and markers alike."""
        rows, issue = self._plan.rows, self.issue
        row, address = Signal(range(rows)), Signal(range(-(-self._words // self._bias_stride)))
        # Every pass of a marker gets the first bias row: the address depends on the pass only if there are more.
        m.d.comb += address.eq(Mux(self._marker, self._shape[0], self.events.payload.address))
        for index, op in enumerate(passes_of(self._program)):
            if index and op.operand == "weight" and op.index:
                with m.If(issue.number == index):
                    m.d.comb += address.eq(self._shape[0] + op.index)
        low = self._bias_stride.bit_length() - 1
        ends = row == rows - 1
        m.d.comb += [issue.row.eq(row), issue.group.eq(row), issue.word.eq(Cat(row[:low], address))]
        with m.If(issue.valid):
            m.d.sync += row.eq(Mux(ends, 0, row + 1))
        return ends

    def _walk_map(self, m: Module, head: "_Head"):
        """For an event, positions along y, along x, rows of its group; for a marker all rows."""
        walk, plan, issue, at = self._walk, self._plan, self.issue, self._coordinates
        group_row, group = Signal(range(walk.group_rows)), Signal(range(plan.position_rows))
        x, y = Signal.like(at.x_last), Signal.like(at.y_last)
        row, word = Signal.like(issue.row), Signal.like(issue.word)
        line_row, line_word, next_row, next_word = (
            Signal.like(like, name=name) for like, name in
            ((row, "line_row"), (word, "line_word"), (row, "next_row"), (word, "next_word")))
        first_row, first_word, bias_word = Signal.like(row), Signal.like(word), Signal.like(word)
        m.d.comb += [
            first_row.eq(Mux(self._marker, 0, at.row)), bias_word.eq(walk.bias_word + group),
            issue.row.eq(Mux(self._fresh, first_row, row)), issue.group.eq(group),
            first_word.eq(Mux(self._fresh, at.word, word)), issue.word.eq(Mux(self._marker, bias_word, first_word)),
        ]
        for index, op in enumerate(passes_of(self._program)):
            if index and op.operand == "weight" and op.index:
                with m.If(issue.number == index):
                    m.d.comb += bias_word.eq(walk.bias_word + op.index * self._bias_stride + group)
        group_ends, position_ends = group_row == walk.group_rows - 1, group == plan.position_rows - 1
        x_ends, y_ends = x == at.x_last, y == at.y_last
        line = Signal.like(row, name="line"), Signal.like(word, name="line_of_words")
        m.d.comb += [
            line[0].eq(Mux(self._fresh, at.row, line_row)), line[1].eq(Mux(self._fresh, at.word, line_word)),
            next_row.eq(issue.row + 1), next_word.eq(first_word + 1),
        ]
        with m.If(~self._marker & group_ends):
            with m.If(x_ends):
                m.d.comb += [
                    next_row.eq(line[0] + walk.y.row_step), next_word.eq(line[1] + walk.y.word_step),
                ]
            with m.Else():
                m.d.comb += [
                    next_row.eq(issue.row + walk.x.row_step - (walk.group_rows - 1)),
                    next_word.eq(first_word + walk.x.word_step - (walk.group_rows - 1)),
                ]
        ends = Mux(self._marker, issue.row == plan.rows - 1, group_ends & x_ends & y_ends)
        with m.If(issue.valid):
            m.d.sync += [row.eq(next_row), word.eq(next_word), line_row.eq(line[0]), line_word.eq(line[1])]
            with m.If(self._marker):
                m.d.sync += group.eq(Mux(position_ends, 0, group + 1))
            with m.Else():
                m.d.sync += group_row.eq(Mux(group_ends, 0, group_row + 1))
                with m.If(group_ends):
                    m.d.sync += x.eq(Mux(x_ends, 0, x + 1))
                    with m.If(x_ends):
                        m.d.sync += [y.eq(Mux(y_ends, 0, y + 1)), line_row.eq(next_row), line_word.eq(next_word)]
        return ends

    def _build_scoreboard(self, m: Module):
        """High while the row at hand is in one of the two stages in which its membranes are not yet written."""
        issue = self.issue
        fetched, operand = ((Signal(name=f"{name}_valid"), Signal.like(issue.row, name=f"{name}_row"))
                            for name in ("fetched", "operand"))
        with m.If(self.free):
            m.d.sync += [fetched[0].eq(issue.valid), fetched[1].eq(issue.row),
                         operand[0].eq(fetched[0]), operand[1].eq(fetched[1])]
        return Cat(valid & (row == issue.row) for valid, row in (fetched, operand)).any()


class _Head:
    """The token at hand."""

    def __init__(self, valid, marker, final, empty):
        self.valid, self.marker, self.final, self.empty = valid, marker, final, empty


class _Coordinates:
    """Where an event of a map begins, and how far it reaches: registers, decoded from its coordinates by tables."""

    def __init__(self, walk: Walk, plan: LayerPlan, words: int):
        self._walk, self._plan = walk, plan
        self.row, self.word = Signal(range(plan.rows), name="first_row"), Signal(range(words), name="first_word")
        self.x_last = Signal(range(int(walk.x.count.max(initial=1))), name="x_last")
        self.y_last = Signal(range(int(walk.y.count.max(initial=1))), name="y_last")

    def decode(self, channel, x, y) -> list:
        """Load the registers."""
        walk = self._walk
        group = channel
        if walk.group_inputs & (walk.group_inputs - 1) == 0:
            group = channel[walk.group_inputs.bit_length() - 1:]
        elif self._plan.groups > 1:
            count = self._plan.groups * walk.group_inputs
            group = Array(index // walk.group_inputs for index in range(count))[channel]
        start = group * walk.group_rows if self._plan.groups > 1 else 0
        return [
            self.row.eq(_look_up(walk.y.row, y) + _look_up(walk.x.row, x) + start),
            self.word.eq(_look_up(walk.y.word, y) + _look_up(walk.x.word, x) + channel * walk.channel_words),
            self.x_last.eq(_look_up(walk.x.count - 1, x)), self.y_last.eq(_look_up(walk.y.count - 1, y)),
        ]

    def misses(self, x, y):
        """Whether a pixel reaches no position."""
        return _look_up(self._walk.x.count == 0, x) | _look_up(self._walk.y.count == 0, y)


def _look_up(table, coordinate):
    """A table of non-negative numbers (less than that stands for: any)."""
    return Array(max(int(value), 0) for value in table)[coordinate]
