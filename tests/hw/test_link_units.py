# SPDX-License-Identifier: MIT
"""The units of the host link, each on its own; framing against the library that the driver uses."""

import shutil

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.sim import Simulator
from cobs import cobs
from firstspike_arch.events import FINAL_MARKER
from firstspike_arch.result import ResultLayout
from firstspike_hw.link.cobs import CobsDecoder, CobsEncoder
from firstspike_hw.link.frame_buffer import CrcAppender, FrameBuffer
from firstspike_hw.link.frames import (
    CRC_BYTES,
    IDENTITY,
    RESPONSE,
    STAMP_BYTES,
    Kind,
    Reason,
    WireFormat,
    frame_body,
    status_values,
)
from firstspike_hw.link.host_port import HostPort
from firstspike_hw.link.uart import UartReceiver, UartTransmitter
from firstspike_sim.backends.unit_bench import run_unit

icarus = pytest.param("icarus", marks=pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="Icarus Verilog is not installed"))
everywhere = pytest.mark.parametrize("simulator", ["pysim", "verilator", icarus])
# Compiled by Verilator they are all in the simulated board.
interpreted = pytest.mark.parametrize("simulator", ["pysim", icarus])

END = 1 << 8


def framed(*bodies: bytes, ends: int = 0) -> list[int]:
    """Octets and ends, as units pass them on."""
    return [word for body in bodies for word in (*body, END | ends)]


def bodies_of(words: list[int]) -> list[tuple[bytes, int]]:
    """Octets of each frame, and how it ended."""
    frames, octets = [], bytearray()
    for word in words:
        if word & END:
            frames.append((bytes(octets), word & 0xFF))
            octets.clear()
        else:
            octets.append(word)
    assert not octets
    return frames


def bodies(seed: int) -> list[bytes]:
    """With and without zeros, of the lengths at which blocks end."""
    random = np.random.default_rng(seed)
    lengths = [1, 2, 253, 254, 255, 256, 508, 509, *random.integers(1, 40, 8).tolist()]
    return [
        bytes(random.integers(low, 256, length, dtype=np.uint8)) for low in (0, 1) for length in lengths
    ] + [b"\0", b"\0\0", b"\1" * 254 + b"\0", b"\1" * 254 + b"\0\1", bytes(300)]


@interpreted
def test_cobs_encoder_equals_the_library(simulator):
    sent = bodies(1)
    wire = b"".join(cobs.encode(body) + b"\0" for body in sent)
    seen = run_unit(CobsEncoder(), simulator, offers={"frames": framed(*sent)}, takes=["octets"],
                    cycles=4 * len(wire), seed=1)
    assert bytes(seen["octets"]) == wire


def test_cobs_encoder_takes_and_sends_an_octet_a_cycle():
    body = b"\1" * 254
    seen = run_unit(CobsEncoder(), "pysim", offers={"frames": framed(body)}, takes=["octets"], cycles=254 + 257)
    assert bytes(seen["octets"]) == cobs.encode(body) + b"\0"


@interpreted
def test_cobs_decoder_undoes_the_library(simulator):
    sent = bodies(2)
    wire = b"\0\0" + b"".join(cobs.encode(body) + b"\0\0" for body in sent)
    seen = run_unit(CobsDecoder(), simulator, offers={"octets": wire}, takes=["frames"], cycles=3 * len(wire), seed=2)
    assert bodies_of(seen["frames"]) == [(body, 0) for body in sent]


def test_cobs_decoder_takes_an_octet_a_cycle_and_reports_a_cut_block():
    whole = cobs.encode(b"abc\0def")
    wire = whole[:-2] + b"\0" + whole + b"\0"
    seen = run_unit(CobsDecoder(), "pysim", offers={"octets": wire}, takes=["frames"], cycles=len(wire))
    assert bodies_of(seen["frames"]) == [(b"abc\0d", 1), (b"abc\0def", 0)]


@interpreted
def test_crc_appender_equals_zlib(simulator):
    payloads = bodies(3)[:12]
    sent = [frame_body(3, 500 + number, payload) for number, payload in enumerate(payloads)]
    seen = run_unit(CrcAppender(), simulator, offers={"source": framed(*(body[:-CRC_BYTES] for body in sent))},
                    takes=["frames"], cycles=3 * sum(map(len, sent)), seed=3)
    assert bodies_of(seen["frames"]) == [(body, 0) for body in sent]


@interpreted
def test_frame_buffer_passes_whole_frames_only(simulator):
    random = np.random.default_rng(4)
    sent, wanted = [], []
    for number in range(40):
        body = frame_body(Kind.INFER, number, bytes(random.integers(0, 256, int(random.integers(0, 30)), np.uint8)))
        damaged = bytearray(body)
        fate = number % 5
        if fate == 1:
            damaged[int(random.integers(len(body)))] ^= 1 << int(random.integers(8))
        elif fate == 2:
            del damaged[int(random.integers(1, len(body))):]
        sent += framed(bytes(damaged), ends=int(fate == 3))
        wanted.append((b"", Reason.CORRUPT) if fate in (1, 2, 3) else (body[:-CRC_BYTES], 0))
    seen = run_unit(FrameBuffer(depth=256), simulator, offers={"source": sent}, takes=["frames"],
                    counts=["taken", "corrupt", "overflow"], cycles=4 * len(sent), seed=4)
    assert bodies_of(seen["frames"]) == wanted
    assert [seen[name] for name in ("taken", "corrupt", "overflow")] == [[16], [24], [0]]


def test_frame_buffer_passes_an_octet_a_cycle_and_a_frame_of_its_own_size():
    body = frame_body(Kind.INFER, 1, bytes(range(57)))
    sent = framed(body) * 2
    seen = run_unit(FrameBuffer(depth=64), "pysim", offers={"source": sent}, takes=["frames"],
                    counts=["overflow"], cycles=len(sent) + 2 + len(body) - CRC_BYTES)
    assert bodies_of(seen["frames"]) == [(body[:-CRC_BYTES], 0)] * 2 and seen["overflow"] == [0]


def test_frame_buffer_drops_what_it_has_no_room_for():
    small = [frame_body(Kind.INFER, number, bytes(13)) for number in range(5)]  # 20 octets each, then 17 places
    sent, seen, taken = framed(*small), [], {"overflow": 0, "taken": 0}
    unit = FrameBuffer(depth=64)

    async def bench(ctx):
        for word in sent:
            ctx.set(unit.source.valid, 1)
            ctx.set(unit.source.payload, unit.source.payload.shape().from_bits(word))
            for name in taken:
                taken[name] += ctx.get(getattr(unit, name))
            await ctx.tick()
        ctx.set(unit.source.valid, 0)
        ctx.set(unit.frames.ready, 1)
        for _ in range(100):
            if ctx.get(unit.frames.valid):
                seen.append(ctx.get(unit.frames.payload.as_value()))
            await ctx.tick()

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert bodies_of(seen) == [(body[:-CRC_BYTES], 0) for body in small[:3]] + [(b"", Reason.OVERFLOW)] * 2
    assert taken == {"overflow": 2, "taken": 3}


@pytest.mark.parametrize("depth", [32, 100, 1 << 17])
def test_frame_buffer_refuses_a_depth(depth):
    with pytest.raises(ValueError, match=rf"^depth must be a power of two of 64…65536 octets, not {depth}$"):
        FrameBuffer(depth=depth)


LAYOUT = ResultLayout(classes=3, steps_max=4, score_bits=7)


def asked(unit_format: WireFormat, simulator: str, requests: list[bytes], results: list[int], cycles: int) -> dict:
    """What a host port makes of requests while a stand-in has these results."""
    return run_unit(
        HostPort(format=unit_format, identity=() if simulator != "pysim" else range(IDENTITY.depth)), simulator,
        offers={"requests": framed(*requests), "result": results}, takes=["responses", "source", "program_port"],
        cycles=cycles, seed=5, images={IDENTITY: range(IDENTITY.depth)},
    )


def request(kind: int, sequence: int, payload: bytes = b"") -> bytes:
    return frame_body(kind, sequence, payload)[:-CRC_BYTES]


@everywhere
def test_host_port_carries_out_requests_in_order(simulator):
    wire = WireFormat(word_bytes=8, image_words=2, result=LAYOUT)
    beats = np.arange(1, 7, dtype=np.uint64) * np.uint64(0x0102030405060708)
    port = np.array([1 << 32 | 7, 1 << 56 | 2 << 32 | 9, 255 << 56 | 3 << 32 | 0x01020304], dtype="<u8")
    results = [0x1000123, 0x0ABCDEF, 0x0555555, 0x1FFFFFF]
    requests = [
        request(Kind.INFER, 0x1234, wire.pack_words(beats[:4])), request(Kind.PROGRAM, 2, port.tobytes()),
        request(Kind.INFER, 3, wire.pack_words(beats[4:])), request(Kind.INFER, 4, wire.pack_words(beats[:1])[:-1]),
        request(Kind.INFER, 5), request(0x42, 6, b"what"), request(Kind.IDENTIFY, 7), request(Kind.PROGRAM, 8, b"part"),
    ]
    seen = asked(wire, simulator, requests, results, cycles=4000)
    assert seen["left"] == [1]  # a result that nobody asked for waits
    answers = bodies_of(seen["responses"])
    assert [end for _, end in answers] == [0] * len(requests)
    heads = [(body[0], int.from_bytes(body[1:3], "little")) for body, _ in answers]
    kinds = [3, 4, 3, 3, 3, Kind.ERROR, 1, 4]
    assert heads == list(zip([kind | RESPONSE for kind in kinds], [0x1234, 2, 3, 4, 5, 6, 7, 8], strict=True))
    payloads = [body[3:] for body, _ in answers]
    told = [payloads[0][STAMP_BYTES:8], payloads[0][8 + STAMP_BYTES:16], payloads[2][STAMP_BYTES:8]]
    assert [int.from_bytes(one, "little") for one in told] == results[:3]
    assert [payload[-1:] for payload in payloads[:5]] == [b"\0"] * 3 + [b"\1", b"\0"]
    assert [len(payload) for payload in payloads] == [17, 1, 9, 1, 1, 1, 64, 1]
    assert payloads[5] == bytes([Reason.UNKNOWN_KIND]) and payloads[7] == b"\1"
    identity = np.arange(16, dtype="<u4")
    identity[3] = 0x01020304  # written through the program port
    assert payloads[6] == identity.tobytes()
    assert seen["source"] == beats.tolist() and seen["program_port"] == port.tolist()


@interpreted
def test_host_port_completes_tokens_with_a_final_marker(simulator):
    wire = WireFormat(word_bytes=2, image_words=0, result=LAYOUT)
    tokens = [0x104, 0x203 & ~3 | FINAL_MARKER, 0x308]
    requests = [request(Kind.INFER, 1, wire.pack_words(np.array(tokens))),
                request(Kind.INFER, 2, wire.pack_words(np.array([FINAL_MARKER])))]
    seen = asked(wire, simulator, requests, [1, 2, 3], cycles=900)
    assert seen["source"] == [*tokens, FINAL_MARKER, FINAL_MARKER]
    assert [(len(body), body[-1]) for body, _ in bodies_of(seen["responses"])] == [(3 + 16 + 1, 1), (3 + 8 + 1, 0)]


def test_host_port_passes_on_why_a_frame_was_dropped():
    wire = WireFormat(word_bytes=2, image_words=0, result=LAYOUT)
    unit = HostPort(format=wire, identity=range(IDENTITY.depth))
    words = [END | Reason.CORRUPT, *framed(request(Kind.STATUS, 9)), END | Reason.OVERFLOW]
    seen = run_unit(unit, "pysim", offers={"requests": words}, takes=["responses"], cycles=1200)
    answers = [body for body, _ in bodies_of(seen["responses"])]
    assert [answers[0], answers[2]] == [bytes([Kind.ERROR | RESPONSE, 0, 0, reason]) for reason in (1, 2)]
    assert set(status_values(answers[1][3:]).values()) == {0}


def received(divisor: int, levels: list[int], *, waits: int = 0) -> bytes:
    """What a receiver says of these levels, one a cycle; with ``waits`` its octets are taken so much later."""
    unit, octets = UartReceiver(divisor=divisor), bytearray()

    async def bench(ctx):
        since = 0
        for level in levels:
            ctx.set(unit.pin, level)
            since = since + 1 if ctx.get(unit.octets.valid) else 0
            ctx.set(unit.octets.ready, since > waits)
            if ctx.get(unit.octets.valid) and since > waits:
                octets.append(ctx.get(unit.octets.payload))
                since = 0
            await ctx.tick()

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return bytes(octets)


def levels_of(data: bytes, cycles_a_bit: float, *, stop: int = 1, idle: int = 3) -> list[int]:
    """The line, in cycles: at rest, then octets back to back."""
    bits = [bit for octet in data for bit in (0, *(octet >> place & 1 for place in range(8)), stop)]
    edges = np.round(np.arange(len(bits) + 1) * cycles_a_bit).astype(int)
    return [1] * idle + np.repeat(bits, np.diff(edges)).tolist() + [1] * 40


DATA = bytes(np.random.default_rng(6).integers(0, 256, 60, np.uint8)) + b"\0\xff\x55\xaa"


@pytest.mark.parametrize("divisor, error", [(8, 0), (8, 0.02), (8, -0.02), (16, 0.035), (16, -0.035), (104, 0)])
def test_uart_receiver_takes_octets_back_to_back(divisor, error):
    data = DATA if divisor < 100 else DATA[:8]
    assert received(divisor, levels_of(data, divisor * (1 + error))) == data


def test_uart_receiver_outvotes_single_samples_and_ignores_glitches():
    levels = levels_of(DATA, 9, idle=50)
    for cycle in range(54, len(levels) - 40, 9):
        levels[cycle] ^= 1  # near the middle of every bit
    levels[10:12] = [0, 0]
    assert received(9, levels) == DATA


def test_uart_receiver_drops_an_octet_without_stop_bit_or_without_room():
    damaged = levels_of(b"\xf0", 8, stop=0)
    assert received(8, levels_of(b"a", 8) + damaged + levels_of(b"b", 8)) == b"ab"
    assert received(8, levels_of(b"abc", 8), waits=170) == b"a"


def test_uart_transmitter_sends_an_octet_in_ten_bits():
    unit, levels = UartTransmitter(divisor=8), []

    async def bench(ctx):
        left = list(DATA)
        for _ in range(len(DATA) * 80 + 10):
            ctx.set(unit.octets.valid, bool(left))
            if left:
                ctx.set(unit.octets.payload, left[0])
                if ctx.get(unit.octets.ready):
                    left.pop(0)
            levels.append(ctx.get(unit.pin))
            await ctx.tick()

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert levels == [1, *levels_of(DATA, 8, idle=0)[: len(DATA) * 80], *[1] * 9]


class Loop(wiring.Component):
    """A transmitter whose pin a receiver reads."""

    def __init__(self):
        super().__init__({"given": In(stream.Signature(8)), "taken": Out(stream.Signature(8))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.transmitter = transmitter = UartTransmitter(divisor=8)
        m.submodules.receiver = receiver = UartReceiver(divisor=8)
        connect(m, flipped(self.given), transmitter.octets)
        connect(m, receiver.octets, flipped(self.taken))
        m.d.comb += receiver.pin.eq(transmitter.pin)
        return m


@interpreted
def test_uart_units_understand_each_other(simulator):
    seen = run_unit(Loop(), simulator, offers={"given": DATA}, takes=["taken"], cycles=len(DATA) * 90 + 90, seed=7)
    assert bytes(seen["taken"]) == DATA


@pytest.mark.parametrize("unit", [UartReceiver, UartTransmitter])
@pytest.mark.parametrize("divisor", [0, 7, 8.5])
def test_uart_refuses_a_divisor(unit, divisor):
    with pytest.raises(ValueError, match=rf"^divisor must be an integer of at least 8 cycles a bit, not {divisor}$"):
        unit(divisor=divisor)
