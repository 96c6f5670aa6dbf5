# SPDX-License-Identifier: MIT
"""Accelerator as an AXI peripheral: AXI4-Stream for inputs and results, AXI4-Lite for everything else."""

from collections.abc import Mapping, Sequence

from amaranth.hdl import Array, Cat, ClockDomain, ClockSignal, Module, Mux, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped
from firstspike_arch.memory import MemoryShape
from firstspike_arch.program import Program
from firstspike_arch.status import COUNTER_BITS, COUNTERS, PROGRAM_WORD, STATUS_CYCLES

from ..accelerator import Accelerator
from ..link.frames import IDENTITY, IDENTITY_BYTES, IDENTITY_MEMORY, wire_format
from .axi_lite import AxiLiteInterface, AxiLiteSubordinate, axi_lite
from .axi_stream import AxiStreamInterface, InputPackets, ResultPackets, axi_stream
from .registers import (
    ADDRESS_BITS,
    AXI_COUNTERS,
    PROGRAM_WAIT_CYCLES,
    RESTART_BIT,
    RESULT_BEAT_BITS,
    Register,
    input_beat_bits,
)

__all__ = ["AxiAccelerator"]


def _number(register: Register) -> int:
    """The number of a register by its octet's address."""
    return register // 4


class AxiAccelerator(wiring.Component):
    """Connects s_axis → accelerator → m_axis, and registers to s_axi. docs/axi.md says what they mean.

    Ports have the names by which Vivado's IP integrator knows interfaces. Latency: a word passes `InputPackets` and a
    result `ResultPackets`, in a cycle each; a register is read in `STATUS_CYCLES` + 3 cycles. Throughput: one input
    word a cycle.

    Parameters
    ----------
    program : Program
    memories : mapping of MemoryShape to sequence of int
        For simulation, from `linked_memories`; without them the memories are loaded from files.

    Members
    -------
    aclk, aresetn : In(1)
        Clock of everything; reset, low, synchronous.
    s_axis : In(axi_stream(...)), m_axis : Out(axi_stream(RESULT_BEAT_BITS))
    s_axi : In(axi_lite(ADDRESS_BITS))
    """

    aclk: Signal
    aresetn: Signal
    s_axis: AxiStreamInterface
    m_axis: AxiStreamInterface
    s_axi: AxiLiteInterface

    def __init__(self, program: Program, memories: Mapping[MemoryShape, Sequence[int]] | None = None):
        if program.external:
            raise ValueError("external must be off in the AXI peripheral, which has no external memory, not on for "
                             f"layer {program.external[0].index}")
        self._program, self._wire = program, wire_format(program)
        self._images = {shape.name: words for shape, words in (memories or {}).items()}
        super().__init__({
            "aclk": In(1), "aresetn": In(1), "s_axis": In(axi_stream(input_beat_bits(self._wire))),
            "m_axis": Out(axi_stream(RESULT_BEAT_BITS)), "s_axi": In(axi_lite(ADDRESS_BITS)),
        })

    @property
    def program(self) -> Program:
        """The program of the accelerator."""
        return self._program

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
        for left, right in ((inputs.words, accelerator.source), (accelerator.result, results.result)):
            m.d.comb += [right.valid.eq(left.valid), left.ready.eq(right.ready), right.payload.eq(left.payload)]
        restart, size, counts = Signal(), Signal(32, init=1), [Signal(COUNTER_BITS, name=name) for name in AXI_COUNTERS]
        m.d.comb += [accelerator.restart.eq(restart), inputs.restart.eq(restart), results.size.eq(size)]
        m.d.sync += [count.eq(count + pulse) for count, pulse in
                     zip(counts, (inputs.packet, inputs.completed), strict=True)]
        address = self._build_writes(m, registers, accelerator, restart, size, results.restart)
        self._build_reads(m, registers, accelerator, size, address, counts)
        return m

    def _build_writes(
        self, m: Module, registers: AxiLiteSubordinate, accelerator: Accelerator, restart: Signal, size: Signal,
        resize: Signal,
    ) -> Signal:
        """Carry writes out: into the program port, ``restart`` and ``size``, of which ``resize`` tells.

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
                with m.Default():
                    m.d.comb += registers.write_error.eq(1)
        return address

    def _build_reads(
        self, m: Module, registers: AxiLiteSubordinate, accelerator: Accelerator, size: Signal, address: Signal,
        counts: Sequence[Signal],
    ) -> None:
        """Answer reads: the identity, which the program port can write, the registers and all counters."""
        number, port = registers.read_address, accelerator.program_port
        m.submodules[IDENTITY.name] = memory = Memory(
            shape=IDENTITY.width, depth=IDENTITY.depth, init=self._images.get(IDENTITY.name, ()))
        read, write = memory.read_port(), memory.write_port()
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
