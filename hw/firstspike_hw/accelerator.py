# SPDX-License-Identifier: MIT
"""Accelerator: guard or encoder, one core for each layer, read-out, program port and counters."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from firstspike_arch.network import INPUT
from firstspike_arch.program import Program
from firstspike_arch.result import result_layout
from firstspike_arch.status import (
    COUNTER_BITS,
    COUNTERS,
    FAULTS_ADDRESS,
    PARITY_ADDRESSES,
    PARITY_COUNT_MAX,
    PROGRAM_WORD,
)

from .beat_streams import request_stream, response_stream
from .capture import CaptureInterface
from .core import Core
from .counters import Counters
from .delay_line import DelayLine
from .extractor import Extractor
from .guard import Guard
from .integer_argument import integer_argument
from .latency_encoder import LatencyEncoder
from .memory_port import MemoryPort
from .pair_packer import PairPacker
from .pixel_encoder import PixelEncoder
from .pool_merger import PoolMerger
from .program_port import ProgramPort
from .read_back import read_back_signature
from .readout import Readout, result_struct
from .spike_queue import SpikeQueue
from .stream_buffer import StreamBuffer
from .stream_token import token_stream
from .weight_fetcher import WeightFetcher

__all__ = ["Accelerator", "EdgeWires"]


class EdgeWires(NamedTuple):
    """The wires of a stream on an edge."""

    valid: Signal
    ready: Signal
    payload: Signal


class _Entry(NamedTuple):
    """Ports of the unit that takes input words, and pulses for the fate of inferences (entered, cut, forgotten, …)."""

    source: stream.Interface
    events: stream.Interface
    opens: Value
    cut: Value
    forgets: Value = Const(0)
    bad: Value = Const(0)
    overrun: Value = Const(0)


class _BuiltCore(NamedTuple):
    """A core, and the stream of its spikes; None if no core takes them."""

    core: Core
    spikes: stream.Interface | None


class Accelerator(wiring.Component):
    """Input stream → guard or encoder → core 0 → core 1 → … → read-out → result stream.

    Cores work on successive steps, and on successive inferences, at the same time: an inference may enter right after
    the previous one. A stream that several cores take (residual synapses), or that a core takes from itself
    (recurrent), moves when all of them have room. The units state latency and throughput; `firstspike_sim.timing`
    predicts the cycle of every transfer.

    The program port takes words only while no inference is inside; an offered word keeps new inferences out until it is
    written. When no more words come, the cores start over with the new images, and no word is taken until they have.
    With ``config.read_back`` the memories can also be read, under the same conditions.

    Parameters
    ----------
    program : Program
    images : mapping of str to sequence of int
        Initial memory words by name, for simulation; without them the memories are loaded from files.
    token_word_bits : int
        Bits of an input word with a token in its lowest bits; the others must be 0 in an event. None: those of a token.

    Members
    -------
    source : In(token_stream(network.input_layout, …)) or In(stream.Signature(64))
        Input words: tokens or beats of eight pixels, by ``config.port``.
    result : Out(stream.Signature(result_struct(...)))
        Result of each inference.
    program_port : In(stream.Signature(PROGRAM_WORD))
        Words for the memories.
    read_back : In(read_back_signature())
        Requests to read memories; only with ``config.read_back``.
    restart : In(1)
        End the open inference.
    status_address : In(5), status_data : Out(32)
        Address of a counter, and its value after `STATUS_CYCLES`. With external weights, `FAULTS_ADDRESS` is that of
        the number of slices that were not read as they should (`WeightFetcher`). With parity in a layer's memories,
        `PARITY_ADDRESSES` are those of words that did not fit theirs.
    requests : Out(request_stream()), responses : In(response_stream(config.beat_bits))
        With external weights: streams of the external memory, whose address 0 is the beginning of
        `Program.external_image`.
    """

    source: stream.Interface
    result: stream.Interface
    program_port: stream.Interface
    read_back: Any
    restart: Signal
    status_address: Signal
    status_data: Signal
    requests: stream.Interface
    responses: stream.Interface

    def __init__(
        self, program: Program, images: Mapping[str, Sequence[int]] | None = None, *,
        token_word_bits: int | None = None,
    ):
        self._program, self._images = program, images or {}
        network, config = program.network, program.config
        token_bits = network.input_layout.bits
        self._spare_bits = 0 if token_word_bits is None else integer_argument(
            "token_word_bits", token_word_bits, token_bits) - token_bits
        source = stream.Signature(64) if config.port == "image" else token_stream(
            network.input_layout, self._spare_bits)
        super().__init__({
            **({"read_back": In(read_back_signature())} if config.read_back else {}),
            "source": In(source),
            "result": Out(stream.Signature(result_struct(result_layout(program)))),
            "program_port": In(stream.Signature(data.StructLayout(PROGRAM_WORD))),
            "restart": In(1), "status_address": In(5), "status_data": Out(COUNTER_BITS),
            **({"requests": Out(request_stream()), "responses": In(response_stream(config.beat_bits))}
               if program.external else {}),
        })
        self._fetchers: dict[int, WeightFetcher] = {}
        self.edges: list[EdgeWires] = []
        """Wires of the stream on each edge, filled by `elaborate`."""

    @property
    def program(self) -> Program:
        """Program that the accelerator runs."""
        return self._program

    def elaborate(self, platform):
        m = Module()
        readout = self._readout(m)
        entry = self._entry(m, readout)
        cores = self._build_cores(m, readout)
        self._build_fetchers(m, {index: built.core for index, built in cores.items()})
        senders = {INPUT: entry.events}
        senders |= {index: built.spikes for index, built in cores.items() if built.spikes is not None}
        self.edges = self._build_edges(m, senders, {index: built.core for index, built in cores.items()})
        closed = self._build_program_port(m, entry, readout, [built.core for built in cores.values()])
        m.d.comb += [
            entry.source.payload.eq(self.source.payload), entry.source.valid.eq(self.source.valid & ~closed),
            self.source.ready.eq(entry.source.ready & ~closed),
        ]
        connect(m, readout.result, flipped(self.result))
        self._build_counters(m, entry)
        self._build_parity(m, [built.core for built in cores.values()])
        return m

    def _readout(self, m: Module) -> Readout:
        program, output = self._program, self._program.cores[-1]
        m.submodules.readout = readout = Readout(
            network=program.network, plan=output.plan, layout=result_layout(program), value_bits=output.value_bits,
            early_exit=program.config.early_exit, scan=program.config.winner == "scan", tag_bits=output.tag_bits,
        )
        return readout

    def _entry(self, m: Module, readout: Readout) -> _Entry:
        """Build the unit that takes input words: a guard, or the encoder of images.

        If the first core takes two events at once and the unit sends one a token, a packer follows."""
        program, network, layout = self._program, self._program.network, self._program.network.input_layout
        sent = program.edge_layouts[0]
        if program.config.port == "image" and network.input_kind == "direct":
            m.submodules.encoder = first = PixelEncoder(layout=layout, steps=network.steps)
            entry = _Entry(source=first.beats, events=first.events, opens=first.opens, cut=first.cut,
                           bad=first.bad_address)
        elif program.config.port == "image":
            m.submodules.encoder = first = LatencyEncoder(
                layout=sent, steps=network.steps, cutoff=network.cutoff, tag_bits=program.cores[0].tag_bits)
            m.d.comb += [first.drop.valid.eq(readout.drop.valid), first.drop.tag.eq(readout.drop.tag)]
            # A partial image that the encoder forgets never leaves; an inference cut by a guard is ended, and leaves.
            entry = _Entry(source=first.beats, events=first.events, opens=first.opens, cut=first.cut,
                           forgets=first.cut)
        else:
            m.submodules.guard = first = Guard(
                layout=layout, steps_max=network.longest or 0, timeout=program.config.timeout,
                once=network.input_kind == "direct", ordered=program.config.ordered, spare_bits=self._spare_bits)
            m.d.comb += first.kept_out.eq(self.source.valid)  # also while the program port keeps inferences out
            entry = _Entry(source=first.source, events=first.events, opens=first.opens, cut=first.cut,
                           bad=first.bad_address, overrun=first.overrun)
        m.d.comb += first.restart.eq(self.restart)
        if sent.slots == 2 and not isinstance(first, LatencyEncoder):
            m.submodules.packer = packer = PairPacker(sent)
            connect(m, entry.events, packer.events)
            entry = entry._replace(events=packer.joined)
        return entry

    def _build_cores(self, m: Module, readout: Readout) -> dict[int, _BuiltCore]:
        """Build the cores, by layer, each followed by a queue and an extractor if a core takes its spikes."""
        found = {}
        for spec in self._program.cores:
            m.submodules[f"core{spec.index}"] = core = Core(spec, self._images.get(spec.memory.name, ()))
            m.d.comb += [core.drop.valid.eq(readout.drop.valid), core.drop.tag.eq(readout.drop.tag)]
            takers: list[CaptureInterface] = [readout.capture] if spec is self._program.cores[-1] else []
            spikes = None
            if spec.sends:
                layout = spec.out_layout
                m.submodules[f"queue{spec.index}"] = queue = SpikeQueue(layout=layout, plan=spec.plan)
                m.submodules[f"extractor{spec.index}"] = extractor = Extractor(
                    layout=layout, lanes=spec.plan.word_lanes, banks=spec.plan.banks, aligned=spec.plan.aligned)
                connect(m, queue.words, extractor.words)
                takers.append(queue.capture)
                spikes = extractor.events
            for taker in takers:
                m.d.comb += [
                    getattr(taker, name).eq(getattr(core.capture, name)) for name, member in
                    taker.signature.members.items() if member.flow == In
                ]
            m.d.comb += core.capture.grant.eq(Cat(taker.grant for taker in takers).all())
            found[spec.index] = _BuiltCore(core=core, spikes=spikes)
        return found

    def _build_fetchers(self, m: Module, cores: dict[int, Core]) -> None:
        """Build a weight fetcher in front of each core with external weights, and the port to the memory."""
        self._fetchers = {}
        for index, core in cores.items():
            if core.spec.fetching is None:
                continue
            m.submodules[f"fetcher{index}"] = fetcher = WeightFetcher(core.spec)
            connect(m, fetcher.fetched, core.streams[0])
            m.d.comb += [
                fetcher.done.eq(core.done), fetcher.pauses.eq(core.access.ahead), core.fill.word.eq(fetcher.fill.word),
                core.fill.chunks.eq(fetcher.fill.chunks), core.fill.data.eq(fetcher.fill.data),
            ]
            self._fetchers[index] = fetcher
        if not self._fetchers:
            return
        fetchers = list(self._fetchers.values())
        m.submodules.memory_port = port = MemoryPort(
            [core.fetching.buffers for core in self._program.external if core.fetching], self._program.config.beat_bits)
        for fetcher, asks, answers in zip(fetchers, port.asks, port.answers, strict=True):
            connect(m, fetcher.requests, asks)
            connect(m, answers, fetcher.responses)
        connect(m, port.requests, flipped(self.requests))
        connect(m, flipped(self.responses), port.responses)

    def _build_edges(
        self, m: Module, senders: dict[int, stream.Interface], cores: dict[int, Core],
    ) -> list[EdgeWires]:
        """Build a buffer for every edge, and the delay lines and pool mergers behind some. A stream moves when all
        buffers that take it have room."""
        network, layouts, edges = self._program.network, self._program.edge_layouts, []
        buffers: dict[int, list[StreamBuffer]] = {source: [] for source in senders}
        for number, edge in enumerate(network.edges()):
            m.submodules[f"edge{number}"] = buffer = StreamBuffer(token_stream(layouts[number]))
            buffers[edge.source].append(buffer)
            core = cores[edge.target]
            events, one = core.streams[edge.place], core.spec.inputs[edge.place]
            if one.fetching is not None:
                events = self._fetchers[edge.target].events
            if one.merging is not None:
                m.submodules[f"merger{number}"] = merger = PoolMerger(one.merging)
                connect(m, merger.merged, events)
                events = merger.events
            if one.delaying is not None:
                m.submodules[f"delays{number}"] = line = DelayLine(one.delaying)
                connect(m, line.late, events)
                events = line.events
            # Named wires that stay in the Verilog, so that benches and waveforms see the stream on every edge.
            valid = Signal(name=f"edge{number}_valid", attrs={"keep": 1})
            ready = Signal(name=f"edge{number}_ready", attrs={"keep": 1})
            payload = Signal(len(events.payload.as_value()), name=f"edge{number}_payload", attrs={"keep": 1})
            m.d.comb += [
                valid.eq(buffer.buffered.valid), payload.eq(buffer.buffered.payload), buffer.buffered.ready.eq(ready),
                events.valid.eq(valid), events.payload.eq(payload), ready.eq(events.ready),
            ]
            edges.append(EdgeWires(valid=valid, ready=ready, payload=payload))
        for source, takers in buffers.items():
            sender = senders[source]
            room = Cat(buffer.source.ready for buffer in takers).all()  # registers: no path from valid
            m.d.comb += sender.ready.eq(room)
            for buffer in takers:
                m.d.comb += [buffer.source.valid.eq(sender.valid & room), buffer.source.payload.eq(sender.payload)]
        return edges

    def _build_program_port(self, m: Module, entry: _Entry, readout: Readout, cores: Sequence[Core]) -> Value:
        """Build the program port; return whether input words are kept out."""
        m.submodules.program_port = port = ProgramPort(self._program.cores)
        connect(m, flipped(self.program_port), port.words)
        m.d.comb += [
            port.opens.eq(entry.opens), port.closes.eq(readout.closes), port.forgets.eq(entry.forgets),
            port.busy.eq(Cat(*(core.busy for core in cores), *(one.busy for one in self._fetchers.values())).any()),
        ]
        for index, core in enumerate(cores):
            connect(m, getattr(port, f"access{index}"), cast(Any, core.access))
            m.d.comb += core.reload.eq(port.reload)
            if self._program.config.read_back:
                m.d.comb += getattr(port, f"chunk{index}").eq(core.chunk)
        if self._program.config.read_back:
            connect(m, flipped(self.read_back), port.read_back)
        return port.closed

    def _build_counters(self, m: Module, entry: _Entry) -> None:
        network, layouts = self._program.network, self._program.edge_layouts
        # The edge of the input, and that of the spikes that are counted.
        hidden = next((number for number, edge in enumerate(network.edges()) if edge.source == 0), 0)
        first, spikes = self.edges[0], self.edges[hidden]
        again = {name: wires.valid & wires.ready & wires.payload[layout.second_shift] for name, wires, layout in (
            ("tokens_in", first, layouts[0]), ("spikes", spikes, layouts[hidden])) if layout.slots == 2}
        m.submodules.counters = counters = Counters(tuple(again))
        if again:
            m.d.comb += counters.again.eq(Cat(again.values()))
        events = {
            "cycles": 1,
            "words_in": self.source.valid & self.source.ready,
            "tokens_in": first.valid & first.ready,
            "spikes": spikes.valid & spikes.ready & ~spikes.payload[1],
            "inferences": self.result.valid & self.result.ready,
            "stalled_in": self.source.valid & ~self.source.ready,
            "stalled_out": self.result.valid & ~self.result.ready,
            "bad_address": entry.bad,
            "overrun": entry.overrun,
            "cut": entry.cut,
        }
        m.d.comb += [
            counters.events.eq(Cat(events[name] for name in COUNTERS)), counters.address.eq(self.status_address),
            self.status_data.eq(counters.data),
        ]
        if self._fetchers:
            faults = Signal(COUNTER_BITS)
            m.d.sync += faults.eq(faults + sum(one.fault for one in self._fetchers.values()))
            with m.If(self.status_address == FAULTS_ADDRESS):
                m.d.comb += self.status_data.eq(faults)

    def _build_parity(self, m: Module, cores: Sequence[Core]) -> None:
        """Remember which cores have read words that did not fit their parity, and count the cycles in which one had,
        until the program port has written."""
        if not self._program.has_parity:
            return
        found = {"parity_errors": Signal(range(PARITY_COUNT_MAX + 1), name="parity_errors"),
                 "parity_cores": Signal(COUNTER_BITS, name="parity_cores")}
        errors, which = found.values()
        seen = [(min(core.spec.index, COUNTER_BITS - 1), core.mismatch) for core in cores if core.spec.parity]
        with m.If(m.submodules.program_port.reload):
            m.d.sync += [errors.eq(0), which.eq(0)]
        with m.Else():
            m.d.sync += errors.eq(errors + (Cat(one for _, one in seen).any() & (errors != PARITY_COUNT_MAX)))
            for bit, one in seen:
                with m.If(one):
                    m.d.sync += which[bit].eq(1)
        for name, value in found.items():
            with m.If(self.status_address == PARITY_ADDRESSES[name]):
                m.d.comb += self.status_data.eq(value)
