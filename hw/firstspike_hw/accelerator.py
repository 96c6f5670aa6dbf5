# SPDX-License-Identifier: MIT
"""The accelerator: guard or encoder, one core a layer, read-out, program port and counters."""

from collections.abc import Mapping, Sequence

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from firstspike_arch.array import GROUP_BITS, spike_queue_depth
from firstspike_arch.fixed import bits_for_unsigned
from firstspike_arch.program import Program
from firstspike_arch.result import result_layout
from firstspike_arch.status import COUNTER_BITS, COUNTERS, PROGRAM_WORD

from .core import Core
from .counters import Counters
from .extractor import Extractor
from .guard import Guard
from .latency_encoder import LatencyEncoder
from .readout import Readout, result_struct
from .spike_queue import SpikeQueue
from .stream_token import token_stream
from .token_buffer import TokenBuffer

__all__ = ["Accelerator"]


class Accelerator(wiring.Component):
    """Input stream → guard or latency encoder → core 0 → core 1 → … → read-out → result stream.

    Cores work on successive steps at the same time, and on successive inferences: the next enters right behind the
    last. See the units for latency and throughput; `firstspike_sim.timing` predicts the cycle of everything.

    The program port is served while no inference is inside; a word offered keeps new inferences out until it is
    written. After the last word the cores start over with the new images.

    Parameters
    ----------
    program : Program
    images : mapping of str to sequence of int
        Initial memory words by name, for simulation; without them the memories are loaded from files.

    Members
    -------
    source : In(token_stream(inputs)) or In(stream.Signature(64))
        By ``config.port``.
    result : Out(stream.Signature(result_struct(...)))
    program_port : In(stream.Signature(PROGRAM_WORD))
    restart : In(1)
    status_address : In(5), status_data : Out(32)
    """

    def __init__(self, program: Program, images: Mapping[str, Sequence[int]] | None = None):
        self._program, self._images = program, images or {}
        network, config = program.network, program.config
        self._layout = result_layout(program)
        self.links: list = []
        source = stream.Signature(64) if config.port == "image" else token_stream(network.input_shape)
        super().__init__({
            "source": In(source),
            "result": Out(stream.Signature(result_struct(self._layout))),
            "program_port": In(stream.Signature(data.StructLayout(PROGRAM_WORD))),
            "restart": In(1), "status_address": In(5), "status_data": Out(COUNTER_BITS),
        })

    @property
    def tag_bits(self) -> int:
        """Enough to number all inferences that can be inside: each has at least one token or word somewhere."""
        held = sum(spike_queue_depth(plan.rows) + 9 for plan in self._program.config.layers)
        return bits_for_unsigned(held + GROUP_BITS)

    def elaborate(self, platform):
        m = Module()
        self._build_cores(m)
        self._build_input(m)
        self._build_program_port(m)
        self._build_counters(m)
        return m

    def _build_cores(self, m: Module) -> None:
        program, network, tag_bits = self._program, self._program.network, self.tag_bits
        plans, outputs = program.config.layers, len(network.layers) - 1
        self._cores, self._extractors = [], []
        value_bits = self._layout.score_bits if network.readout in ("first_spike", "potential") else 0
        m.submodules.readout = self._readout = readout = Readout(
            network=network, plan=plans[-1], layout=self._layout, value_bits=value_bits,
            early_exit=program.config.early_exit, scan=program.config.winner == "scan", tag_bits=tag_bits,
        )
        parts = zip(network.layers, plans, program.markers(), program.memories(), strict=True)
        for index, (layer, plan, marker, memory) in enumerate(parts):
            is_output = index == outputs
            core = Core(
                layer=layer, plan=plan, program=marker, memory=memory, image=self._images.get(memory.name, ()),
                value_bits=value_bits if is_output else 0, tag_bits=tag_bits,
            )
            m.submodules[f"core{index}"] = core
            self._cores.append(core)
            m.d.comb += [core.drop.valid.eq(readout.drop.valid), core.drop.tag.eq(readout.drop.tag)]
            if is_output:
                connect(m, core.capture, readout.capture)
                continue
            queue = SpikeQueue(shape=layer.out_shape, plan=plan)
            extractor = Extractor(shape=layer.out_shape, lanes=plan.lanes)
            m.submodules[f"queue{index}"], m.submodules[f"extractor{index}"] = queue, extractor
            connect(m, core.capture, queue.capture)
            connect(m, queue.words, extractor.words)
            self._extractors.append(extractor)
        connect(m, readout.result, flipped(self.result))

    def _build_input(self, m: Module) -> None:
        program, network = self._program, self._program.network
        self._closed = Signal()  # the program port has the machine, or wants it
        self._opens, self._cut, self._bad, self._overrun = Signal(), Signal(), Signal(), Signal()
        if program.config.port == "image":
            m.submodules.encoder = first = LatencyEncoder(
                shape=network.input_shape, steps=network.steps, cutoff=network.cutoff, tag_bits=self.tag_bits,
            )
            entry = first.beats
            m.d.comb += [first.drop.valid.eq(self._readout.drop.valid), first.drop.tag.eq(self._readout.drop.tag)]
        else:
            m.submodules.guard = first = Guard(
                shape=network.input_shape, steps_max=network.steps_max, timeout=program.config.timeout,
            )
            entry = first.source
            m.d.comb += [self._bad.eq(first.bad_address), self._overrun.eq(first.overrun)]
        m.d.comb += [
            entry.payload.eq(self.source.payload), entry.valid.eq(self.source.valid & ~self._closed),
            self.source.ready.eq(entry.ready & ~self._closed), first.restart.eq(self.restart),
            self._opens.eq(first.opens), self._cut.eq(first.cut),
        ]
        senders = [first.events, *(extractor.events for extractor in self._extractors)]
        parts = zip(network.layers, senders, self._cores, strict=True)
        for index, (layer, sender, core) in enumerate(parts):
            m.submodules[f"link{index}"] = buffer = TokenBuffer(shape=layer.in_shape)
            connect(m, sender, buffer.source)
            # Named wires, kept in the Verilog: benches and waveforms see every stream between units.
            valid = Signal(name=f"link{index}_valid", attrs={"keep": 1})
            ready = Signal(name=f"link{index}_ready", attrs={"keep": 1})
            payload = Signal(len(core.events.payload.as_value()), name=f"link{index}_payload", attrs={"keep": 1})
            m.d.comb += [
                valid.eq(buffer.events.valid), payload.eq(buffer.events.payload), buffer.events.ready.eq(ready),
                core.events.valid.eq(valid), core.events.payload.eq(payload), ready.eq(core.events.ready),
            ]
            self.links.append((valid, ready, payload))

    def _build_program_port(self, m: Module) -> None:
        port = self.program_port
        inside, changed, empty = Signal(self.tag_bits + 1), Signal(), Signal()
        m.d.sync += inside.eq(inside + self._opens - self._readout.closes)
        if self._program.config.port == "image":
            with m.If(self._cut):
                m.d.sync += inside.eq(inside - 1)
        word, written, writing, reload = Signal.like(port.payload), Signal(), Signal(), Signal()
        done = ~(port.valid | written | writing)
        m.d.comb += [empty.eq((inside == 0) & ~self._opens), port.ready.eq(self._closed)]
        # An inference under way is let in to its end; between inferences the program port comes first.
        m.d.sync += [
            self._closed.eq((port.valid | changed) & empty), changed.eq((changed & ~done) | (port.valid & port.ready)),
            word.eq(port.payload), written.eq(port.valid & port.ready), writing.eq(written),
            reload.eq(changed & done),
        ]
        for index, (core, shape) in enumerate(zip(self._cores, self._program.memories(), strict=True)):
            low = (shape.chunks - 1).bit_length()
            chunk, row = word.address[:low], word.address[low:]
            m.d.comb += [core.reload.eq(reload), core.write.ahead.eq(written)]
            m.d.sync += [
                core.write.data.eq(word.data), core.write.word.eq(row), core.write.enable.eq(Cat(
                    written & (word.memory == index) & (row < shape.depth) & (chunk == number)
                    for number in range(shape.chunks)
                )),
            ]

    def _build_counters(self, m: Module) -> None:
        m.submodules.counters = counters = Counters()
        first_valid, first_ready, _ = self.links[0]
        valid, ready, payload = self.links[min(1, len(self.links) - 1)]
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
