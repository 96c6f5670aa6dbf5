# SPDX-License-Identifier: MIT
"""The linked accelerator behind the pins of an SPI peripheral: a whole board but for its clock."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from .linked_accelerator import LinkedAccelerator
from .spi import SpiPeripheral

__all__ = ["SpiAccelerator"]


class SpiAccelerator(wiring.Component):
    """`LinkedAccelerator` behind an `SpiPeripheral`.

    Parameters
    ----------
    linked : LinkedAccelerator

    Members
    -------
    sck, copi : In(1), cs_n : In(1, init=1), cipo : Out(1), selected : Out(1)
        Of `SpiPeripheral`.
    busy, fault : Out(1)
    """

    def __init__(self, linked: LinkedAccelerator):
        self._linked, self._peripheral = linked, SpiPeripheral()
        super().__init__({
            "sck": In(1), "copi": In(1), "cs_n": In(1, init=1), "cipo": Out(1), "selected": Out(1), "busy": Out(1),
            "fault": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.peripheral = peripheral = self._peripheral
        m.submodules.linked = linked = self._linked
        connect(m, peripheral.received, linked.rx)
        connect(m, linked.tx, peripheral.sent)
        m.d.comb += [
            peripheral.sck.eq(self.sck), peripheral.copi.eq(self.copi), peripheral.cs_n.eq(self.cs_n),
            self.cipo.eq(peripheral.cipo), self.selected.eq(peripheral.selected), self.busy.eq(linked.busy),
            self.fault.eq(linked.fault),
        ]
        return m
