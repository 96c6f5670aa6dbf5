# SPDX-License-Identifier: MIT
"""Arbiter of reads: several units share one memory."""

from typing import Any

from amaranth.hdl import Array, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from ..beat_streams import beat_width, request_stream, response_stream
from ..integer_argument import integer_argument

__all__ = ["ReadArbiter"]


class ReadArbiter(wiring.Component):
    """Passes the requests of several sources on, whole and in turns, and each answer to the source of its request.

    Turns go round robin: of the sources that offer a request, the one that follows the last one is next. Answers come
    in the order in which requests were passed on, so a source that lets its answer wait keeps those of all others back:
    **each source must take its answers without waiting for another source**, or they wait for each other for ever. A
    source that has room for all that it has asked for never breaks this rule.

    Latency: a request that is chosen in cycle c, in which it is taken, is offered in c + 1; an answer passes in the
    cycle in which it comes. Throughput: a request every two cycles, and a beat a cycle.

    Parameters
    ----------
    address_bits, data_bits : int
        Bits of an octet's address, and of a beat.
    sources : int
        Units that read.
    outstanding : int
        Requests that are passed on before the first of them is answered.

    Members
    -------
    requests0, requests1, … : In(request_stream(address_bits))
    responses0, responses1, … : Out(response_stream(data_bits))
        Of each source.
    requests : Out(request_stream(address_bits)), responses : In(response_stream(data_bits))
        Of the memory.
    """

    requests: stream.Interface
    responses: stream.Interface

    def __init__(self, *, address_bits: int, data_bits: int, sources: int, outstanding: int = 8):
        self._address_bits, self._data_bits = address_bits, beat_width(data_bits)
        self._sources = integer_argument("sources", sources, 1, 256)
        self._outstanding = integer_argument("outstanding", outstanding, 1, 256, unit="requests")
        requests, responses = request_stream(address_bits), response_stream(data_bits)
        members: dict[str, Any] = {"requests": Out(requests), "responses": In(responses)}
        for number in range(sources):
            members |= {f"requests{number}": In(requests), f"responses{number}": Out(responses)}
        super().__init__(members)

    @property
    def address_bits(self) -> int:
        """Bits of an octet's address."""
        return self._address_bits

    @property
    def data_bits(self) -> int:
        """Bits of a beat."""
        return self._data_bits

    @property
    def sources(self) -> int:
        """Units that read."""
        return self._sources

    @property
    def outstanding(self) -> int:
        """Requests that are passed on before the first of them is answered."""
        return self._outstanding

    def elaborate(self, platform):
        m = Module()
        count = self._sources
        asking, answered = ([getattr(self, f"{name}{number}") for number in range(count)]
                            for name in ("requests", "responses"))
        m.submodules.owners = owners = SyncFIFO(width=max(1, (count - 1).bit_length()), depth=self._outstanding)
        before, chosen, some = Signal(range(count)), Signal(range(count)), Signal()
        m.d.comb += some.eq(0)
        with m.Switch(before):
            for last in range(count):
                with m.Case(last):
                    for ahead in reversed(range(1, count + 1)):  # the later statement wins: the nearest ahead
                        number = (last + ahead) % count
                        with m.If(asking[number].valid):
                            m.d.comb += [some.eq(1), chosen.eq(number)]
        takes = some & owners.w_rdy & ~self.requests.valid
        m.d.comb += [owners.w_data.eq(chosen), owners.w_en.eq(takes),
                     *(one.ready.eq(takes & (chosen == number)) for number, one in enumerate(asking))]
        with m.If(self.requests.ready):
            m.d.sync += self.requests.valid.eq(0)
        with m.If(takes):
            m.d.sync += [self.requests.valid.eq(1), before.eq(chosen),
                         self.requests.payload.eq(Array(one.payload.as_value() for one in asking)[chosen])]

        ready = Signal()
        for number, one in enumerate(answered):
            mine = owners.r_rdy & (owners.r_data == number)
            m.d.comb += [one.valid.eq(mine & self.responses.valid), one.payload.eq(self.responses.payload)]
            with m.If(mine):
                m.d.comb += ready.eq(one.ready)
        m.d.comb += [self.responses.ready.eq(ready),
                     owners.r_en.eq(self.responses.valid & ready & self.responses.payload.last)]
        return m
