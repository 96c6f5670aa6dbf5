# SPDX-License-Identifier: MIT
"""AXI4-Lite: one access at a time, reads and writes side by side.

# Ref: Arm IHI 0022 (AMBA AXI), B1: 32-bit registers; strobes that are not supported may be answered with an error.
"""

from typing import Protocol

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..integer_argument import integer_argument
from .registers import Response

__all__ = ["AxiLiteInterface", "AxiLiteSubordinate", "axi_lite"]

_BYTE_BITS = 2
"""Lowest bits of an address, which choose an octet of a register: an access is to all of it."""


class AxiLiteInterface(Protocol):
    """Members of `axi_lite`."""

    awaddr: Signal
    awprot: Signal
    awvalid: Signal
    awready: Signal
    wdata: Signal
    wstrb: Signal
    wvalid: Signal
    wready: Signal
    bresp: Signal
    bvalid: Signal
    bready: Signal
    araddr: Signal
    arprot: Signal
    arvalid: Signal
    arready: Signal
    rdata: Signal
    rresp: Signal
    rvalid: Signal
    rready: Signal
    signature: wiring.Signature


def axi_lite(address_bits: int) -> wiring.Signature:
    """The five channels, with 32 bits of data, as their manager has them."""
    return wiring.Signature({
        "awaddr": Out(address_bits), "awprot": Out(3), "awvalid": Out(1), "awready": In(1),
        "wdata": Out(32), "wstrb": Out(4), "wvalid": Out(1), "wready": In(1),
        "bresp": In(2), "bvalid": In(1), "bready": Out(1),
        "araddr": Out(address_bits), "arprot": Out(3), "arvalid": Out(1), "arready": In(1),
        "rdata": In(32), "rresp": In(2), "rvalid": In(1), "rready": Out(1),
    })


class AxiLiteSubordinate(wiring.Component):
    """Turns bus accesses into accesses to registers: ``valid`` until ``done``, in the same cycle at the earliest.

    An access that is done with ``error``, and a write without all its strobes, which is none, are answered with SLVERR.
    All outputs to the bus come from registers, and no channel waits for another but a response for its request.
    Latency: address and data taken in cycle c, ``valid`` is high from c + 1 on; done in cycle d, the response is there
    from d + 1 on. Throughput: at least three cycles from one write to the next, and from one read to the next.

    Parameters
    ----------
    address_bits : int
        Bits of an octet's address.

    Members
    -------
    bus : In(axi_lite(address_bits))
    write_valid, read_valid : Out(1)
    write_address, read_address : Out(address_bits - 2)
        Number of a register.
    write_data : Out(32), read_data : In(32)
    write_done, write_error, read_done, read_error : In(1)
    """

    bus: AxiLiteInterface
    write_valid: Signal
    write_address: Signal
    write_data: Signal
    write_done: Signal
    write_error: Signal
    read_valid: Signal
    read_address: Signal
    read_data: Signal
    read_done: Signal
    read_error: Signal

    def __init__(self, *, address_bits: int):
        self._address_bits = integer_argument("address_bits", address_bits, _BYTE_BITS + 1)
        words = address_bits - _BYTE_BITS
        super().__init__({
            "bus": In(axi_lite(address_bits)),
            "write_valid": Out(1), "write_address": Out(words), "write_data": Out(32), "write_done": In(1),
            "write_error": In(1), "read_valid": Out(1), "read_address": Out(words), "read_data": In(32),
            "read_done": In(1), "read_error": In(1),
        })

    @property
    def address_bits(self) -> int:
        """Bits of an octet's address."""
        return self._address_bits

    def elaborate(self, platform):
        m = Module()
        bus = self.bus
        addressed, given, whole = Signal(), Signal(), Signal()  # a write's address; its data; with all strobes
        asked = Signal()  # a read's address
        m.d.comb += [
            bus.awready.eq(~addressed), bus.wready.eq(~given), bus.arready.eq(~asked),
            self.write_valid.eq(addressed & given & whole & ~bus.bvalid), self.read_valid.eq(asked & ~bus.rvalid),
        ]
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [addressed.eq(1), self.write_address.eq(bus.awaddr[_BYTE_BITS:])]
        with m.If(bus.wvalid & bus.wready):
            m.d.sync += [given.eq(1), self.write_data.eq(bus.wdata), whole.eq(bus.wstrb.all())]
        with m.If(bus.bvalid & bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        with m.If(addressed & given & ~bus.bvalid & (self.write_done | ~whole)):
            m.d.sync += [addressed.eq(0), given.eq(0), bus.bvalid.eq(1),
                         bus.bresp.eq(Mux(self.write_error | ~whole, Response.SLVERR, Response.OKAY))]

        with m.If(bus.arvalid & bus.arready):
            m.d.sync += [asked.eq(1), self.read_address.eq(bus.araddr[_BYTE_BITS:])]
        with m.If(bus.rvalid & bus.rready):
            m.d.sync += bus.rvalid.eq(0)
        with m.If(self.read_valid & self.read_done):
            m.d.sync += [asked.eq(0), bus.rvalid.eq(1), bus.rdata.eq(Mux(self.read_error, 0, self.read_data)),
                         bus.rresp.eq(Mux(self.read_error, Response.SLVERR, Response.OKAY))]
        return m
