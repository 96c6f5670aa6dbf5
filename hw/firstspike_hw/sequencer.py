# SPDX-License-Identifier: MIT
"""Sequencer: decides which row a core visits in each cycle, in which pass, and with which word of weights."""

from dataclasses import dataclass
from typing import Protocol

from amaranth.hdl import Array, Cat, Const, Module, Mux, Shape, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from firstspike_arch.core_spec import CoreSpec
from firstspike_arch.layer_plan import LayerPlan

from .capture import tile_struct
from .first_one import at_most_one, without_lowest
from .row_walk import MapWalk, VectorWalk
from .scoreboard import Scoreboard
from .stream_token import input_stream
from .token_head import TokenDecoder, turns, value_shape

__all__ = ["DropInterface", "IssueInterface", "Sequencer", "drop_signature", "fall_steps", "issue_signature"]


class DropInterface(Protocol):
    """Members of `drop_signature`."""

    valid: Signal
    tag: Signal


class IssueInterface(Protocol):
    """Members of `issue_signature`."""

    valid: Signal
    number: Signal
    row: Signal
    group: Signal
    word: Signal
    value: Signal
    captures: Signal
    final: Signal
    masked: Signal
    step: Signal
    bank_rows: data.View
    reached: Signal
    edges: Signal
    y_turn: Signal
    x_turn: Signal
    tile: data.View
    last: Signal
    sum_row: Signal
    clears: Signal
    second: Signal
    second_word: Signal
    second_value: Signal
    known: Signal


def drop_signature(tag_bits: int) -> wiring.Signature:
    """Return the signature that names, by its running number, the decided inference whose rest is to be dropped."""
    return wiring.Signature({"valid": Out(1), "tag": Out(tag_bits)})


def fall_steps(spec: CoreSpec) -> int:
    """Return the number of steps for which a falling threshold is given; 0: thresholds do not fall."""
    return max((len(op.values) for op in spec.microcode.passes if op.operand == "fall" and op.values is not None),
               default=0)


def issue_signature(
    *, passes: int, plan: LayerPlan, words: int, value: Shape, falls: int, pairs: bool = False,
    parity: bool = False,
) -> wiring.Signature:
    """Return the signature of a row that enters the pipeline in this cycle.

    Members
    -------
    valid : a row enters
    number : its pass
    row : its number; with several banks, the row of all banks in the passes of a marker
    group : its place among the rows at its position, in the passes of a marker
    word : address of its word of weights
    value : factor of the weights
    captures : its spikes are captured
    final : they are the spikes of the last step
    masked : its spikes are suppressed
    step : number of the step in the passes of a marker, counted up to ``falls``
    bank_rows, reached : with several banks, the row of each bank, and whether it is visited
    edges : with several banks, the row is in the last tile down, across, where not every bank has a position
    y_turn, x_turn : if words of weights are rotated, by how many banks; 0 if no row enters
    tile, last : where rows are skipped, the tile of the row in the passes of a marker, and whether it is the last of
        its pass
    sum_row, clears : with a pool of currents, the row of the sums, and whether a pass takes it for the last time
    second, second_word, second_value : with ``pairs``, whether there is a second event; its word and factor
    known : with ``parity``, every memory of rows was written since reset: it is no row of the passes that run then, up
        to the one that starts an inference
    """
    banks = {} if plan.bank_count == 1 else {
        "bank_rows": Out(data.ArrayLayout(range(plan.rows), plan.bank_count)), "reached": Out(plan.bank_count),
        "edges": Out(2),
    }
    pool = {"sum_row": Out(range(plan.sum_rows)), "clears": Out(1)} if plan.sum_rows else {}
    second = {"second": Out(1), "second_word": Out(range(words)), "second_value": Out(value)} if pairs else {}
    skips = {"tile": Out(tile_struct(plan)), "last": Out(1)} if plan.options.skips else {}
    return wiring.Signature({
        **banks, **pool, **second, **skips, **{name: Out(values) for name, values in turns(plan).items()},
        **({"known": Out(1)} if parity else {}),
        "valid": Out(1), "number": Out(range(passes)), "row": Out(range(plan.rows)),
        "group": Out(range(plan.position_rows)), "word": Out(range(words)), "value": Out(value), "captures": Out(1),
        "final": Out(1), "masked": Out(1), "step": Out(range(falls + 1)),
    })


@dataclass(frozen=True, kw_only=True)
class _Token:
    """The current token, as combinational signals.

    ``idle`` is high for an event that visits no row, and ``choice`` is the number of the token's stream. ``heads``
    holds the decoded token of each stream; it is empty if the only stream needs no decoding.
    """

    valid: Value
    marker: Value
    final: Value
    idle: Value
    value: Value
    choice: Value
    heads: tuple


class Sequencer(wiring.Component):
    """Turns tokens into rows: one row a cycle, with no idle cycles between tokens.

    An event visits the rows of its `Walk`, a marker visits all rows in each pass of its microcode; if the plan
    ``skips``, a step marker visits row 0 and those that an event of the step visited, and a marker waits until they are
    found: its first row follows an event's row by five cycles or more. A token is taken with its last row. An event
    that reaches nothing costs one cycle. With a single row, a pass whose operand depends on the result of the previous
    pass waits one cycle. Events of a map are decoded into a register first (`TokenDecoder`), which takes them one cycle
    earlier.

    With several streams, every stream is decoded into a register. An event is taken from the first stream that holds
    one; a marker waits until every stream holds one, and then all are taken. The stream of the layer's own spikes is
    one step late: its first marker is there from the beginning, the final marker of an inference waits for the first
    marker of the next one, and events that arrive during the first step belong to the previous inference and are taken
    without effect, one a cycle.

    Rows of a convolution come in no fixed order. A row waits while the same row is in one of the following stages (it
    was issued less than `CoreSpec.row_cycles` before, not counting waits); see `Scoreboard`.

    With several banks, an event visits as many positions in the same cycle, each bank in a row of its own. Two events
    of one token visit the same rows of a vector together. If the plan is ``bit_serial``, an event is walked once for
    each bit of its value that is 1, lowest first, and a value of 0 costs one cycle.

    The final marker's passes also start the next inference, so that there is no sweep between inferences. After reset,
    and after ``reload``, these passes run once without capturing, behind those that clear the sums of a pool of
    currents.

    From the cycle after ``drop`` names the current inference, events and step markers are taken without effect, one a
    cycle, and the final marker captures no spikes. Markers of the recurrent stream are kept until the final one.

    The registers mean, while they are set::

        boot      the final passes run without a token, after reset or reload
        runs      not boot, once more: the wires to the weight memory are long, and have a register of their own
        opening   no marker of the inference is done; the start passes precede those of the first one
        position  number of the current pass, counted from the first start pass
        starting  the current row is the first of its token
        fresh     the current row is the first of its pass
        settled   the current pass has waited for its operand
        dropped   the current inference is decided, and its rest is to be dropped
        masked    dropped was set when the current token began

    Parameters
    ----------
    spec : CoreSpec

    Members
    -------
    events0, events1, … : In(input_stream(spec.inputs[place]))
        Input streams.
    issue : Out(issue_signature(...))
        Row that enters the pipeline.
    free : In(1)
        The following stages move.
    drop : In(drop_signature(tag_bits))
        Inference whose rest is to be dropped.
    reload : In(1)
        Start over with new weights; allowed only while not ``busy``.
    busy : Out(1)
        High in the middle of a token, and during the passes that run after reset and ``reload``.
    takes_event : Out(1)
        With external weights: an event is taken in this cycle.
    """

    issue: IssueInterface
    free: Signal
    drop: DropInterface
    reload: Signal
    busy: Signal
    takes_event: Signal

    def __init__(self, spec: CoreSpec):
        self._spec = spec
        names = [f"events{place}" for place in range(len(spec.inputs))]
        super().__init__({
            **{name: In(input_stream(one)) for name, one in zip(names, spec.inputs, strict=True)},
            "issue": Out(issue_signature(
                passes=len(spec.microcode.passes), plan=spec.plan, words=spec.memory.depth,
                value=value_shape(spec.layouts), falls=fall_steps(spec), pairs=spec.pairs,
                parity=spec.parity)),
            "free": In(1), "drop": In(drop_signature(spec.tag_bits)), "reload": In(1), "busy": Out(1),
            **({"takes_event": Out(1)} if spec.fetching else {}),
        })
        self.streams: list[stream.Interface] = [getattr(self, name) for name in names]

    @property
    def spec(self) -> CoreSpec:
        """The core that it belongs to."""
        return self._spec

    def elaborate(self, platform):
        m = Module()
        spec, issue, free, code = self._spec, self.issue, self.free, self._spec.microcode
        starts = len(code.start)
        first = 0 if code.pools else starts  # after reset, the passes of a pool clear the sums
        boot, opening, starting, fresh = (
            Signal(name=name, init=1) for name in ("boot", "opening", "starting", "fresh"))
        runs = Signal()
        position = Signal(range(starts + max(len(code.step), len(code.final))), init=first)
        take, marker, final, skip, dropped = (
            Signal(name=name) for name in ("take", "marker", "final", "skip", "dropped"))
        token = self._token_at_hand(m, starting=starting, take=take, dropped=dropped, opening=opening)
        idle = ~token.marker & (token.idle | ((token.value == 0) & spec.plan.bit_serial))
        token_final = token.marker & token.final
        m.d.comb += [
            self.busy.eq(boot | ~starting), marker.eq(boot | token.marker), final.eq(boot | token_final),
            skip.eq(dropped & starting & ~token_final),
        ]
        last_pass = self._number_pass(m, position, marker=marker, final=final)
        last_of_token = self._is_last(position, marker=token.marker, final=token_final)
        value, done = token.value, None
        if spec.plan.bit_serial:
            value, done = self._next_bit(m, token.value, marker, last_pass)
            last_of_token = last_pass
        m.d.comb += issue.value.eq(Mux(marker, 1, value))
        pass_ends, found = self._walk(m, token, marker=~runs | token.marker, step=runs & token.marker & ~token.final,
                                      last_pass=last_pass, fresh=fresh)
        waits = (marker & ~found) | self._waits(m, active=boot | token.valid, marker=marker, starting=starting)
        m.d.comb += issue.valid.eq((boot | (token.valid & ~skip & ~idle)) & free & ~waits)

        # The path to the stream is a short one: without a valid token, ready does not matter, and boot comes last.
        m.d.comb += take.eq(~boot & free & (skip | idle | (pass_ends & last_of_token & ~waits)))
        with m.If(issue.valid):
            m.d.sync += [fresh.eq(pass_ends), starting.eq(pass_ends & last_pass)]
            if done is not None:
                with m.If(pass_ends & ~marker):
                    m.d.sync += done.eq(Mux(last_pass, 0, done | value))
        with m.If(issue.valid & pass_ends & marker):
            restart = 0 if code.recurs else Mux(final, 0, starts)
            m.d.sync += [position.eq(Mux(last_pass, restart, position + 1)), opening.eq(Mux(last_pass, final, opening))]
        with m.If(boot & free & ~waits & pass_ends & (position == starts + len(code.final) - 1)):
            m.d.sync += [boot.eq(0), runs.eq(1)]
        with m.If(self.reload):
            m.d.sync += [boot.eq(1), runs.eq(0), position.eq(first)]
        if fall_steps(spec):
            with m.If(token.valid & take & marker):
                m.d.sync += issue.step.eq(Mux(final, 0, issue.step + 1))
        self._track_drop(m, dropped, ends=token.valid & take & final)
        masked = Signal()
        with m.If(free & starting):
            m.d.sync += masked.eq(dropped)
        m.d.comb += [
            issue.captures.eq(marker & (position == starts) & ~boot), issue.final.eq(final),
            issue.masked.eq(Mux(starting, dropped, masked)),
        ]
        if spec.parity:
            m.d.comb += issue.known.eq(~boot | (position > starts))
        if spec.fetching:
            m.d.comb += self.takes_event.eq(token.valid & take & ~token.marker)
        return m

    def _token_at_hand(self, m: Module, *, starting: Value, take: Value, dropped: Value, opening: Value) -> _Token:
        """Return the current token: from the only stream, undecoded or decoded, or chosen among several."""
        spec = self._spec
        if len(spec.inputs) == 1 and spec.inputs[0].walk.x is None:
            events, token = self.streams[0], self.streams[0].payload
            m.d.comb += events.ready.eq(take)
            return _Token(valid=events.valid, marker=token.marker, final=token.final, idle=Const(0), value=token.value,
                          choice=Const(0), heads=())
        decoders = []
        for place, outside in enumerate(self.streams):
            m.submodules[f"decoder{place}"] = decoder = TokenDecoder(spec, place)
            connect(m, flipped(outside), decoder.events)
            decoders.append(decoder)
        heads = [decoder.head for decoder in decoders]
        # During the first step, the layer's own events still belong to the previous inference.
        idles = [head.misses | opening if one.recurrent else head.misses
                 for head, one in zip(heads, spec.inputs, strict=True)]
        if len(heads) == 1:
            m.d.comb += decoders[0].taken.eq(take)
            return _Token(valid=heads[0].valid, marker=heads[0].marker, final=heads[0].final, idle=idles[0],
                          value=heads[0].value, choice=Const(0), heads=(heads[0],))
        choice, found, all_markers = self._choose(m, heads, starting=starting, dropped=dropped)
        for place, decoder in enumerate(decoders):
            m.d.comb += decoder.taken.eq(take & (all_markers | (found & (choice == place))))
        return _Token(
            valid=found | all_markers, marker=all_markers, final=heads[0].final, idle=Array(idles)[choice],
            value=Array(head.value for head in heads)[choice], choice=choice,
            heads=tuple(heads))

    def _choose(self, m: Module, heads: list, *, starting: Value, dropped: Value) -> tuple[Signal, Signal, Signal]:
        """Choose the stream whose event is taken; events come before markers.

        Returns the number of the stream, whether there is an event, and whether the markers of all streams are taken
        instead. Step markers of a dropped inference are taken like events, except those of the layer's own stream.
        """
        picks = [
            head.valid & (~head.marker | (Const(not one.recurrent) & dropped & ~head.final))
            for head, one in zip(heads, self._spec.inputs, strict=True)
        ]
        choice, kept = Signal(range(len(heads))), Signal(range(len(heads)))
        found, all_markers, kept_marker = Signal(), Signal(), Signal()
        with m.If(starting):
            m.d.comb += [found.eq(Cat(picks).any()),
                         all_markers.eq(~found & Cat(head.valid & head.marker for head in heads).all())]
            for place in reversed(range(len(heads))):
                with m.If(picks[place]):
                    m.d.comb += choice.eq(place)
            with m.If(self.free):
                m.d.sync += [kept.eq(choice), kept_marker.eq(all_markers)]
        with m.Else():
            m.d.comb += [choice.eq(kept), all_markers.eq(kept_marker), found.eq(~kept_marker)]
        return choice, found, all_markers

    def _number_pass(self, m: Module, position: Signal, *, marker: Value, final: Value) -> Signal:
        """Drive the number of the current pass; return whether it is the last of its token."""
        code, number, last_pass = self._spec.microcode, self.issue.number, Signal()
        starts, steps = len(code.start), len(code.step)
        with m.If(final):
            m.d.comb += number.eq(1 + steps + position)
        with m.Elif(marker):
            m.d.comb += number.eq(1 + position)
        if starts:
            with m.If(marker & (position < starts)):
                m.d.comb += number.eq(1 + position)
        m.d.comb += last_pass.eq(self._is_last(position, marker=marker, final=final))
        return last_pass

    def _is_last(self, position: Signal, *, marker: Value, final: Value) -> Value:
        """Return whether the pass at a position is the last of a token."""
        starts, steps, finals = (len(ops) for ops in (
            self._spec.microcode.start, self._spec.microcode.step, self._spec.microcode.final))
        last = Mux(final, position == starts + finals - 1, ~marker | (position == starts + steps - 1))
        return last & ~(marker & (position < starts)) if starts else last

    def _next_bit(self, m: Module, value: Value, marker: Value, last_pass: Signal) -> tuple[Value, Signal]:
        """Return the lowest bit of an event's value whose walk is not done, and the register of those that are done."""
        done, rest = Signal.like(value, name="done"), Signal.like(value, name="rest")
        m.d.comb += rest.eq(value & ~done)
        with m.If(~marker):
            m.d.comb += last_pass.eq(at_most_one(rest))
        return without_lowest(rest) ^ rest, done

    def _walk(
        self, m: Module, token: _Token, *, marker: Value, step: Value, last_pass: Value, fresh: Value,
    ) -> tuple[Value, Value]:
        """Drive row and word; return whether the row is the last of its pass, and whether a marker's row is found."""
        issue, found = self.issue, Const(1)
        if not token.heads:
            m.submodules.walk = walk = VectorWalk(self._spec)
            given = self.streams[0].payload
            m.d.comb += [walk.address.eq(given.buffer if self._spec.fetching else given.address),
                         issue.group.eq(walk.row)]
            if self._spec.pairs:
                second = self.streams[0].payload.second
                m.d.comb += [
                    walk.second_address.eq(second.address), issue.second_word.eq(walk.second_word),
                    issue.second.eq(second.valid & ~marker), issue.second_value.eq(second.value),
                ]
        else:
            m.submodules.walk = walk = MapWalk(self._spec)
            m.d.comb += [walk.choice.eq(token.choice), walk.fresh.eq(fresh), issue.group.eq(walk.group)]
            if len(token.heads) == 1:
                m.d.comb += walk.head.eq(token.heads[0])
            else:
                for field in walk.head.shape().members:
                    if field not in ("valid", "marker", "final", "misses", "value"):
                        given = Array(Value.cast(head[field]) for head in token.heads)
                        m.d.comb += Value.cast(walk.head[field]).eq(given[token.choice])
            if self._spec.plan.bank_count > 1:
                m.d.comb += [issue.bank_rows.eq(walk.bank_rows), issue.reached.eq(walk.reached),
                             issue.edges.eq(walk.edges)]
            m.d.comb += [getattr(issue, name).eq(Mux(issue.valid, getattr(walk, name), 0))
                         for name in turns(self._spec.plan)]
            if self._spec.plan.sum_rows:
                m.d.comb += [issue.sum_row.eq(walk.sum_row), issue.clears.eq(walk.clears)]
            if self._spec.plan.options.skips:
                m.d.comb += [walk.skips.eq(step), walk.last_pass.eq(last_pass), issue.tile.eq(walk.tile),
                             issue.last.eq(walk.ends)]
                found = walk.found
        m.d.comb += [walk.marker.eq(marker), walk.number.eq(issue.number), walk.step.eq(issue.valid),
                     issue.row.eq(walk.row), issue.word.eq(walk.word)]
        return walk.ends, found

    def _waits(self, m: Module, *, active: Value, marker: Value, starting: Value) -> Value:
        """Return whether the current row waits: for an operand being written, or for a row in the following stages."""
        spec, issue, plan, waits = self._spec, self.issue, self._spec.plan, Const(0)
        settling = [number for number, op in enumerate(spec.microcode.passes) if op.settle]
        if settling and plan.in_one_row:
            settled, settles = Signal(), Cat(issue.number == number for number in settling).any()
            with m.If(self.free):
                m.d.sync += settled.eq(settles & ~settled & active)
            waits = settles & ~settled
        if spec.plan.scattered:
            # If sums are forwarded, rows of events need not be compared, and a marker's are the same in all banks.
            banks, walk = 1 if plan.forwards else plan.bank_count, m.submodules.walk
            late = "choices" in walk.signature.members  # the current row is the end of a long path
            m.submodules.scoreboard = board = Scoreboard(
                rows=plan.walk_rows, forwards=plan.forwards, drains=plan.sum_rows > 0, banks=banks,
                stages=spec.row_cycles - 1, choices=len(walk.choices) if late else 0)
            if late:
                m.d.comb += [board.choices.eq(walk.choices), board.chosen.eq(walk.chosen)]
            if banks > 1:
                m.d.comb += [board.rows.eq(issue.bank_rows), board.reached.eq(issue.reached)]
            else:
                row = Mux(marker, issue.row, issue.sum_row) if plan.sum_rows else issue.row
                m.d.comb += [board.rows[0].eq(row), board.reached.eq(1)]
            m.d.comb += [board.enters.eq(issue.valid), board.free.eq(self.free), board.marker.eq(marker),
                         board.starting.eq(starting)]
            waits = waits | board.waits
        return waits

    def _track_drop(self, m: Module, dropped: Signal, *, ends: Value) -> None:
        """Count inferences, and remember whether the current one is to be dropped.

        The comparison is registered, so that no long path goes through counter and comparator; it is without effect
        where it still belongs to an inference that has ended. The cycle of delay is harmless: ``drop`` cannot name the
        next inference that soon.
        """
        tag, ended = Signal(self._spec.tag_bits), Signal()
        m.d.sync += [
            ended.eq(ends), tag.eq(tag + ended),
            dropped.eq(self.drop.valid & (self.drop.tag == tag) & ~ended & ~ends),
        ]
