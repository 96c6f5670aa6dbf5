# SPDX-License-Identifier: MIT
"""UART: what the transmitter is given, the receiver offers, octet for octet."""

from amaranth.hdl import Module, Signal
from firstspike_hw.link.uart import DIVISOR_MIN, UartReceiver, UartTransmitter
from proof import Fault, Proof

_UNIT = "firstspike_hw.link.uart"


class UartProof(Proof):
    unit = "UART, from pin to pin"
    cycles = 12 * DIVISOR_MIN
    faults = {
        "the octet that was sent is received": Fault(
            module=_UNIT, find="shift.eq(Cat(shift[1:], vote))", replace="shift.eq(Cat(shift[1:], level))"),
        "an octet is received before its stop bit is over": Fault(
            module=_UNIT, find="timer.eq(self._divisor // 2)", replace="timer.eq(self._divisor + 3)"),
        "a frame takes ten bits": Fault(module=_UNIT, find="left.eq(_BITS + 1)", replace="left.eq(_BITS)"),
    }

    def build(self, m: Module) -> None:
        m.submodules.sends = sends = UartTransmitter(divisor=DIVISOR_MIN)
        m.submodules.receives = receives = UartReceiver(divisor=DIVISOR_MIN)
        given, found = sends.octets, receives.octets
        self.offer(given, "octets")
        m.d.comb += [found.ready.eq(1), receives.pin.eq(sends.pin)]
        taken, kept, waits = given.valid & given.ready, Signal(8), Signal()
        age = Signal(range(20 * DIVISOR_MIN))
        m.d.sync += age.eq(age + 1)
        with m.If(taken):
            m.d.sync += [kept.eq(given.payload), waits.eq(1), age.eq(0)]
        with m.Elif(found.valid):
            m.d.sync += waits.eq(0)
        self.hold("the octet that was sent is received", ~found.valid | (waits & (found.payload == kept)))
        self.hold("an octet is received before its stop bit is over", ~(waits & (age == 10 * DIVISOR_MIN - 1)))
        self.hold("a frame takes ten bits", ~waits | (given.ready == (age >= 10 * DIVISOR_MIN - 1)))
