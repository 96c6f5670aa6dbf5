# SPDX-License-Identifier: MIT
"""Placed memory: the external memory of an accelerator, at an address of a memory on AXI."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from firstspike_arch.external import ANSWER_CYCLES
from firstspike_arch.memory_image import ALIGNMENT

from ..beat_streams import request_stream, response_stream
from .read_master import AxiReadInterface, ReadMaster, axi_read

__all__ = ["BASE_SHIFT", "BUS_ADDRESS_BITS", "PlacedMemory"]

BUS_ADDRESS_BITS = 40
"""Bits of an address on the bus: those of a Zynq UltraScale+; interconnects leave out what a smaller memory lacks."""

BASE_SHIFT = (ALIGNMENT - 1).bit_length()
"""Low bits of the address at which an image lies, which are 0."""

BURSTS = 8
"""Bursts under way: of 16 beats, they hide 108 cycles of a memory's latency. HP ports of a Zynq take as many."""

TIMEOUT = ANSWER_CYCLES // 2
"""Cycles until a silent memory is dead: before weight fetchers take it for dead, so that they get errors."""


class PlacedMemory(wiring.Component):
    """Adds ``base`` to the address of every request, and reads over AXI (`ReadMaster`). Requests wait until ``open``.

    Latency and throughput: as of a `ReadMaster`, of 16 beats a burst and `BURSTS` of them.

    Parameters
    ----------
    data_bits : int
        Bits of a beat: 32, 64 or 128.
    timeout : int
        Cycles until a silent memory is dead.

    Members
    -------
    requests : In(request_stream()), responses : Out(response_stream(data_bits))
    base : In(BUS_ADDRESS_BITS − BASE_SHIFT)
        Address of the image, without its low bits. It changes only while nothing is asked for.
    open : In(1)
        There is an image at ``base``.
    dead, failed : Out(1)
        As of a `ReadMaster`.
    bus : Out(axi_read(BUS_ADDRESS_BITS, data_bits))
    """

    requests: stream.Interface
    responses: stream.Interface
    base: Signal
    open: Signal
    dead: Signal
    failed: Signal
    bus: AxiReadInterface

    def __init__(self, *, data_bits: int, timeout: int = TIMEOUT):
        self._master = ReadMaster(address_bits=BUS_ADDRESS_BITS, data_bits=data_bits, outstanding=BURSTS,
                                  timeout=timeout)
        super().__init__({
            "requests": In(request_stream()), "responses": Out(response_stream(data_bits)),
            "base": In(BUS_ADDRESS_BITS - BASE_SHIFT), "open": In(1), "dead": Out(1), "failed": Out(1),
            "bus": Out(axi_read(BUS_ADDRESS_BITS, data_bits)),
        })

    @property
    def data_bits(self) -> int:
        """Bits of a beat."""
        return self._master.data_bits

    @property
    def timeout(self) -> int:
        """Cycles until a silent memory is dead."""
        return self._master.timeout

    def elaborate(self, platform):
        m = Module()
        m.submodules.master = master = self._master
        request, placed = self.requests.payload, master.requests.payload
        m.d.comb += [
            placed.beats.eq(request.beats),
            # The sum stays below 2^BUS_ADDRESS_BITS: the host has the image within the memory.
            placed.address.eq(Cat(request.address[:BASE_SHIFT], (self.base + request.address[BASE_SHIFT:])[
                :len(self.base)])),
            master.requests.valid.eq(self.requests.valid & self.open),
            self.requests.ready.eq(master.requests.ready & self.open),
            self.dead.eq(master.dead), self.failed.eq(master.failed),
        ]
        connect(m, master.responses, flipped(self.responses))
        connect(m, master.bus, flipped(self.bus))
        return m
