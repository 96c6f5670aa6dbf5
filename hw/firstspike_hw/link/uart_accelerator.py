# SPDX-License-Identifier: MIT
"""The linked accelerator behind the two pins of a UART: a whole board but for its clock."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from .linked_accelerator import LinkedAccelerator
from .uart import UartReceiver, UartTransmitter

__all__ = ["UartAccelerator"]


class UartAccelerator(wiring.Component):
    """`LinkedAccelerator` between `UartReceiver` and `UartTransmitter`.

    Parameters
    ----------
    linked : LinkedAccelerator
    divisor : int
        Cycles a bit.

    Members
    -------
    rx : In(1, init=1), tx : Out(1, init=1)
        Pins, as the device sees them.
    busy, fault : Out(1)
    """

    def __init__(self, linked: LinkedAccelerator, *, divisor: int):
        self._linked = linked
        self._receiver, self._transmitter = UartReceiver(divisor=divisor), UartTransmitter(divisor=divisor)
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), "busy": Out(1), "fault": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver, m.submodules.transmitter = self._receiver, self._transmitter
        m.submodules.linked = linked = self._linked
        connect(m, self._receiver.octets, linked.rx)
        connect(m, linked.tx, self._transmitter.octets)
        m.d.comb += [
            self._receiver.pin.eq(self.rx), self.tx.eq(self._transmitter.pin), self.busy.eq(linked.busy),
            self.fault.eq(linked.fault),
        ]
        return m
