# SPDX-License-Identifier: MIT
"""Linked accelerator behind the two pins of a UART: everything of a board except its clock."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..beat_streams import MemoryInterface
from .idle_pin import idle_high
from .linked_accelerator import LinkedAccelerator, memory_member
from .uart import UartReceiver, UartTransmitter

__all__ = ["UartAccelerator"]


class UartAccelerator(wiring.Component):
    """Connects a `LinkedAccelerator` to a `UartReceiver` and a `UartTransmitter`.

    Adds no latency to that of the three.

    Parameters
    ----------
    linked : LinkedAccelerator
    divisor : int
        Clock cycles per bit.

    Members
    -------
    rx : In(1, init=1), tx : Out(1, init=1)
        Pins: ``rx`` is the device's input, ``tx`` its output.
    busy, fault : Out(1)
        The same outputs of the `LinkedAccelerator`.
    memory : Out(memory_signature(config.beat_bits))
        Likewise; only with external weights.
    """

    rx: Signal
    tx: Signal
    busy: Signal
    fault: Signal
    memory: MemoryInterface

    def __init__(self, linked: LinkedAccelerator, *, divisor: int):
        self._linked = linked
        self._receiver, self._transmitter = UartReceiver(divisor=divisor), UartTransmitter(divisor=divisor)
        super().__init__({
            "rx": idle_high(In), "tx": idle_high(Out), "busy": Out(1), "fault": Out(1),
            **memory_member(linked.program),
        })

    @property
    def linked(self) -> LinkedAccelerator:
        """The accelerator behind the pins."""
        return self._linked

    @property
    def divisor(self) -> int:
        """Clock cycles per bit."""
        return self._receiver.divisor

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver, m.submodules.transmitter = self._receiver, self._transmitter
        m.submodules.linked = linked = self._linked
        if linked.program.external:
            connect(m, linked.memory, flipped(self.memory))
        connect(m, self._receiver.octets, linked.rx)
        connect(m, linked.tx, self._transmitter.octets)
        m.d.comb += [
            self._receiver.pin.eq(self.rx), self.tx.eq(self._transmitter.pin), self.busy.eq(linked.busy),
            self.fault.eq(linked.fault),
        ]
        return m
