# SPDX-License-Identifier: MIT
"""UART: what the transmitter is given, the receiver offers, octet for octet."""

from typing import ClassVar

from amaranth.hdl import Module, Signal
from firstspike_hw.link.uart import DIVISOR_MIN, UartReceiver, UartTransmitter
from proof import Fault, Proof

_UNIT = "firstspike_hw.link.uart"


class UartProof(Proof):
    unit = "UART, from pin to pin"
    cycles = 11 * DIVISOR_MIN
    faults: ClassVar = {
        "all leave in order, as they came": Fault(
            module=_UNIT, find="shift.eq(Cat(shift[1:], vote))", replace="shift.eq(Cat(vote, shift[:-1]))"),
        "nothing leaves that did not come": Fault(
            module=_UNIT, find="with m.If(self.octets.ready):\n            m.d.sync += self.octets.valid.eq(0)",
            replace="with m.If(~self.octets.ready):\n            m.d.sync += self.octets.valid.eq(0)"),
        "an octet is received by the end of its stop bit, and the synchroniser's delay": Fault(
            module=_UNIT, find="timer.eq(self._divisor // 2)", replace="timer.eq(self._divisor + 3)"),
        "the next octet is taken ten bits later": Fault(
            module=_UNIT, find="left.eq(_BITS + 1)", replace="left.eq(_BITS)"),
    }

    def build(self, m: Module) -> None:
        m.submodules.sends = sends = UartTransmitter(divisor=DIVISOR_MIN)
        m.submodules.receives = receives = UartReceiver(divisor=DIVISOR_MIN)
        given, found = sends.octets, receives.octets
        self.offer(given, "octets")
        m.d.comb += [found.ready.eq(1), receives.pin.eq(sends.pin)]
        taken, age, some = given.valid & given.ready, Signal(range(10 * DIVISOR_MIN + 1)), Signal()
        with m.If(taken):
            m.d.sync += [age.eq(0), some.eq(1)]
        with m.Elif(age < 10 * DIVISOR_MIN):
            m.d.sync += age.eq(age + 1)
        inside = self.hold_order(enters=taken, given=given.payload, leaves=found, room=2, limits=False)
        self.hold_soon("an octet is received by the end of its stop bit, and the synchroniser's delay",
                       (inside != 0) & ~found.valid, 10 * DIVISOR_MIN + 2)
        self.hold("the next octet is taken ten bits later",
                  given.ready == (~some | (age >= 10 * DIVISOR_MIN - 1)))
