# SPDX-License-Identifier: MIT
"""Frame buffer and CRC: whole frames only."""

import zlib

import numpy as np
import pytest
from amaranth.sim import Simulator
from firstspike_hw.link.frame_buffer import CrcAppender, FrameBuffer
from firstspike_hw.link.frames import CRC_BYTES, FRAME_BYTES_MIN, Kind, Reason, frame_body
from firstspike_sim.backends.unit_bench import run_unit
from firstspike_sim.testing.unit_words import frame_words, frames_of, random_bodies


def test_crc_appender_equals_zlib():
    payloads = random_bodies(3)[:12]
    sent = [frame_body(3, 500 + number, payload) for number, payload in enumerate(payloads)]
    seen = run_unit(CrcAppender(), "pysim", offers={"source": frame_words(*(body[:-CRC_BYTES] for body in sent))},
                    takes=["frames"], cycles=3 * sum(map(len, sent)), seed=3)
    assert frames_of(seen["frames"]) == [(body, 0) for body in sent]


def test_frame_buffer_passes_whole_frames_only():
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
        sent += frame_words(bytes(damaged), end=int(fate == 3))
        wanted.append((b"", Reason.CORRUPT) if fate in (1, 2, 3) else (body[:-CRC_BYTES], 0))
    seen = run_unit(FrameBuffer(depth=256), "pysim", offers={"source": sent}, takes=["frames"],
                    counts=["taken", "corrupt", "overflow"], cycles=4 * len(sent), seed=4)
    assert frames_of(seen["frames"]) == wanted
    assert [seen[name] for name in ("taken", "corrupt", "overflow")] == [[16], [24], [0]]


def test_frame_buffer_drops_what_is_shorter_than_a_frame_even_with_a_right_crc():
    bodies = [bytes(range(1, 1 + size)) for size in range(6)]
    bodies = [body + zlib.crc32(body).to_bytes(CRC_BYTES, "little") for body in bodies]
    least = FRAME_BYTES_MIN - CRC_BYTES
    seen = run_unit(FrameBuffer(depth=64), "pysim", offers={"source": frame_words(*bodies)}, takes=["frames"],
                    counts=["taken", "corrupt"], cycles=200)
    assert frames_of(seen["frames"]) == [
        (b"", Reason.CORRUPT) if size < least else (body[:-CRC_BYTES], 0) for size, body in enumerate(bodies)]
    assert (seen["taken"], seen["corrupt"]) == ([6 - least], [least])


def test_frame_buffer_passes_an_octet_a_cycle_and_a_frame_of_its_own_size():
    body = frame_body(Kind.INFER, 1, bytes(range(57)))
    sent = frame_words(body) * 2
    seen = run_unit(FrameBuffer(depth=64), "pysim", offers={"source": sent}, takes=["frames"],
                    counts=["overflow"], cycles=len(sent) + 2 + len(body) - CRC_BYTES)
    assert frames_of(seen["frames"]) == [(body[:-CRC_BYTES], 0)] * 2 and seen["overflow"] == [0]


def test_frame_buffer_drops_what_it_has_no_room_for():
    small = [frame_body(Kind.INFER, number, bytes(13)) for number in range(5)]  # 20 octets each, then 17 places
    sent, seen, taken = frame_words(*small), [], {"overflow": 0, "taken": 0}
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
    assert frames_of(seen) == [(body[:-CRC_BYTES], 0) for body in small[:3]] + [(b"", Reason.OVERFLOW)] * 2
    assert taken == {"overflow": 2, "taken": 3}


@pytest.mark.parametrize("depth", [32, 100, 1 << 17])
def test_frame_buffer_refuses_a_depth(depth):
    with pytest.raises(ValueError, match=rf"^depth must be a power of two of 64…65536 octets, not {depth}$"):
        FrameBuffer(depth=depth)
