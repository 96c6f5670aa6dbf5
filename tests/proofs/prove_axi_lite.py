# SPDX-License-Identifier: MIT
"""AXI4-Lite subordinate: the rules of the bus, and one answer to each request.

# Ref: Arm IHI 0022 (AMBA AXI), A3.2.1, A3.3.1: a valid stays until ready; a response comes behind its request.
"""

from typing import ClassVar

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from firstspike_hw.axi.axi_lite import AxiLiteInterface, AxiLiteSubordinate
from firstspike_hw.axi.registers import Response
from proof import Fault, Proof

_UNIT = "firstspike_hw.axi.axi_lite"
_BITS = 4


class AxiLiteProof(Proof):
    unit = "AXI4-Lite subordinate"
    faults: ClassVar = {
        "responses stay until they are taken": Fault(
            module=_UNIT, find="with m.If(bus.bvalid & bus.bready):", replace="with m.If(bus.bvalid):"),
        "a write has one response, behind its address and its data": Fault(
            module=_UNIT, find="addressed & given & ~bus.bvalid & (self", replace="addressed & ~bus.bvalid & (self"),
        "a read has one response, behind its address": Fault(
            module=_UNIT, find="with m.If(bus.rvalid & bus.rready):",
            replace="with m.If(bus.rvalid & bus.rready & self.read_valid):"),
        "a write is done once, with its address and data; not without all strobes": Fault(
            module=_UNIT, find="addressed & given & whole & ~bus.bvalid", replace="addressed & given & ~bus.bvalid"),
        "a read gives the register at its address": Fault(
            module=_UNIT, find="self.read_address.eq(bus.araddr[_BYTE_BITS:])]", replace="self.read_address.eq(0)]"),
        "ready waits for nothing but a response": Fault(
            module=_UNIT, find="bus.wready.eq(~given)", replace="bus.wready.eq(addressed & ~given)"),
    }

    def build(self, m: Module) -> None:
        m.submodules.unit = unit = AxiLiteSubordinate(address_bits=_BITS)
        bus = unit.bus
        for name in ("awaddr", "awvalid", "wdata", "wstrb", "wvalid", "bready", "araddr", "arvalid", "rready"):
            m.d.comb += getattr(bus, name).eq(self.free(len(getattr(bus, name)), name))
        for name in ("write_done", "write_error", "read_done", "read_error", "read_data"):
            m.d.comb += getattr(unit, name).eq(self.free(len(getattr(unit, name)), name))
        # As the bus demands it of a manager: what is offered stays.
        for channel, payload in (("aw", bus.awaddr), ("w", Cat(bus.wdata, bus.wstrb)), ("ar", bus.araddr)):
            valid, ready = getattr(bus, f"{channel}valid"), getattr(bus, f"{channel}ready")
            self.assume(~self.past(valid & ~ready) | (valid & (self.past(payload) == payload)))

        for valid, ready, payload in ((bus.bvalid, bus.bready, bus.bresp),
                                      (bus.rvalid, bus.rready, Cat(bus.rdata, bus.rresp))):
            self.hold("responses stay until they are taken",
                      ~self.past(valid & ~ready) | (valid & (self.past(payload) == payload)))
        addressed, given, asked = self._open(m, bus)
        name = "a write has one response, behind its address and its data"
        self.hold(name, ~self._comes(bus.bvalid, bus.bready) | (addressed.some & given.some))
        failed = ~given.strobes.all()
        refused = Signal()  # the response is to be an error
        with m.If(~bus.bvalid):
            m.d.sync += refused.eq(unit.write_error | failed)
        self.hold(name, ~bus.bvalid | (bus.bresp == Mux(refused, Response.SLVERR.value, Response.OKAY.value)))
        done = addressed.left & given.left & ~bus.bvalid & (unit.write_done | failed)
        self.hold(name, ~self.past(done) | bus.bvalid)
        name = "a read has one response, behind its address"
        self.hold(name, ~self._comes(bus.rvalid, bus.rready) | asked.some)
        self.hold(name, ~self.past(unit.read_valid & unit.read_done) | bus.rvalid)
        self.hold("a write is done once, with its address and data; not without all strobes",
                  unit.write_valid == (addressed.left & given.left & ~failed & ~bus.bvalid))
        self.hold("a write is done once, with its address and data; not without all strobes", ~unit.write_valid | (
            (unit.write_address == addressed.address[2:]) & (unit.write_data == given.data)))
        self.hold("a read gives the register at its address",
                  ~unit.read_valid | (asked.left & (unit.read_address == asked.address[2:])))
        answer = Signal(34)
        with m.If(unit.read_valid & unit.read_done):
            m.d.sync += answer.eq(Mux(unit.read_error, Response.SLVERR.value << 32, unit.read_data))
        self.hold("a read gives the register at its address", ~bus.rvalid | (Cat(bus.rdata, bus.rresp) == answer))
        self.hold("ready waits for nothing but a response", bus.awready == ~addressed.left)
        self.hold("ready waits for nothing but a response", bus.wready == ~given.left)
        self.hold("ready waits for nothing but a response", bus.arready == ~asked.left)
        self.hold("ready waits for nothing but a response", unit.read_valid == (asked.left & ~bus.rvalid))

    def _comes(self, valid: Signal, ready: Signal) -> Value:
        """A response is offered for the first time."""
        return valid & (~self.past(valid) | self.past(ready))

    def _open(self, m: Module, bus: AxiLiteInterface) -> list["_Open"]:
        """What was taken of each request channel."""
        found, answered = [], [self._comes(bus.bvalid, bus.bready)] * 2 + [self._comes(bus.rvalid, bus.rready)]
        for name, comes in zip(("aw", "w", "ar"), answered, strict=True):
            one = _Open(name)
            taken = getattr(bus, f"{name}valid") & getattr(bus, f"{name}ready")
            m.d.comb += one.left.eq(one.some & ~comes)
            m.d.sync += one.some.eq(one.left | taken)
            with m.If(taken):
                m.d.sync += ([one.data.eq(bus.wdata), one.strobes.eq(bus.wstrb)] if name == "w"
                             else one.address.eq(getattr(bus, f"{name}addr")))
            found.append(one)
        return found


class _Open:
    """A request of a channel: one has no response yet, before and in this cycle; and the last."""

    def __init__(self, name: str):
        self.some, self.left = Signal(name=f"{name}_some"), Signal(name=f"{name}_left")
        self.address = Signal(_BITS, name=f"{name}_address")
        self.data, self.strobes = Signal(32, name=f"{name}_data"), Signal(4, name=f"{name}_strobes")
