# SPDX-License-Identifier: MIT
"""Accelerator as an AXI peripheral: AXI4-Stream for inputs and results, AXI4-Lite for everything else."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from amaranth.hdl import Array, Cat, ClockDomain, ClockSignal, Const, Module, Mux, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped
from firstspike_arch.memory import MemoryShape
from firstspike_arch.program import Program
from firstspike_arch.status import COUNTER_BITS, COUNTERS, FAULTS_ADDRESS, PARITY_ADDRESSES, PROGRAM_WORD, STATUS_CYCLES

from ..accelerator import Accelerator
from ..integer_argument import integer_argument
from ..link.frames import IDENTITY, IDENTITY_BYTES, IDENTITY_MEMORY, wire_format
from .axi_lite import AxiLiteInterface, AxiLiteSubordinate, axi_lite
from .axi_stream import AxiStreamInterface, InputPackets, ResultPackets, axi_stream
from .placed_memory import BASE_SHIFT, BUS_ADDRESS_BITS, TIMEOUT, PlacedMemory
from .read_master import AxiReadInterface, axi_read
from .registers import (
    ADDRESS_BITS,
    AXI_COUNTERS,
    MEMORY_COUNTERS,
    MEMORY_DEAD_BIT,
    MEMORY_OPEN_BIT,
    PROGRAM_WAIT_CYCLES,
    RESTART_BIT,
    RESULT_BEAT_BITS,
    Register,
    counters_of,
    input_beat_bits,
)

__all__ = ["AxiAccelerator"]


def _number(register: Register) -> int:
    """The number of a register by its octet's address."""
    return register // 4


class _Memory(NamedTuple):
    """The external memory, and what registers tell of it: its ``base`` on the bus without the lowest bits, whether that
    was written (``opened``), and how many beats were in error (``errors``)."""

    placed: PlacedMemory
    base: Signal
    opened: Signal
    errors: Signal


class AxiAccelerator(wiring.Component):
    """Connects s_axis → accelerator → m_axis, and registers to s_axi. docs/axi.md says what they mean.

    External weights are read over m_axi (`PlacedMemory`), from the address in MEMORY_LOW and MEMORY_HIGH on. Until it
    is written no input word is taken into the accelerator.

    Ports have the names by which Vivado's IP integrator knows interfaces. Latency: a word passes `InputPackets` and a
    result `ResultPackets`, in a cycle each; a register is read in `STATUS_CYCLES` + 3 cycles. Throughput: one input
    word a cycle.

    Parameters
    ----------
    program : Program
    memories : mapping of MemoryShape to sequence of int
        For simulation, from `linked_memories`; without them the memories are loaded from files.
    memory_timeout : int
        Cycles until a silent external memory is dead.

    Members
    -------
    aclk, aresetn : In(1)
        Clock of everything; reset, low, synchronous.
    s_axis : In(axi_stream(...)), m_axis : Out(axi_stream(RESULT_BEAT_BITS))
    s_axi : In(axi_lite(ADDRESS_BITS))
    m_axi : Out(axi_read(BUS_ADDRESS_BITS, config.beat_bits))
        Only with external weights.
    """

    aclk: Signal
    aresetn: Signal
    s_axis: AxiStreamInterface
    m_axis: AxiStreamInterface
    s_axi: AxiLiteInterface
    m_axi: AxiReadInterface

    def __init__(
        self, program: Program, memories: Mapping[MemoryShape, Sequence[int]] | None = None, *,
        memory_timeout: int = TIMEOUT,
    ):
        self._program, self._wire = program, wire_format(program)
        self._memory_timeout = integer_argument("memory_timeout", memory_timeout, 16, unit="cycles")
        self._images = {shape.name: words for shape, words in (memories or {}).items()}
        super().__init__({
            "aclk": In(1), "aresetn": In(1), "s_axis": In(axi_stream(input_beat_bits(self._wire))),
            "m_axis": Out(axi_stream(RESULT_BEAT_BITS)), "s_axi": In(axi_lite(ADDRESS_BITS)),
            **({"m_axi": Out(axi_read(BUS_ADDRESS_BITS, program.config.beat_bits))} if program.external else {}),
        })

    @property
    def program(self) -> Program:
        """The program of the accelerator."""
        return self._program

    @property
    def memory_timeout(self) -> int:
        """Cycles until a silent external memory is dead."""
        return self._memory_timeout

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = ClockDomain()
        m.d.comb += [ClockSignal().eq(self.aclk), ResetSignal().eq(~self.aresetn)]
        wire, beat_bits = self._wire, input_beat_bits(self._wire)
        m.submodules.accelerator = accelerator = Accelerator(
            self._program, self._images, token_word_bits=None if wire.image_words else beat_bits)
        m.submodules.inputs = inputs = InputPackets(
            word_bits=beat_bits, image_words=wire.image_words, endless=self._program.network.endless)
        m.submodules.results = results = ResultPackets(result_bits=wire.result.bits)
        m.submodules.registers = registers = AxiLiteSubordinate(address_bits=ADDRESS_BITS)
        connect(m, flipped(self.s_axis), inputs.packets)
        connect(m, results.packets, flipped(self.m_axis))
        connect(m, flipped(self.s_axi), registers.bus)
        memory = self._build_memory(m, accelerator) if self._program.external else None
        for left, right in ((inputs.words, accelerator.source), (accelerator.result, results.result)):
            m.d.comb += [right.valid.eq(left.valid), left.ready.eq(right.ready), right.payload.eq(left.payload)]
        if memory is not None:
            with m.If(~memory.opened):
                m.d.comb += [accelerator.source.valid.eq(0), inputs.words.ready.eq(0)]
        restart, size, counts = Signal(), Signal(32, init=1), [Signal(COUNTER_BITS, name=name) for name in AXI_COUNTERS]
        m.d.comb += [accelerator.restart.eq(restart), inputs.restart.eq(restart), results.size.eq(size)]
        m.d.sync += [count.eq(count + pulse) for count, pulse in
                     zip(counts, (inputs.packet, inputs.completed), strict=True)]
        address = self._build_writes(m, registers, accelerator, restart, size, results.restart, memory)
        self._build_reads(m, registers, accelerator, size, address, counts, memory)
        return m

    def _build_memory(self, m: Module, accelerator: Accelerator) -> _Memory:
        """Build the external memory's side: m_axi, and what registers are to tell of it."""
        m.submodules.memory = placed = PlacedMemory(
            data_bits=self._program.config.beat_bits, timeout=self._memory_timeout)
        memory = _Memory(placed, Signal.like(placed.base, name="memory_base"), Signal(name="memory_opened"),
                         Signal(COUNTER_BITS, name="read_errors"))
        connect(m, accelerator.requests, placed.requests)
        connect(m, placed.responses, accelerator.responses)
        connect(m, placed.bus, flipped(self.m_axi))
        m.d.comb += [placed.base.eq(memory.base), placed.open.eq(memory.opened)]
        m.d.sync += memory.errors.eq(memory.errors + placed.failed)
        return memory

    def _build_writes(
        self, m: Module, registers: AxiLiteSubordinate, accelerator: Accelerator, restart: Signal, size: Signal,
        resize: Signal, memory: _Memory | None,
    ) -> Signal:
        """Carry writes out: into the program port, ``restart``, ``size``, of which ``resize`` tells, and the address of
        the external memory.

        Returns the register with the address of the next word of the program port.
        """
        port, data = accelerator.program_port, registers.write_data
        address = Signal(PROGRAM_WORD["address"] + PROGRAM_WORD["memory"])
        waited = Signal(range(PROGRAM_WAIT_CYCLES))
        late = waited == PROGRAM_WAIT_CYCLES - 1
        m.d.comb += port.payload.eq(Cat(data, address))
        m.d.sync += [restart.eq(0), waited.eq(0)]
        with m.If(registers.write_valid):
            m.d.comb += registers.write_done.eq(1)
            with m.Switch(registers.write_address):
                with m.Case(_number(Register.CONTROL)):
                    m.d.sync += restart.eq(data[RESTART_BIT])
                with m.Case(_number(Register.PACKET)):
                    m.d.comb += resize.eq(1)
                    m.d.sync += size.eq(data)
                with m.Case(_number(Register.PROGRAM_ADDRESS)):
                    m.d.sync += address.eq(data)
                with m.Case(_number(Register.PROGRAM_DATA)):
                    m.d.comb += [port.valid.eq(1), registers.write_done.eq(port.ready | late),
                                 registers.write_error.eq(~port.ready)]
                    m.d.sync += [waited.eq(waited + 1), address.eq(address + port.ready)]
                if memory is not None:
                    low, high = memory.base[:32 - BASE_SHIFT], memory.base[32 - BASE_SHIFT:]
                    with m.Case(_number(Register.MEMORY_LOW)):
                        m.d.comb += registers.write_error.eq(data[:BASE_SHIFT].any())
                        with m.If(~registers.write_error):
                            m.d.sync += [low.eq(data[BASE_SHIFT:]), memory.opened.eq(1)]
                    with m.Case(_number(Register.MEMORY_HIGH)):
                        m.d.comb += registers.write_error.eq(data[len(high):].any())
                        with m.If(~registers.write_error):
                            m.d.sync += high.eq(data)
                with m.Default():
                    m.d.comb += registers.write_error.eq(1)
        return address

    def _build_reads(
        self, m: Module, registers: AxiLiteSubordinate, accelerator: Accelerator, size: Signal, address: Signal,
        counts: Sequence[Signal], memory: _Memory | None,
    ) -> None:
        """Answer reads: the identity, which the program port can write, the registers and all counters."""
        number, port = registers.read_address, accelerator.program_port
        m.submodules[IDENTITY.name] = identity = Memory(
            shape=IDENTITY.width, depth=IDENTITY.depth, init=self._images.get(IDENTITY.name, ()))
        read, write = identity.read_port(), identity.write_port()
        first, own = _number(Register.COUNTERS), _number(Register.COUNTERS) + len(COUNTERS)
        waited = Signal(range(STATUS_CYCLES + 1))
        m.d.sync += waited.eq(Mux(registers.read_valid, waited + 1, 0))
        m.d.comb += [
            write.addr.eq(port.payload.address), write.data.eq(port.payload.data),
            write.en.eq(port.valid & port.ready & (port.payload.memory == IDENTITY_MEMORY)),
            # Never both in one cycle: otherwise synthesis spends logic on what a collision would read.
            read.addr.eq(number), read.en.eq(~write.en), accelerator.status_address.eq(number - first),
            registers.read_done.eq(waited == STATUS_CYCLES),
        ]
        with m.If(number < IDENTITY_BYTES // 4):
            m.d.comb += registers.read_data.eq(read.data)
        with m.Elif(number == _number(Register.PACKET)):
            m.d.comb += registers.read_data.eq(size)
        with m.Elif(number == _number(Register.PROGRAM_ADDRESS)):
            m.d.comb += registers.read_data.eq(address)
        with m.Elif((number >= first) & (number < own)):
            m.d.comb += registers.read_data.eq(accelerator.status_data)
        with m.Elif((number >= own) & (number < own + len(AXI_COUNTERS))):
            m.d.comb += registers.read_data.eq(Array(counts)[(number - own)[:1]])
        with m.Else():
            m.d.comb += registers.read_error.eq(1)
        if memory is not None:
            self._build_memory_reads(m, registers, accelerator, memory, own + len(AXI_COUNTERS))
        if self._program.has_parity:
            names = counters_of(self._program)
            for name, status_address in PARITY_ADDRESSES.items():
                with m.If(number == first + names.index(name)):
                    m.d.comb += [accelerator.status_address.eq(status_address), registers.read_error.eq(0),
                                 registers.read_data.eq(accelerator.status_data)]

    @staticmethod
    def _build_memory_reads(
        m: Module, registers: AxiLiteSubordinate, accelerator: Accelerator, memory: _Memory, first: int,
    ) -> None:
        """Answer reads of what belongs to the external memory; ``first`` is the number of its first counter."""
        base = Cat(Const(0, BASE_SHIFT), memory.base)
        status = Signal(COUNTER_BITS)
        m.d.comb += [status[MEMORY_OPEN_BIT].eq(memory.opened), status[MEMORY_DEAD_BIT].eq(memory.placed.dead)]
        faults, errors = (first + MEMORY_COUNTERS.index(name) for name in ("faults", "read_errors"))
        with m.If(registers.read_address == faults):
            m.d.comb += accelerator.status_address.eq(FAULTS_ADDRESS)
        for number, value in ((_number(Register.MEMORY_LOW), base[:32]), (_number(Register.MEMORY_HIGH), base[32:]),
                              (_number(Register.MEMORY_STATUS), status), (faults, accelerator.status_data),
                              (errors, memory.errors)):
            with m.If(registers.read_address == number):
                m.d.comb += [registers.read_data.eq(value), registers.read_error.eq(0)]
