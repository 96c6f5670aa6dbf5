# SPDX-License-Identifier: MIT
"""Linked accelerator behind the pins of an SPI peripheral: everything of a board except its clock."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..beat_streams import MemoryInterface
from .idle_pin import idle_high
from .linked_accelerator import LinkedAccelerator, memory_member
from .spi import SpiPeripheral

__all__ = ["SpiAccelerator"]


class SpiAccelerator(wiring.Component):
    """Connects a `LinkedAccelerator` to an `SpiPeripheral`.

    Adds no latency to that of the two.

    Parameters
    ----------
    linked : LinkedAccelerator

    Members
    -------
    sck, copi : In(1), cs_n : In(1, init=1), cipo : Out(1), selected : Out(1)
        Pins of the `SpiPeripheral`.
    busy, fault : Out(1)
        The same outputs of the `LinkedAccelerator`.
    memory : Out(memory_signature(config.beat_bits))
        Likewise; only with external weights.
    """

    sck: Signal
    copi: Signal
    cs_n: Signal
    cipo: Signal
    selected: Signal
    busy: Signal
    fault: Signal
    memory: MemoryInterface

    def __init__(self, linked: LinkedAccelerator):
        self._linked, self._peripheral = linked, SpiPeripheral()
        super().__init__({
            "sck": In(1), "copi": In(1), "cs_n": idle_high(In), "cipo": Out(1), "selected": Out(1), "busy": Out(1),
            "fault": Out(1), **memory_member(linked.program),
        })

    @property
    def linked(self) -> LinkedAccelerator:
        """The accelerator behind the pins."""
        return self._linked

    def elaborate(self, platform):
        m = Module()
        m.submodules.peripheral = peripheral = self._peripheral
        m.submodules.linked = linked = self._linked
        if linked.program.external:
            connect(m, linked.memory, flipped(self.memory))
        connect(m, peripheral.received, linked.rx)
        connect(m, linked.tx, peripheral.sent)
        m.d.comb += [
            peripheral.sck.eq(self.sck), peripheral.copi.eq(self.copi), peripheral.cs_n.eq(self.cs_n),
            self.cipo.eq(peripheral.cipo), self.selected.eq(peripheral.selected), self.busy.eq(linked.busy),
            self.fault.eq(linked.fault),
        ]
        return m
