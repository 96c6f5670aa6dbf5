# SPDX-License-Identifier: MIT
"""Weight fetcher: fetches the weights of events from an external memory into buffers, ahead of the core."""

from typing import Any

from amaranth.hdl import Array, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out, connect, flipped
from firstspike_arch.core_spec import CoreSpec
from firstspike_arch.external import ANSWER_CYCLES, QUEUE_TOKENS, Fetching

from .beat_streams import request_stream, response_stream
from .stream_buffer import StreamBuffer
from .stream_token import input_stream, token_stream
from .weight_fill import FillInterface, fill_signature

__all__ = ["WeightFetcher"]


class WeightFetcher(wiring.Component):
    """Passes tokens on once the weights of their events are in a buffer of the core's weight memory.

    A run of events of one slice (`Fetching`) without a marker or another slice in between takes one buffer; the first
    of them sends the request. Buffers are taken in turn, and filled and emptied in that order.

    Throughput: a token a cycle is taken into a queue of `QUEUE_TOKENS`. The first event of a run waits until a buffer
    is free and the request before it has been taken. It asks in the cycle after it was taken. A beat taken in cycle c
    is written in c + 1. A token leaves the queue, for a stream buffer in front of the core, in the second cycle after
    it was taken or later, in order: an event from the second cycle after the last beat of its buffer was taken. A
    buffer is free in the second cycle after both its last event is ``done`` and the token that follows its run, a
    marker or an event of another slice, was taken.

    A slice of which a beat has an ``error`` is used as it came, so that inferences end as ever, and counted as a
    ``fault``. So is a memory that sends no beat for ``answer_cycles`` while some are asked for: all buffers then count
    as filled, and, until what was asked for has come, the buffers of new runs, too, without a request, each as a fault.

    Parameters
    ----------
    spec : CoreSpec
        A core with external weights.
    answer_cycles : int
        Cycles after which the memory is taken for dead; None: `ANSWER_CYCLES`.

    Members
    -------
    events : In(token_stream(fetching.layout))
        Stream, in which the events of a slice come one after the other in each step.
    fetched : Out(input_stream(spec.inputs[0]))
        The same, each event with the number of its ``buffer``.
    done : In(1)
        The core has read the weights of the next event.
    requests : Out(request_stream()), responses : In(response_stream(beat_bits))
        Streams to and from the memory.
    fill : Out(fill_signature(fetching, words))
        Writes to the weight memory.
    pauses : In(1)
        The weight memory is written by another in the next cycle: no beat is taken.
    fault : Out(1)
        A slice was not read as it should, or the memory is dead.
    busy : Out(1)
        Tokens or buffers are in use.
    """

    events: stream.Interface
    fetched: stream.Interface
    done: Signal
    requests: stream.Interface
    responses: stream.Interface
    fill: FillInterface
    pauses: Signal
    fault: Signal
    busy: Signal

    def __init__(self, spec: CoreSpec, *, answer_cycles: int | None = None):
        if spec.fetching is None:
            raise ValueError(f"spec must be a core with external weights, not core {spec.index}")
        self._spec, self._fetching = spec, spec.fetching
        self._answer_cycles = ANSWER_CYCLES if answer_cycles is None else answer_cycles
        super().__init__({
            "events": In(token_stream(spec.fetching.layout)), "fetched": Out(input_stream(spec.inputs[0])),
            "done": In(1), "requests": Out(request_stream()), "responses": In(response_stream(spec.fetching.beat_bits)),
            "fill": Out(fill_signature(spec.fetching, spec.memory.depth)), "pauses": In(1), "fault": Out(1),
            "busy": Out(1),
        })

    @property
    def spec(self) -> CoreSpec:
        """The core that it belongs to."""
        return self._spec

    def elaborate(self, platform):
        m = Module()
        fetching = self._fetching
        count = fetching.buffers
        dead, fires, opens, waiting = Signal(), Signal(), Signal(), Signal(range(count + 1))
        filled, new = Signal(count), Signal(range(count))  # buffers that are filled; the next one that is taken
        used = self._take(m, opens=opens, new=new, blocked=fires, dead=dead, filled=filled)

        # Answers: ``waiting`` requests are unanswered; ``owed`` ones are those of a dead memory.
        answer, taken, ends = self.responses.payload, Signal(), Signal()
        owed = Signal(range(count + 1))
        m.d.comb += [
            self.responses.ready.eq(~self.pauses & ~fires), taken.eq(self.responses.valid & self.responses.ready),
            ends.eq(taken & answer.last), dead.eq(owed != 0),
        ]
        silence = Signal(range(self._answer_cycles + 1))
        m.d.sync += [
            silence.eq(Mux(taken | (waiting == 0) | fires, 0, silence + 1)),
            fires.eq((silence == self._answer_cycles - 1) & ~taken & ~fires),
        ]
        m.d.sync += waiting.eq(waiting + (opens & ~dead) - (ends & ~dead))
        with m.If(dead):
            m.d.sync += owed.eq(owed - ends)
        with m.If(fires):
            m.d.sync += [owed.eq(waiting), waiting.eq(0)]
        written = self._write(m, taken=taken & ~dead, ends=ends & ~dead, restarts=fires | (opens & dead),
                              at=Mux(fires, new, new + 1))
        for buffer in range(count):
            with m.If(fires | (written == buffer)):
                m.d.sync += filled[buffer].eq(1)
            with m.If(opens & (new == buffer)):
                m.d.sync += filled[buffer].eq(dead)
        wrong = Signal()
        with m.If(taken):
            m.d.sync += wrong.eq(~answer.last & (wrong | answer.error))
        m.d.sync += self.fault.eq((ends & ~dead & (wrong | answer.error)) | fires | (opens & dead))
        m.d.comb += self.busy.eq(used)
        return m

    def _take(self, m: Module, *, opens: Signal, new: Signal, blocked: Value, dead: Value, filled: Signal) -> Value:
        """Take tokens into the queue, and pass them on; drive ``opens``, that a run takes buffer ``new``, and requests.

        Returns whether tokens or buffers are in use."""
        fetching, token, request = self._fetching, self.events.payload, self.requests
        count = fetching.buffers
        number: Value = token.address[:fetching.slice_bits]
        run, run_slice, run_buffer = Signal(), Signal(fetching.slice_bits), Signal(range(count))
        used, oldest = Signal(range(count + 1)), Signal(range(count))
        queue = SyncFIFOBuffered(width=len(self.fetched.payload.as_value()), depth=QUEUE_TOKENS)
        m.submodules.queue = queue
        starts, takes, event, frees = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            starts.eq(~token.marker & ~(run & (number == run_slice))),
            self.events.ready.eq(queue.w_rdy & (~starts | (
                (used != count) & (~request.valid | request.ready) & ~blocked))),
            takes.eq(self.events.valid & self.events.ready), event.eq(takes & ~token.marker), opens.eq(takes & starts),
        ]
        entry: Any = Signal(self.fetched.payload.shape())
        m.d.comb += [
            entry.final.eq(token.final), entry.marker.eq(token.marker), entry.value.eq(token.value),
            entry.buffer.eq(Mux(starts, new, run_buffer)), queue.w_data.eq(entry), queue.w_en.eq(takes),
        ]
        if len(self._spec.inputs[0].layout.shape) == 3:  # of a vector, the buffer says it all
            m.d.comb += entry.address.eq(token.address)

        # Events are counted, and the number of the last of each run remembered: they are done in order.
        taken_count = Signal(range(2 * QUEUE_TOKENS))
        done_count, last_number = Signal.like(taken_count), [
            Signal.like(taken_count, name=f"last_number{buffer}") for buffer in range(count)]
        following = Signal.like(taken_count)
        m.d.comb += following.eq(taken_count + 1)
        m.d.sync += done_count.eq(done_count + self.done)
        with m.If(event):
            m.d.sync += [taken_count.eq(following), run.eq(1), run_slice.eq(number), run_buffer.eq(entry.buffer)]
            m.d.sync += Array(last_number)[entry.buffer].eq(following)
        with m.If(takes & token.marker):
            m.d.sync += run.eq(0)
        m.d.comb += frees.eq((used != 0) & (done_count == Array(last_number)[oldest]) & ~(run & (run_buffer == oldest)))
        m.d.sync += [used.eq(used + opens - frees), oldest.eq(oldest + frees), new.eq(new + opens)]
        with m.If(request.ready):
            m.d.sync += request.valid.eq(0)
        with m.If(opens & ~dead):
            m.d.sync += [
                request.valid.eq(1), request.payload.address.eq(fetching.base + number * fetching.octets),
                request.payload.beats.eq(fetching.beats),
            ]
        head: Any = Signal(entry.shape(), name="head")
        m.submodules.buffer = buffer = StreamBuffer(input_stream(self._spec.inputs[0]))
        m.d.comb += [
            head.eq(queue.r_data), buffer.source.payload.eq(head),
            buffer.source.valid.eq(queue.r_rdy & (head.marker | filled.bit_select(head.buffer, 1))),
            queue.r_en.eq(buffer.source.valid & buffer.source.ready),
        ]
        connect(m, buffer.buffered, flipped(self.fetched))
        return (used != 0) | queue.r_rdy

    def _write(self, m: Module, *, taken: Value, ends: Value, restarts: Value, at: Value) -> Value:
        """Write the beats that are taken; ``restarts``: go on with buffer ``at``. Returns the buffer whose last beat is
        written in this cycle, or the number of buffers."""
        fetching: Fetching = self._fetching
        starts = Array(buffer * fetching.stride for buffer in range(fetching.buffers))
        parts = fetching.chunks_of_beats
        buffer, following = Signal(range(fetching.buffers)), Signal(range(fetching.buffers))
        word, part = Signal.like(self.fill.word), Signal(range(len(parts)))
        written = Signal(range(fetching.buffers + 1), init=fetching.buffers)
        masks = Array(Const(sum(1 << chunk for chunk in chunks), len(self.fill.chunks)) for chunks in parts)
        m.d.comb += following.eq(Mux(restarts, at, buffer + 1))
        m.d.sync += [
            self.fill.chunks.eq(Mux(taken, masks[part], 0)), self.fill.word.eq(word),
            self.fill.data.eq(self.responses.payload.data), written.eq(Mux(ends, buffer, fetching.buffers)),
        ]
        with m.If(taken):
            m.d.sync += part.eq(Mux(part == len(parts) - 1, 0, part + 1))
            with m.If(part == len(parts) - 1):
                m.d.sync += word.eq(word + 1)
        with m.If(ends | restarts):
            m.d.sync += [buffer.eq(following), word.eq(starts[following]), part.eq(0)]
        return written

