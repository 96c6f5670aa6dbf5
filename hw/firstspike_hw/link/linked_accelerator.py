# SPDX-License-Identifier: MIT
"""The accelerator behind a host link: octets in, octets out."""

from collections.abc import Mapping, Sequence

from amaranth.hdl import Array, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Member, Out, connect, flipped
from firstspike_arch.memory import MemoryShape
from firstspike_arch.program import Program
from firstspike_arch.status import COUNTERS, FAULTS_ADDRESS, PARITY_ADDRESSES

from ..accelerator import Accelerator
from ..axi.read_arbiter import ReadArbiter
from ..beat_streams import ADDRESS_BITS, MemoryInterface, memory_signature
from ..read_back import read_cycles
from ..stream_buffer import StreamBuffer
from .cobs import CobsDecoder, CobsEncoder
from .frame_buffer import CrcAppender, FrameBuffer
from .frame_octet import frame_stream
from .frames import FRAME_BYTES_MIN, IDENTITY, LINK_COUNTERS, identity_of, wire_format
from .host_port import HostPort

__all__ = ["LinkedAccelerator", "buffer_bytes_for", "linked_memories", "memory_member"]

TIMEOUT_MIN = 64
"""Fewest cycles for the time-out of the input guard, which must not take the time between two words for silence."""

_BUFFER_MIN = 1024


def buffer_bytes_for(program: Program) -> int:
    """Default size of the request buffer: the smallest power of two ≥ 1024 that holds the frames of two images, so that
    one is received while the other is carried out."""
    wire = wire_format(program)
    frame = FRAME_BYTES_MIN + wire.image_words * wire.word_bytes
    return max(_BUFFER_MIN, 1 << (2 * frame - 1).bit_length())


def linked_memories(
    program: Program, *, buffer_bytes: int | None = None, clk_hz: int = 0, initialised: bool = True,
) -> dict[MemoryShape, list[int]]:
    """Memories of a `LinkedAccelerator` with the same arguments that have initial contents, with the contents.

    If a memory of the program has none, the identity says that the device holds no program yet.
    """
    buffer_bytes = buffer_bytes_for(program) if buffer_bytes is None else buffer_bytes
    identity = identity_of(program, buffer_bytes=buffer_bytes, clk_hz=clk_hz,
                           initialised=initialised and not program.needs_loading)
    images = program.images() if initialised else {}
    return {IDENTITY: identity.image(), **{
        shape: images[shape.name] for shape in program.memories() if initialised and not shape.single_port}}


def memory_member(program: Program) -> dict[str, Member]:
    """Member ``memory`` of a component around an accelerator whose weights are in an external memory; none without."""
    return {"memory": Out(memory_signature(program.config.beat_bits))} if program.external else {}


class LinkedAccelerator(wiring.Component):
    """Serves an accelerator over a host link; docs/host_link.md defines the protocol.

    Requests go from ``rx`` through COBS decoder and frame buffer to the host port, which drives the accelerator;
    responses go from the host port through CRC and COBS encoder to ``tx``.

    With external weights, accelerator and host port share the memory; no input word is taken before it has started.

    ``rx`` is always ready. Requests are carried out one at a time, in the order of their arrival, while the next ones
    are received. Throughput is at most one octet a cycle in each direction.

    Parameters
    ----------
    program : Program
    buffer_bytes : int
        Size of the frame buffer for requests, a power of two; None: `buffer_bytes_for`.
    memories : mapping of MemoryShape to sequence of int
        Initial contents for simulation, from `linked_memories`; None: the memories are loaded from files.

    Members
    -------
    rx : In(stream.Signature(8)), tx : Out(stream.Signature(8))
    busy : Out(1)
        High while a request is carried out.
    fault : Out(1)
        High from a dropped frame until the next valid one.
    memory : Out(memory_signature(config.beat_bits))
        Only with external weights.

    Raises
    ------
    ValueError
        The program has a time-out of less than `TIMEOUT_MIN`.
    """

    rx: stream.Interface
    tx: stream.Interface
    busy: Signal
    fault: Signal
    memory: MemoryInterface

    def __init__(
        self, program: Program, *, buffer_bytes: int | None = None,
        memories: Mapping[MemoryShape, Sequence[int]] | None = None,
    ):
        # A request comes out of the buffer octet by octet.
        if 0 < program.config.timeout < TIMEOUT_MIN:
            raise ValueError(f"timeout must be 0 or at least {TIMEOUT_MIN} cycles behind a host link, not "
                             f"{program.config.timeout!r}")
        self._program = program
        self._images = {shape.name: words for shape, words in (memories or {}).items()}
        self._buffer = FrameBuffer(depth=buffer_bytes_for(program) if buffer_bytes is None else buffer_bytes)
        super().__init__({
            "rx": In(stream.Signature(8)), "tx": Out(stream.Signature(8)), "busy": Out(1), "fault": Out(1),
            **memory_member(program),
        })

    @property
    def program(self) -> Program:
        """Program of the accelerator."""
        return self._program

    def elaborate(self, platform):
        m = Module()
        m.submodules.decoder = decoder = CobsDecoder()
        m.submodules.buffer = buffer = self._buffer
        wire = wire_format(self._program)
        m.submodules.port = port = HostPort(
            format=wire, identity=self._images.get(IDENTITY.name, ()),
            read_cycles=read_cycles(len(self._program.network.layers)) if self._program.config.read_back else 0,
            needs_loading=self._program.needs_loading,
            memory_bits=self._program.config.beat_bits if self._program.external else 0,
            parity=self._program.has_parity)
        m.submodules.appender = appender = CrcAppender()
        m.submodules.encoder = encoder = CobsEncoder()
        m.submodules.accelerator = accelerator = Accelerator(
            self._program, self._images, token_word_bits=None if wire.image_words else 8 * wire.word_bytes)
        connect(m, flipped(self.rx), decoder.octets)
        connect(m, decoder.frames, buffer.source)
        connect(m, buffer.frames, port.requests)
        # A register between the octets of a record and their CRC, which would be the longest path.
        m.submodules.answers = answers = StreamBuffer(frame_stream())
        connect(m, port.responses, answers.source)
        connect(m, answers.buffered, appender.source)
        connect(m, appender.frames, encoder.frames)
        connect(m, encoder.octets, flipped(self.tx))
        connect(m, port.program_port, accelerator.program_port)
        if self._program.config.read_back:
            connect(m, port.read_back, accelerator.read_back)
        for left, right in ((port.source, accelerator.source), (accelerator.result, port.result)):
            m.d.comb += [right.valid.eq(left.valid), left.ready.eq(right.ready), right.payload.eq(left.payload)]
        if self._program.external:
            self._share_memory(m, port, accelerator)
            with m.If(~self.memory.started):
                m.d.comb += [accelerator.source.valid.eq(0), port.source.ready.eq(0)]

        counts = [Signal(16, name=f"count_{name}") for name in LINK_COUNTERS]
        m.d.sync += [count.eq(count + getattr(buffer, pulse)) for count, pulse in
                     zip(counts, ("taken", "corrupt", "overflow"), strict=True)]
        own = port.status_address >= len(COUNTERS)
        asked: Value = port.status_address
        if self._program.external:
            faults = asked == len(COUNTERS) + len(LINK_COUNTERS)
            own, asked = own & ~faults, Mux(faults, FAULTS_ADDRESS, asked)
        if self._program.has_parity:
            first = len(COUNTERS) + len(LINK_COUNTERS) + bool(self._program.external)
            for place, address in enumerate(PARITY_ADDRESSES.values(), start=first):
                here = port.status_address == place
                own, asked = own & ~here, Mux(here, address, asked)
        m.d.comb += [
            accelerator.status_address.eq(asked), self.busy.eq(port.busy),
            port.status_data.eq(Mux(own, Array(counts)[(port.status_address - len(COUNTERS))[:2]],
                                    accelerator.status_data)),
        ]
        with m.If(buffer.taken):
            m.d.sync += self.fault.eq(0)
        with m.Elif(buffer.corrupt | buffer.overflow):
            m.d.sync += self.fault.eq(1)
        return m

    def _share_memory(self, m: Module, port: HostPort, accelerator: Accelerator) -> None:
        """Let accelerator and host port read the memory in turns."""
        m.submodules.arbiter = arbiter = ReadArbiter(
            address_bits=ADDRESS_BITS, data_bits=self._program.config.beat_bits, sources=2)
        sources = ((accelerator.requests, accelerator.responses), (port.memory_requests, port.memory_responses))
        for number, (requests, responses) in enumerate(sources):
            connect(m, requests, getattr(arbiter, f"requests{number}"))
            connect(m, getattr(arbiter, f"responses{number}"), responses)
        memory = self.memory
        connect(m, arbiter.requests, flipped(memory.requests))
        connect(m, flipped(memory.responses), arbiter.responses)
        connect(m, port.memory_writes, flipped(memory.writes))
