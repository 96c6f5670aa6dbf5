# SPDX-License-Identifier: MIT
"""The accelerator: guard or encoder, one core a layer, read-out, program port and counters."""

from collections.abc import Mapping, Sequence

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from firstspike_arch.fixed import CHUNK_BITS
from firstspike_arch.network import INPUT
from firstspike_arch.program import Program
from firstspike_arch.result import result_layout
from firstspike_arch.status import COUNTER_BITS, COUNTERS, PROGRAM_WORD

from .core import Core
from .counters import Counters
from .extractor import Extractor
from .guard import Guard
from .latency_encoder import LatencyEncoder
from .pixel_encoder import PixelEncoder
from .read_back import read_back_signature
from .readout import Readout, result_struct
from .spike_queue import SpikeQueue
from .stream_buffer import StreamBuffer
from .stream_token import token_stream

__all__ = ["Accelerator"]


class Accelerator(wiring.Component):
    """Input stream → guard or latency encoder → core 0 → core 1 → … → read-out → result stream.

    Cores work on successive steps at the same time, and on successive inferences: the next enters right behind the
    last. A stream that several cores take (residual synapses), or a core takes itself (recurrent), moves when all of
    them have room. See the units for latency and throughput; `firstspike_sim.timing` predicts the cycle
    of everything.

    The program port is served while no inference is inside; a word offered keeps new inferences out until it is
    written. When no more words come, the cores start over with the new images; until they have, no word is taken.
    With ``config.read_back`` the memories can be read as well, at the same times: they lend their read ports.

    Parameters
    ----------
    program : Program
    images : mapping of str to sequence of int
        Initial memory words by name, for simulation; without them the memories are loaded from files.

    Members
    -------
    source : In(token_stream(network.input_layout)) or In(stream.Signature(64))
        By ``config.port``.
    result : Out(stream.Signature(result_struct(...)))
    program_port : In(stream.Signature(PROGRAM_WORD))
    read_back : In(read_back_signature())
        With ``config.read_back``.
    restart : In(1)
    status_address : In(5), status_data : Out(32)
    """

    def __init__(self, program: Program, images: Mapping[str, Sequence[int]] | None = None):
        self._program, self._images, self._reads_back = program, images or {}, program.config.read_back
        network, config = program.network, program.config
        self._layout = result_layout(program)
        source = stream.Signature(64) if config.port == "image" else token_stream(network.input_layout)
        super().__init__({
            **({"read_back": In(read_back_signature())} if config.read_back else {}),
            "source": In(source),
            "result": Out(stream.Signature(result_struct(self._layout))),
            "program_port": In(stream.Signature(data.StructLayout(PROGRAM_WORD))),
            "restart": In(1), "status_address": In(5), "status_data": Out(COUNTER_BITS),
        })

    @property
    def tag_bits(self) -> int:
        """Width of the running numbers that tell inferences apart."""
        return self._program.cores[0].tag_bits

    def elaborate(self, platform):
        m = Module()
        self._build_cores(m)
        self._build_input(m)
        self._build_program_port(m)
        self._build_counters(m)
        return m

    def _build_cores(self, m: Module) -> None:
        program, specs, output = self._program, self._program.cores, self._program.cores[-1]
        self._cores, self._senders = [], {}
        m.submodules.readout = self._readout = readout = Readout(
            network=program.network, plan=output.plan, layout=self._layout, value_bits=output.value_bits,
            early_exit=program.config.early_exit, scan=program.config.winner == "scan", tag_bits=output.tag_bits,
        )
        for spec in specs:
            core = Core(spec, self._images.get(spec.memory.name, ()))
            m.submodules[f"core{spec.index}"] = core
            self._cores.append(core)
            m.d.comb += [core.drop.valid.eq(readout.drop.valid), core.drop.tag.eq(readout.drop.tag)]
            takers = [readout.capture] if spec is output else []
            if spec.sends:
                layout = spec.layer.out_layout
                m.submodules[f"queue{spec.index}"] = queue = SpikeQueue(layout=layout, plan=spec.plan)
                m.submodules[f"extractor{spec.index}"] = extractor = Extractor(
                    layout=layout, lanes=spec.plan.word_lanes, banks=spec.plan.banks)
                connect(m, queue.words, extractor.words)
                takers.append(queue.capture)
                self._senders[spec.index] = extractor.events
            for taker in takers:
                m.d.comb += [
                    getattr(taker, name).eq(getattr(core.capture, name)) for name, member in
                    taker.signature.members.items() if member.flow == In
                ]
            m.d.comb += core.capture.grant.eq(Cat(taker.grant for taker in takers).all())
        connect(m, readout.result, flipped(self.result))

    def _build_input(self, m: Module) -> None:
        program, network = self._program, self._program.network
        self._closed = Signal()  # the program port has the machine, or wants it
        self._opens, self._cut, self._bad, self._overrun = Signal(), Signal(), Signal(), Signal()
        layout = network.input_layout
        if program.config.port == "image" and network.input_kind == "direct":
            m.submodules.encoder = first = PixelEncoder(layout=layout, steps=network.steps)
            entry = first.beats
            m.d.comb += self._bad.eq(first.bad_address)
        elif program.config.port == "image":
            m.submodules.encoder = first = LatencyEncoder(
                layout=layout, steps=network.steps, cutoff=network.cutoff, tag_bits=self.tag_bits,
            )
            entry = first.beats
            m.d.comb += [first.drop.valid.eq(self._readout.drop.valid), first.drop.tag.eq(self._readout.drop.tag)]
        else:
            m.submodules.guard = first = Guard(
                layout=layout, steps_max=network.steps_max, timeout=program.config.timeout,
                once=network.input_kind == "direct",
            )
            entry = first.source
            m.d.comb += [self._bad.eq(first.bad_address), self._overrun.eq(first.overrun)]
        m.d.comb += [
            entry.payload.eq(self.source.payload), entry.valid.eq(self.source.valid & ~self._closed),
            self.source.ready.eq(entry.ready & ~self._closed), first.restart.eq(self.restart),
            self._opens.eq(first.opens), self._cut.eq(first.cut),
        ]
        self._senders[INPUT] = first.events
        self.edges: list = []
        buffers: dict[int, list] = {source: [] for source in self._senders}
        for number, edge in enumerate(network.edges()):
            m.submodules[f"edge{number}"] = buffer = StreamBuffer(token_stream(network.layout_of(edge.source)))
            buffers[edge.source].append(buffer)
            events = self._cores[edge.target].streams[edge.place]
            # Named wires, kept in the Verilog: benches and waveforms see every stream between units.
            valid = Signal(name=f"edge{number}_valid", attrs={"keep": 1})
            ready = Signal(name=f"edge{number}_ready", attrs={"keep": 1})
            payload = Signal(len(events.payload.as_value()), name=f"edge{number}_payload", attrs={"keep": 1})
            m.d.comb += [
                valid.eq(buffer.buffered.valid), payload.eq(buffer.buffered.payload), buffer.buffered.ready.eq(ready),
                events.valid.eq(valid), events.payload.eq(payload), ready.eq(events.ready),
            ]
            self.edges.append((valid, ready, payload))
        for source, takers in buffers.items():
            sender = self._senders[source]
            room = Cat(buffer.source.ready for buffer in takers).all()  # registers: no path from valid
            m.d.comb += sender.ready.eq(room)
            for buffer in takers:
                m.d.comb += [buffer.source.valid.eq(sender.valid & room), buffer.source.payload.eq(sender.payload)]

    def _build_program_port(self, m: Module) -> None:
        port = self.program_port
        inside, changed, empty = Signal(self.tag_bits + 1), Signal(), Signal()
        # A part of an image that a latency encoder forgets never goes inside; others are ended, and close.
        forgets = self._program.config.port == "image" and self._program.network.input_kind == "latency"
        m.d.sync += inside.eq(inside + self._opens - self._readout.closes - (self._cut if forgets else 0))
        word, written, writing, reload = Signal.like(port.payload), Signal(), Signal(), Signal()
        asks = self.read_back.asks if self._reads_back else Const(0)
        reading = Signal() if self._reads_back else Const(0)
        done = ~(port.valid | written | writing)
        # A core that starts over reads its biases, and cannot start over in the middle of that.
        busy = Cat(core.busy for core in self._cores).any()
        m.d.comb += [
            empty.eq((inside == 0) & ~self._opens), port.ready.eq(self._closed & ~reload & ~busy),
        ]
        if self._reads_back:
            m.d.comb += self.read_back.granted.eq(asks & port.ready & ~changed)
            m.d.sync += reading.eq(self.read_back.granted)
        # An inference under way is let in to its end; between inferences the program port comes first.
        m.d.sync += [
            self._closed.eq((port.valid | asks | changed) & empty),
            changed.eq((changed & ~done) | (port.valid & port.ready)), word.eq(port.payload),
            written.eq(port.valid & port.ready), writing.eq(written), reload.eq(changed & done),
        ]
        said = Const(0, CHUNK_BITS)
        for index, (core, shape) in enumerate(zip(self._cores, self._program.memories(), strict=True)):
            low = (shape.chunks - 1).bit_length()
            chunk, row = word.address[:low], word.address[low:]
            m.d.comb += [core.reload.eq(reload), core.access.ahead.eq(written), core.access.write.eq(writing)]
            m.d.sync += [
                core.access.data.eq(word.data), core.access.word.eq(row), core.access.chunk.eq(Cat(
                    (word.memory == index) & (row < shape.depth) & (chunk == number) for number in range(shape.chunks)
                )),
            ]
            if self._reads_back:
                # From core to core, a register each: a chunk of a far memory need not come all the way in a cycle.
                through = Signal(CHUNK_BITS, name=f"read{index}")
                m.d.comb += core.access.read.eq(reading)
                m.d.sync += through.eq(said | core.chunk)
                said = through
        if self._reads_back:
            m.d.comb += self.read_back.data.eq(said)

    def _build_counters(self, m: Module) -> None:
        m.submodules.counters = counters = Counters()
        first_valid, first_ready, _ = self.edges[0]
        hidden = [number for number, edge in enumerate(self._program.network.edges()) if edge.source == 0]
        valid, ready, payload = self.edges[hidden[0] if hidden else 0]
        events = {
            "cycles": 1,
            "words_in": self.source.valid & self.source.ready,
            "tokens_in": first_valid & first_ready,
            "spikes": valid & ready & ~payload[1],
            "inferences": self.result.valid & self.result.ready,
            "stalled_in": self.source.valid & ~self.source.ready,
            "stalled_out": self.result.valid & ~self.result.ready,
            "bad_address": self._bad,
            "overrun": self._overrun,
            "cut": self._cut,
        }
        m.d.comb += [
            counters.events.eq(Cat(events[name] for name in COUNTERS)), counters.address.eq(self.status_address),
            self.status_data.eq(counters.data),
        ]
