# SPDX-License-Identifier: MIT
"""Memory port: the requests of several cores as one stream, and the answers to each."""

from amaranth.hdl import Array, Cat, Const, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from .beat_streams import request_stream, response_stream

__all__ = ["MemoryPort"]


class MemoryPort(wiring.Component):
    """Takes a request a cycle into a register, of several the last core's, and sends each answer to who asked.

    Latency: a request taken in cycle c is offered in c + 1; a beat passes in the same cycle.

    Parameters
    ----------
    outstanding : sequence of int
        Requests that each core has unanswered at most.
    beat_bits : int

    Members
    -------
    asks0, asks1, … : In(request_stream()), answers0, answers1, … : Out(response_stream(beat_bits))
        Streams of each core.
    requests : Out(request_stream()), responses : In(response_stream(beat_bits))
        Streams of the memory, which answers requests in order.
    """

    requests: stream.Interface
    responses: stream.Interface

    def __init__(self, outstanding: list[int], beat_bits: int):
        if not outstanding:
            raise ValueError("outstanding must be that of one core or more, not none")
        self._outstanding = list(outstanding)
        cores = range(len(outstanding))
        super().__init__({
            **{f"asks{core}": In(request_stream()) for core in cores},
            **{f"answers{core}": Out(response_stream(beat_bits)) for core in cores},
            "requests": Out(request_stream()), "responses": In(response_stream(beat_bits)),
        })
        self.asks: list[stream.Interface] = [getattr(self, f"asks{core}") for core in cores]
        self.answers: list[stream.Interface] = [getattr(self, f"answers{core}") for core in cores]

    def elaborate(self, platform):
        m = Module()
        count, request, answer = len(self.asks), self.requests, self.responses
        room, chosen, found = Signal(), Signal(range(max(2, count))), Signal()
        m.d.comb += [room.eq(~request.valid | request.ready), found.eq(Cat(one.valid for one in self.asks).any())]
        for core, one in enumerate(self.asks):  # the last that asks
            with m.If(one.valid):
                m.d.comb += chosen.eq(core)
            m.d.comb += one.ready.eq(room & (chosen == core))
        with m.If(room):
            m.d.sync += [request.valid.eq(found), request.payload.eq(Array(one.payload for one in self.asks)[chosen])]
        who: Value = Const(0)
        known: Value = Const(1)
        if count > 1:
            # Room for all requests that can be unanswered, so that it is never full.
            m.submodules.askers = askers = SyncFIFO(width=len(chosen), depth=sum(self._outstanding))
            who, known = askers.r_data, askers.r_rdy
            m.d.comb += [askers.w_data.eq(chosen), askers.w_en.eq(room & found),
                         askers.r_en.eq(answer.valid & answer.ready & answer.payload.last)]
        for core, one in enumerate(self.answers):
            m.d.comb += [one.valid.eq(answer.valid & known & (who == core)), one.payload.eq(answer.payload)]
        m.d.comb += answer.ready.eq(known & Array(one.ready for one in self.answers)[who])
        return m
