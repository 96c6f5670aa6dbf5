# SPDX-License-Identifier: MIT
"""UART: a pin and a stream of octets; eight bits, lowest first, no parity, one stop bit."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from ..integer_argument import integer_argument
from .idle_pin import idle_high

__all__ = ["DIVISOR_MIN", "UartReceiver", "UartTransmitter"]

DIVISOR_MIN = 8
"""Fewest cycles a bit: fewer leave no room for a clock that is off."""

_BITS = 8


class UartReceiver(wiring.Component):
    """Reads octets from a pin; a bit is what two of three neighbouring samples around its middle are.

    Latency: an octet is offered from the middle of its stop bit on. Throughput: one in 10 · ``divisor`` cycles. One
    whose stop bit is low is dropped, as is one that comes while the one before has not been taken: the frame's CRC says
    so. The sender's clock may be off by 2 % from a ``divisor`` of 8 on, by 3.5 % from 16 on.

    Parameters
    ----------
    divisor : int
        Cycles a bit.

    Members
    -------
    pin : In(1, init=1)
    octets : Out(stream.Signature(8))
    """

    pin: Signal
    octets: stream.Interface

    def __init__(self, *, divisor: int):
        self._divisor = integer_argument("divisor", divisor, DIVISOR_MIN, unit="cycles a bit")
        super().__init__({"pin": idle_high(In), "octets": Out(stream.Signature(8))})

    @property
    def divisor(self) -> int:
        """Cycles a bit."""
        return self._divisor

    def elaborate(self, platform):
        m = Module()
        level, samples = Signal(init=1), Signal(2, init=0b11)
        m.submodules.synchroniser = FFSynchronizer(self.pin, level, init=1)
        m.d.sync += samples.eq(Cat(level, samples[0]))
        vote = (level & samples[0]) | (level & samples[1]) | (samples[0] & samples[1])

        timer, left, shift = Signal(range(self._divisor + self._divisor // 2)), Signal(range(_BITS + 2)), Signal(_BITS)
        with m.If(self.octets.ready):
            m.d.sync += self.octets.valid.eq(0)
        with m.If(left == 0):
            # The vote is on this sample and the two before: it comes one cycle after the middle.
            m.d.sync += timer.eq(self._divisor // 2)
            with m.If(~level):
                m.d.sync += left.eq(_BITS + 2)
        with m.Elif(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Else():
            m.d.sync += [timer.eq(self._divisor - 1), left.eq(left - 1), shift.eq(Cat(shift[1:], vote))]
            with m.If(left == 1):
                m.d.sync += shift.eq(shift)
                with m.If(vote & ~(self.octets.valid & ~self.octets.ready)):
                    m.d.sync += [self.octets.valid.eq(1), self.octets.payload.eq(shift)]
            with m.If((left == _BITS + 2) & vote):
                m.d.sync += left.eq(0)  # no start bit: a glitch
        return m


class UartTransmitter(wiring.Component):
    """Writes octets to a pin.

    Latency: an octet taken in cycle c, its start bit is on the pin from c + 1 on. Throughput: one in 10 · ``divisor``
    cycles; the next is taken in the last cycle of the stop bit.

    Parameters
    ----------
    divisor : int
        Cycles a bit.

    Members
    -------
    octets : In(stream.Signature(8))
    pin : Out(1, init=1)
    """

    octets: stream.Interface
    pin: Signal

    def __init__(self, *, divisor: int):
        self._divisor = integer_argument("divisor", divisor, DIVISOR_MIN, unit="cycles a bit")
        super().__init__({"octets": In(stream.Signature(8)), "pin": idle_high(Out)})

    @property
    def divisor(self) -> int:
        """Cycles a bit."""
        return self._divisor

    def elaborate(self, platform):
        m = Module()
        shift, timer, busy = Signal(_BITS + 1), Signal(range(self._divisor)), Signal()
        left = Signal(range(_BITS + 2))  # bits behind the one on the pin
        m.d.comb += self.octets.ready.eq(~busy | ((left == 0) & (timer == 0)))
        with m.If(self.octets.ready):
            m.d.sync += busy.eq(self.octets.valid)
        with m.If(self.octets.valid & self.octets.ready):
            m.d.sync += [self.pin.eq(0), shift.eq(Cat(self.octets.payload, 1)), left.eq(_BITS + 1),
                         timer.eq(self._divisor - 1)]
        with m.Elif(busy):
            m.d.sync += timer.eq(Mux(timer == 0, self._divisor - 1, timer - 1))
            with m.If((timer == 0) & (left != 0)):
                m.d.sync += [self.pin.eq(shift[0]), shift.eq(Cat(shift[1:], 1)), left.eq(left - 1)]
        return m
