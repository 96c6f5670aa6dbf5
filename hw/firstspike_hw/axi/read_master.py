# SPDX-License-Identifier: MIT
"""AXI4 read master: requests of any number of beats become bursts, and their data a stream of beats.

# Ref: Arm IHI 0022 (AMBA AXI), A3.2.1: a channel's payload stays while valid waits for ready; A3.4.1: bursts of up to
# 256 beats, none across 4 KiB, none ended early; A5.3: transactions of one ID are answered in order.
"""

from typing import Protocol

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO, SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from ..beat_streams import BEATS_BITS, beat_width, is_aligned, request_stream, response_stream
from ..integer_argument import integer_argument

__all__ = ["BURST_MAX", "TIMEOUT", "AxiReadInterface", "ReadMaster", "axi_read"]

BURST_MAX = 256
"""Beats of the longest burst."""

TIMEOUT = 1 << 16
"""Cycles without progress, by default, after which a memory is given up: longer than any calibration or refresh."""

_INCR = 1
"""Value of arburst: addresses go up."""

_MODIFIABLE = 0b0011
"""Value of arcache: ordinary memory, whose bursts an interconnect may cut or join; as Xilinx's manuals advise."""


class AxiReadInterface(Protocol):
    """Members of `axi_read`."""

    arid: Signal
    araddr: Signal
    arlen: Signal
    arsize: Signal
    arburst: Signal
    arcache: Signal
    arprot: Signal
    arvalid: Signal
    arready: Signal
    rid: Signal
    rdata: Signal
    rresp: Signal
    rlast: Signal
    rvalid: Signal
    rready: Signal
    signature: wiring.Signature


def axi_read(address_bits: int, data_bits: int) -> wiring.Signature:
    """Both read channels of AXI4, as their manager has them, with an ID of one bit, which is 0."""
    return wiring.Signature({
        "arid": Out(1), "araddr": Out(address_bits), "arlen": Out(8), "arsize": Out(3), "arburst": Out(2),
        "arcache": Out(4), "arprot": Out(3), "arvalid": Out(1), "arready": In(1),
        "rid": In(1), "rdata": In(data_bits), "rresp": In(2), "rlast": In(1), "rvalid": In(1), "rready": Out(1),
    })


class ReadMaster(wiring.Component):
    """Cuts requests into bursts at multiples of ``burst_beats``, so that none crosses 4 KiB, and streams their data.

    Every burst has room for all its beats in a queue before it is asked for, so that data never waits on the bus for a
    core: ``rready`` is low only while no burst is under way, and behind a request that is refused. An unaligned
    request, one of no beats, and what lies beyond the last address never reach the bus, and are answered by errors. So
    is a beat with SLVERR or DECERR, or with ``rlast`` in the wrong place, and with it the rest of its request, which is
    read all the same: AXI lets no burst be given up.

    A memory that for ``timeout`` cycles neither takes an address nor gives a beat, while one of them is awaited, is
    ``dead`` until reset: the port is closed. An address that is offered stays offered, late beats are taken and
    dropped, and all beats still owed, and those of all further requests, are errors, one a cycle. As late beats cannot
    be told from new ones, only a reset of the master together with its interconnect opens the port again.

    Latency: of a request taken in cycle c the first address is offered in c + 2 if there is room, and further ones at
    one a cycle; the next request is taken in the cycle in which the last address is offered, at the earliest. A beat
    taken in cycle d is offered in d + 2 if none is before it. Throughput: one beat a cycle, as long as a burst's first
    beat can come ``burst_beats`` × (``outstanding`` − 1) − 4 cycles after its address is taken, or earlier.

    Parameters
    ----------
    address_bits : int
        Bits of an octet's address.
    data_bits : int
        Bits of a beat: 32, 64 or 128.
    burst_beats : int
        Beats of the longest burst: a power of two, at most 256. 16 is the most that AXI3 allows.
    outstanding : int
        Bursts under way at the same time, at least 4: the queue has room for ``outstanding`` × ``burst_beats`` beats.
    timeout : int
        Cycles until a silent memory is dead.

    Members
    -------
    requests : In(request_stream(address_bits)), responses : Out(response_stream(data_bits))
    bus : Out(axi_read(address_bits, data_bits))
    dead : Out(1)
        High from the cycle in which the memory is given up.
    failed : Out(1)
        High for one cycle with each beat that is passed on with an error.
    """

    requests: stream.Interface
    responses: stream.Interface
    bus: AxiReadInterface
    dead: Signal
    failed: Signal

    def __init__(self, *, address_bits: int, data_bits: int, burst_beats: int = 16, outstanding: int = 4,
                 timeout: int = TIMEOUT):
        if not 1 <= burst_beats <= BURST_MAX or burst_beats & (burst_beats - 1):
            raise ValueError(f"burst_beats must be a power of two of 1…{BURST_MAX}, not {burst_beats!r}")
        self._address_bits, self._data_bits, self._burst_beats = address_bits, beat_width(data_bits), burst_beats
        self._outstanding = integer_argument("outstanding", outstanding, 4, 64, unit="bursts")
        self._timeout = integer_argument("timeout", timeout, 16, unit="cycles")
        super().__init__({
            "requests": In(request_stream(address_bits)), "responses": Out(response_stream(data_bits)),
            "bus": Out(axi_read(address_bits, data_bits)), "dead": Out(1), "failed": Out(1),
        })

    @property
    def address_bits(self) -> int:
        """Bits of an octet's address."""
        return self._address_bits

    @property
    def data_bits(self) -> int:
        """Bits of a beat."""
        return self._data_bits

    @property
    def burst_beats(self) -> int:
        """Beats of the longest burst."""
        return self._burst_beats

    @property
    def outstanding(self) -> int:
        """Bursts under way at the same time."""
        return self._outstanding

    @property
    def timeout(self) -> int:
        """Cycles until a silent memory is dead."""
        return self._timeout

    def elaborate(self, platform):
        m = Module()
        slots = Signal(range(self._outstanding + 1), init=self._outstanding)  # bursts for which there is room
        # Bursts under way, in their order: beats − 1, whether they end their request, and whether the bus has them.
        self._entry = data.StructLayout({"length": 8, "ends": 1, "asked": 1})
        m.submodules.under_way = under_way = SyncFIFO(width=self._entry.size, depth=self._outstanding)
        leaves, frees = self._build_bursts(m, slots, under_way), self._build_beats(m, under_way)
        m.d.sync += slots.eq(slots - leaves + frees)
        self._build_watchdog(m, under_way)
        return m

    def _build_bursts(self, m: Module, slots: Signal, under_way: SyncFIFO) -> Signal:
        """Take requests, and offer their bursts on the bus. Returns whether a burst leaves in this cycle."""
        bus, request, log = self.bus, self.requests.payload, (self._data_bits // 8).bit_length() - 1
        busy, refused, leaves = Signal(), Signal(), Signal()
        beat, left = Signal(self._address_bits - log), Signal(BEATS_BITS)
        length, entry = Signal(range(self._burst_beats + 1)), Signal(self._entry)
        room = self._burst_beats - beat[:(self._burst_beats - 1).bit_length()]
        last, asks, behind = left <= room, ~refused & ~self.dead, beat + length
        m.d.comb += [
            bus.arsize.eq(log), bus.arburst.eq(_INCR), bus.arcache.eq(_MODIFIABLE), self.requests.ready.eq(~busy),
            length.eq(Mux(last, left, room)), leaves.eq(busy & slots.any() & ~(asks & bus.arvalid & ~bus.arready)),
            entry.length.eq(length - 1), entry.ends.eq(last), entry.asked.eq(asks),
            under_way.w_data.eq(entry), under_way.w_en.eq(leaves),
        ]
        with m.If(self.requests.valid & ~busy):
            m.d.sync += [busy.eq(1), beat.eq(request.address[log:]),
                         left.eq(Mux(request.beats.any(), request.beats, 1)),
                         refused.eq(~is_aligned(request, self._data_bits))]
        with m.If(bus.arready):
            m.d.sync += bus.arvalid.eq(0)
        with m.If(leaves):
            m.d.sync += [busy.eq(~last), beat.eq(behind), left.eq(left - length),
                         refused.eq(refused | behind[len(beat)])]  # the next burst is beyond the last address
            with m.If(asks):
                m.d.sync += [bus.arvalid.eq(1), bus.araddr.eq(beat << log), bus.arlen.eq(length - 1)]
        return leaves

    def _build_beats(self, m: Module, under_way: SyncFIFO) -> Signal:
        """Take beats from the bus, or make errors of them, into the queue. Returns whether a burst has passed on."""
        bus, out = self.bus, self.responses
        layout = data.StructLayout({"beat": out.payload.shape(), "frees": 1})
        m.submodules.queue = queue = SyncFIFOBuffered(
            width=layout.size, depth=self._outstanding * self._burst_beats + 1)
        burst, given = data.View(self._entry, under_way.r_data), Signal(layout)
        count, ends, wrong, has_failed = Signal(8), Signal(), Signal(), Signal()
        real = burst.asked & ~self.dead
        comes = Signal()
        m.d.comb += [
            bus.rready.eq(self.dead | (under_way.r_rdy & burst.asked)), ends.eq(count == burst.length),
            comes.eq(under_way.r_rdy & (bus.rvalid | ~real)),
            wrong.eq(~real | bus.rresp[1] | (bus.rlast != ends)),
            given.beat.data.eq(bus.rdata), given.beat.last.eq(ends & burst.ends),
            given.beat.error.eq(wrong | has_failed), given.frees.eq(ends),
            under_way.r_en.eq(comes & ends), queue.w_data.eq(given), queue.w_en.eq(comes),
        ]
        with m.If(comes):
            m.d.sync += [count.eq(Mux(ends, 0, count + 1)), has_failed.eq((wrong | has_failed) & ~given.beat.last)]
        passed, frees = data.View(layout, queue.r_data), Signal()
        taken = out.valid & out.ready
        m.d.comb += [out.valid.eq(queue.r_rdy), out.payload.eq(passed.beat), queue.r_en.eq(out.ready),
                     self.failed.eq(taken & passed.beat.error)]
        m.d.sync += frees.eq(taken & passed.frees)
        return frees

    def _build_watchdog(self, m: Module, under_way: SyncFIFO) -> None:
        """Give the memory up after ``timeout`` cycles without progress."""
        bus, silence = self.bus, Signal(range(self._timeout))
        burst = data.View(self._entry, under_way.r_data)
        progress = (bus.arvalid & bus.arready) | bus.rvalid | ~(under_way.r_rdy & burst.asked)
        m.d.sync += silence.eq(Mux(progress, 0, silence + 1))
        with m.If(silence == self._timeout - 1):
            m.d.sync += self.dead.eq(1)
