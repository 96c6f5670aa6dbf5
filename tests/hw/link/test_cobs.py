# SPDX-License-Identifier: MIT
"""COBS units against the library that the driver uses."""

from cobs import cobs
from firstspike_hw.link.cobs import CobsDecoder, CobsEncoder
from firstspike_sim.backends.unit_bench import run_unit
from firstspike_sim.testing.unit_words import frame_words, frames_of, random_bodies


def test_cobs_encoder_equals_the_library():
    sent = random_bodies(1)
    wire = b"".join(cobs.encode(body) + b"\0" for body in sent)
    seen = run_unit(CobsEncoder(), "pysim", offers={"frames": frame_words(*sent)}, takes=["octets"],
                    cycles=4 * len(wire), seed=1)
    assert bytes(seen["octets"]) == wire


def test_cobs_encoder_takes_and_sends_an_octet_a_cycle():
    body = b"\1" * 254
    seen = run_unit(CobsEncoder(), "pysim", offers={"frames": frame_words(body)}, takes=["octets"], cycles=254 + 257)
    assert bytes(seen["octets"]) == cobs.encode(body) + b"\0"


def test_cobs_decoder_undoes_the_library():
    sent = random_bodies(2)
    wire = b"\0\0" + b"".join(cobs.encode(body) + b"\0\0" for body in sent)
    seen = run_unit(CobsDecoder(), "pysim", offers={"octets": wire}, takes=["frames"], cycles=3 * len(wire), seed=2)
    assert frames_of(seen["frames"]) == [(body, 0) for body in sent]


def test_cobs_decoder_takes_an_octet_a_cycle_and_reports_a_cut_block():
    whole = cobs.encode(b"abc\0def")
    wire = whole[:-2] + b"\0" + whole + b"\0"
    seen = run_unit(CobsDecoder(), "pysim", offers={"octets": wire}, takes=["frames"], cycles=len(wire))
    assert frames_of(seen["frames"]) == [(b"abc\0d", 1), (b"abc\0def", 0)]
