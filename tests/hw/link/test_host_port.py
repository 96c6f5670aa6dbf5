# SPDX-License-Identifier: MIT
"""Host port: requests in, responses out, and a stand-in for the accelerator."""

import numpy as np
import pytest
from firstspike_arch.events import FINAL_MARKER, MARKER
from firstspike_arch.result import ResultLayout
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
from firstspike_hw.link.word_feeder import WordFeeder
from firstspike_sim.backends.unit_bench import run_unit
from firstspike_sim.testing.unit_words import END, frame_words, frames_of

LAYOUT = ResultLayout(classes=3, steps_max=4, score_bits=7)


def asked(unit_format: WireFormat, requests: list[bytes], results: list[int], cycles: int) -> dict:
    """What a host port makes of requests while a stand-in has these results."""
    return run_unit(
        HostPort(format=unit_format, identity=range(IDENTITY.depth)), "pysim",
        offers={"requests": frame_words(*requests), "result": results}, takes=["responses", "source", "program_port"],
        cycles=cycles, seed=5,
    )


def request(kind: int, sequence: int, payload: bytes = b"") -> bytes:
    return frame_body(kind, sequence, payload)[:-CRC_BYTES]


def test_host_port_carries_out_requests_in_order():
    wire = WireFormat(word_bytes=8, image_words=2, result=LAYOUT)
    beats = np.arange(1, 7, dtype=np.uint64) * np.uint64(0x0102030405060708)
    port = np.array([1 << 32 | 7, 1 << 56 | 2 << 32 | 9, 255 << 56 | 3 << 32 | 0x01020304], dtype="<u8")
    results = [0x1000123, 0x0ABCDEF, 0x0555555, 0x1FFFFFF]
    requests = [
        request(Kind.INFER, 0x1234, wire.pack_words(beats[:4])), request(Kind.PROGRAM, 2, port.tobytes()),
        request(Kind.INFER, 3, wire.pack_words(beats[4:])), request(Kind.INFER, 4, wire.pack_words(beats[:1])[:-1]),
        request(Kind.INFER, 5), request(0x42, 6, b"what"), request(Kind.IDENTIFY, 7), request(Kind.PROGRAM, 8, b"part"),
    ]
    seen = asked(wire, requests, results, cycles=4000)
    assert seen["left"] == [1]  # a result that nobody asked for waits
    answers = frames_of(seen["responses"])
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


def test_host_port_completes_tokens_with_a_final_marker():
    wire = WireFormat(word_bytes=2, image_words=0, result=LAYOUT)
    tokens = [0x104, 0x203 & ~3 | FINAL_MARKER, 0x308]
    requests = [request(Kind.INFER, 1, wire.pack_words(np.array(tokens))),
                request(Kind.INFER, 2, wire.pack_words(np.array([FINAL_MARKER])))]
    seen = asked(wire, requests, [1, 2, 3], cycles=900)
    assert seen["source"] == [*tokens, FINAL_MARKER, FINAL_MARKER]
    assert [(len(body), body[-1]) for body, _ in frames_of(seen["responses"])] == [(3 + 16 + 1, 1), (3 + 8 + 1, 0)]


@pytest.mark.parametrize(("size", "records"), [
    (1, [3, 6, 2, 2]), (2, [2, 3, 1, 1]), (3, [1, 2, 1, 1]), (7, [1, 1, 1, 1])])
def test_an_endless_network_has_a_record_for_each_window(size, records):
    wire = WireFormat(word_bytes=2, image_words=0, result=LAYOUT, window_steps=size)
    event, step, final = 0x104, MARKER, FINAL_MARKER
    recordings = [[event, step, step, event, final], [step, event, event, step, step, event, step, step, final],
                  [step, event],  # is completed
                  [step, final]]
    requests = [request(Kind.INFER, 1, wire.pack_words(np.array(recordings[0] + recordings[1]))),
                *(request(Kind.INFER, number, wire.pack_words(np.array(recordings[number]))) for number in (2, 3))]
    seen = asked(wire, requests, list(range(sum(records))), cycles=3000)
    assert seen["source"] == [*recordings[0], *recordings[1], *recordings[2], final, *recordings[3]]
    each = [records[0] + records[1], *records[2:]]
    assert [(len(body), body[-1]) for body, _ in frames_of(seen["responses"])] == [
        (3 + wire.record_bytes * count + 1, completed) for count, completed in zip(each, (0, 1, 0), strict=True)]
    assert not any(seen["left"])


def test_host_port_passes_on_why_a_frame_was_dropped():
    wire = WireFormat(word_bytes=2, image_words=0, result=LAYOUT)
    unit = HostPort(format=wire, identity=range(IDENTITY.depth))
    words = [END | Reason.CORRUPT, *frame_words(request(Kind.STATUS, 9)), END | Reason.OVERFLOW]
    seen = run_unit(unit, "pysim", offers={"requests": words}, takes=["responses"], cycles=1200)
    answers = [body for body, _ in frames_of(seen["responses"])]
    assert [answers[0], answers[2]] == [bytes([Kind.ERROR | RESPONSE, 0, 0, reason]) for reason in (1, 2)]
    assert set(status_values(answers[1][3:]).values()) == {0}


def test_host_port_has_its_arguments_and_refuses_wrong_ones():
    wire = WireFormat(word_bytes=2, image_words=0, result=LAYOUT)
    unit = HostPort(format=wire, identity=[1, 2], read_cycles=6, needs_loading=True)
    assert (unit.format, unit.identity, unit.read_cycles, unit.needs_loading) == (wire, [1, 2], 6, True)
    with pytest.raises(ValueError, match=r"^identity must have at most 256 words, not 257$"):
        HostPort(format=wire, identity=range(257))
    with pytest.raises(ValueError, match=r"^read_cycles must be an integer of at least 0, not -1$"):
        HostPort(format=wire, read_cycles=-1)


@pytest.mark.parametrize("word_bytes, image_words, message", [
    (9, 0, "word_bytes must be an integer of 1…8, not 9"),
    (8, -1, "image_words must be an integer of at least 0, not -1"),
])
def test_wire_format_refuses_sizes(word_bytes, image_words, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        WireFormat(word_bytes=word_bytes, image_words=image_words, result=LAYOUT)


def test_windows_are_of_tokens():
    with pytest.raises(ValueError, match=r"^window_steps must be an integer of at least 0, not -1$"):
        WireFormat(word_bytes=2, image_words=0, result=LAYOUT, window_steps=-1)
    feeder = WordFeeder(word_bytes=2, image_words=0, window_steps=5)
    assert (feeder.word_bytes, feeder.image_words, feeder.window_steps) == (2, 0, 5)
    with pytest.raises(ValueError, match=r"^window_steps must be 0 for images of 3 words, not 5$"):
        WordFeeder(word_bytes=8, image_words=3, window_steps=5)
