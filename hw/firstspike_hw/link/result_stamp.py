# SPDX-License-Identifier: MIT
"""Result stamp: how long a request has waited for a result."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .frames import STAMP_BYTES

__all__ = ["ResultStamp"]


class ResultStamp(wiring.Component):
    """Counts the cycles from the first word of a request that is taken to each result that is offered.

    Latency: a result offered in cycle c has its stamp from c + 1 on, until it is taken. Throughput: a result every
    second cycle.

    Members
    -------
    starts : In(1)
        No request is carried out: the clock stands at 0.
    word_taken : In(1)
    result_valid, result_taken : In(1)
    stamp : Out(8 * STAMP_BYTES)
    stamped : Out(1)
        ``stamp`` is that of the result that is offered.
    """

    starts: Signal
    word_taken: Signal
    result_valid: Signal
    result_taken: Signal
    stamp: Signal
    stamped: Signal

    def __init__(self):
        super().__init__({
            "starts": In(1), "word_taken": In(1), "result_valid": In(1), "result_taken": In(1),
            "stamp": Out(8 * STAMP_BYTES), "stamped": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        clock, ticking = Signal.like(self.stamp), Signal()
        with m.If(self.starts):
            m.d.sync += [ticking.eq(0), clock.eq(0)]
        with m.Elif(ticking | self.word_taken):
            m.d.sync += [ticking.eq(1), clock.eq(clock + 1)]
        with m.If(self.result_valid & ~self.stamped):
            m.d.sync += [self.stamp.eq(clock), self.stamped.eq(1)]
        with m.Elif(self.result_taken):
            m.d.sync += self.stamped.eq(0)
        return m
