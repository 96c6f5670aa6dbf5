# SPDX-License-Identifier: MIT
"""Loading of an external memory over the host link, from the driver's request to the memory and back."""

import re
import zlib
from dataclasses import dataclass, field

import numpy as np
import pytest
from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out, connect, flipped
from firstspike_arch.memory_image import MemoryImage
from firstspike_arch.result import ResultLayout
from firstspike_boards.link import LinkError
from firstspike_boards.memory_loading import load_memory
from firstspike_hw.beat_streams import request_stream, response_stream, write_stream
from firstspike_hw.link.frame_octet import frame_stream
from firstspike_hw.link.frames import (
    CRC_BYTES,
    RESPONSE,
    Capability,
    Identity,
    Kind,
    MemoryFault,
    WireFormat,
    frame_body,
)
from firstspike_hw.link.host_port import HostPort
from firstspike_sim.backends.unit_bench import run_unit
from firstspike_sim.testing.unit_words import frame_words, frames_of

WIRE = WireFormat(word_bytes=2, image_words=0, result=ResultLayout(classes=3, steps_max=4, score_bits=7))
DEPTH = 64
"""Beats of the memory."""


class SmallMemory(Component):
    """A beat a cycle; a beat beyond the end is an error, and ``stuck`` bits of what is written are 0."""

    def __init__(self, data_bits: int, stuck: int = 0):
        self._data_bits, self._stuck = data_bits, stuck
        super().__init__({"writes": In(write_stream(data_bits)), "requests": In(request_stream()),
                          "responses": Out(response_stream(data_bits))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.store = store = Memory(shape=self._data_bits, depth=DEPTH, init=[])
        write, read = store.write_port(), store.read_port(domain="comb")
        size, place, left = self._data_bits // 8, Signal(32), Signal(17)
        out, request = self.responses, self.requests
        m.d.comb += [
            self.writes.ready.eq(1), write.en.eq(self.writes.valid & (self.writes.payload.address < DEPTH * size)),
            write.addr.eq(self.writes.payload.address // size), write.data.eq(self.writes.payload.data & ~self._stuck),
            request.ready.eq(left == 0), out.valid.eq(left != 0), read.addr.eq(place),
            out.payload.data.eq(read.data), out.payload.last.eq(left == 1), out.payload.error.eq(place >= DEPTH),
        ]
        with m.If(request.valid & request.ready):
            m.d.sync += [place.eq(request.payload.address // size), left.eq(request.payload.beats)]
        with m.Elif(out.valid & out.ready):
            m.d.sync += [place.eq(place + 1), left.eq(Mux(left == 0, 0, left - 1))]
        return m


class LoadedPort(Component):
    """A host port with that memory."""

    def __init__(self, data_bits: int, stuck: int = 0):
        self._port, self._memory = HostPort(format=WIRE, memory_bits=data_bits), SmallMemory(data_bits, stuck)
        super().__init__({"requests": In(frame_stream()), "responses": Out(frame_stream())})

    def elaborate(self, platform):
        m = Module()
        m.submodules.port, m.submodules.memory = port, memory = self._port, self._memory
        connect(m, flipped(self.requests), port.requests)
        connect(m, port.responses, flipped(self.responses))
        connect(m, port.memory_writes, memory.writes)
        connect(m, port.memory_requests, memory.requests)
        connect(m, memory.responses, port.memory_responses)
        return m


def payloads(requests, data_bits, *, stuck=0, seed=None):
    """Kinds and payloads of the answers to requests, (kind, payload)."""
    sent = frame_words(*(frame_body(kind, number, payload)[:-CRC_BYTES]
                         for number, (kind, payload) in enumerate(requests, start=1)))
    seen = run_unit(LoadedPort(data_bits, stuck), "pysim", offers={"requests": sent}, takes=["responses"],
                    cycles=300 + (9 if seed else 4) * len(sent), seed=seed)
    assert seen["left"] == [0]
    answers = [body for body, _ in frames_of(seen["responses"])]
    assert [int.from_bytes(body[1:3], "little") for body in answers] == list(range(1, len(requests) + 1))
    return [(body[0] & ~RESPONSE, body[3:]) for body in answers]


def memory_request(address: int, contents: bytes):
    return Kind.MEMORY, address.to_bytes(4, "little") + contents


def answer(contents: bytes, fault: int = 0):
    return Kind.MEMORY, zlib.crc32(contents).to_bytes(4, "little") + bytes([fault])


@pytest.mark.parametrize("data_bits", [32, 64, 128])
def test_beats_are_written_read_back_and_summed_up(data_bits):
    size = data_bits // 8
    random = np.random.default_rng(data_bits).integers(0, 256, DEPTH * size, np.uint8).tobytes()
    first, second = random[: 5 * size], random[5 * size : 8 * size]
    requests = [memory_request(3 * size, first), memory_request(0, second), memory_request(3 * size, first),
                memory_request(0, second + first[:-1]), (0x42, b"what"), memory_request(0, b""),
                (Kind.MEMORY, b"\0\0\0"), (Kind.MEMORY, b""), memory_request(4, first[:3]),
                memory_request((DEPTH - 1) * size, random[-2 * size :])]
    found = payloads(requests, data_bits, seed=5 if data_bits == 64 else None)
    assert found[:3] == [answer(first), answer(second), answer(first)]
    # The last beat of the fourth is not whole, and not written.
    assert found[3] == answer(second + first[:-size], MemoryFault.CUT)
    assert found[4][0] == Kind.ERROR and found[5:9] == [answer(b"", MemoryFault.CUT)] * 4
    assert found[9][1][-1] == MemoryFault.UNREADABLE and len(found[9][1]) == 5


def test_a_memory_that_does_not_hold_what_is_written_shows():
    ((_, found),) = payloads([memory_request(0, b"\xff" * 8)], 64, stuck=1 << 17)
    assert found == zlib.crc32(b"\xff\xff\xfd" + b"\xff" * 5).to_bytes(4, "little") + b"\0"


def test_without_a_memory_the_request_is_of_unknown_kind():
    sent = frame_words(frame_body(Kind.MEMORY, 1, bytes(12))[:-CRC_BYTES])
    seen = run_unit(HostPort(format=WIRE), "pysim", offers={"requests": sent}, takes=["responses"], cycles=300)
    assert frames_of(seen["responses"])[0][0][0] == Kind.ERROR | RESPONSE
    assert (HostPort(format=WIRE).memory_bits, HostPort(format=WIRE, memory_bits=64).memory_bits) == (0, 64)


@dataclass
class SimulatedLink:
    """What `load_memory` needs of a link, with the host port and its memory behind it."""

    identity: Identity
    stuck: int = 0
    sizes: list[int] = field(default_factory=list)

    def exchange(self, requests, progress=None):
        self.sizes += [len(payload) for _, payload in requests]
        found = payloads(requests, 128, stuck=self.stuck)
        assert all(kind == Kind.MEMORY for kind, _ in found)
        return [payload for _, payload in found]


def link(capabilities: int = Capability.EXTERNAL_MEMORY, **options) -> SimulatedLink:
    return SimulatedLink(identity=Identity(
        port=1, word_bytes=2, buffer_bytes=512, clk_hz=0, inputs=4, steps_max=4, classes=3, result_bits=16,
        architecture="0" * 16, program="0" * 16, name="small", capabilities=capabilities), **options)


IMAGE = MemoryImage.of("a" * 64, {"core0": bytes(range(100)), "core2": b"\x80" * 130}, base=64)


def test_an_image_is_loaded_in_requests_that_fit_the_buffer():
    device = link()
    assert load_memory(device, IMAGE) == len(IMAGE.contents) == 258
    assert device.sizes == [4 + 192, 4 + 128]


@pytest.mark.parametrize("device, image, error, message", [
    (link(0), IMAGE, ValueError, "small must have an external memory for weights to be loaded there, but has none"),
    (link(), MemoryImage.of("a" * 64, {"core0": bytes(range(1, 130))}, base=DEPTH * 16 - 128), LinkError,
     "the external memory must have octets 896…1087, but cannot be read there"),
    (link(stuck=1 << 7), IMAGE, LinkError, "the external memory must hold what was written at 64…255 (CRC-32 "),
])
def test_what_the_memory_does_not_hold_is_told(device, image, error, message):
    with pytest.raises(error, match="^" + re.escape(message)):
        load_memory(device, image)
