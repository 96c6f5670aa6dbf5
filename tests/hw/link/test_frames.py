# SPDX-License-Identifier: MIT
"""Layouts of the host link."""

import dataclasses
import re
import zlib

import numpy as np
import pytest
from firstspike_arch.network import IntegerNetwork, Layer, Neuron
from firstspike_arch.network_builder import NetworkBuilder
from firstspike_arch.program import Program
from firstspike_compiler.compile import compile_network
from firstspike_hw.link.frames import (
    CRC_BYTES,
    IDENTITY,
    IDENTITY_BYTES,
    NO_PROGRAM,
    PROGRAM_PLACES,
    Capability,
    FrameError,
    Identity,
    Kind,
    frame_body,
    identity_of,
    parse_body,
    wire_format,
)
from hypothesis import given
from hypothesis import strategies as st


def program(*, seed: int = 1, name: str = "small", theta: int = 9, bias: int = 0, **options) -> Program:
    random = np.random.default_rng(seed)
    layers = tuple(
        Layer(name=f"layer{number}", weight_bits=4, weights=random.integers(-3, 8, (after, before)), neuron=Neuron(
            bias=np.full(after, bias), theta=np.full(after, theta), v_init=np.zeros(after, int), single_spike=True))
        for number, (before, after) in enumerate([(20, 12), (12, 5)])
    )
    network = IntegerNetwork(name=name, layers=layers, readout="first_spike", steps=6, steps_max=6)
    return compile_network(network, lanes=4, **options).program


@given(st.sampled_from(Kind), st.integers(0, 0xFFFF), st.binary(max_size=300))
def test_a_frame_comes_back(kind, sequence, payload):
    body = frame_body(kind, sequence, payload)
    assert parse_body(body) == (kind, sequence, payload)
    assert zlib.crc32(body[:-CRC_BYTES]) == int.from_bytes(body[-CRC_BYTES:], "little")


@given(st.binary(max_size=40), st.data())
def test_a_damaged_frame_is_refused(payload, data):
    body = bytearray(frame_body(Kind.INFER, 7, payload))
    place = data.draw(st.integers(0, len(body) - 1))
    body[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(FrameError, match=r"^the CRC of a frame must be [0-9a-f]{8}, not [0-9a-f]{8}$"):
        parse_body(bytes(body))


def test_a_frame_has_a_least_length():
    with pytest.raises(FrameError, match=r"^a frame must have at least 7 bytes, not 6$"):
        parse_body(frame_body(Kind.INFER, 1)[1:])


def test_an_identity_comes_back():
    small = program(name="a" * 70)
    one = identity_of(small, buffer_bytes=2048, clk_hz=24_000_000)
    assert Identity.unpack(one.pack()) == dataclasses.replace(one, name="a" * 23)
    assert (one.architecture, one.program) == (small.architecture()[:16], small.digest()[:16])
    assert len(one.pack()) == IDENTITY_BYTES and len(one.image()) == IDENTITY.depth
    assert identity_of(small, buffer_bytes=64, initialised=False).program == NO_PROGRAM
    readable = Identity.unpack(identity_of(small.with_config(read_back=True), buffer_bytes=64).pack())
    places = [one.image()[place].to_bytes(4, "little") for place in PROGRAM_PLACES]
    assert b"".join(places).hex() == one.program
    assert (one.capabilities, readable.capabilities) == (0, Capability.READ_BACK)


@pytest.mark.parametrize("data, said", [(b"\2\0" + bytes(62), "2 (64 bytes)"), (b"\1\0\0", "1 (3 bytes)"),
                                        (b"", "0 (0 bytes)")])
def test_another_protocol_is_refused(data, said):
    with pytest.raises(FrameError, match=rf"^the device must speak version 1 of the protocol, not {re.escape(said)}$"):
        Identity.unpack(data)


def test_words_have_as_many_bytes_as_they_need():
    tokens, image = wire_format(program()), wire_format(program(port="image"))
    assert (tokens.word_bytes, tokens.image_words) == (1, 0)  # 5 bits of address
    assert (image.word_bytes, image.image_words) == (8, 3)
    assert tokens.pack_words(np.array([0x7F, 3])) == b"\x7f\x03"
    assert image.pack_words(np.array([0x8000_0000_0000_0001], dtype=np.uint64)) == b"\1" + bytes(6) + b"\x80"
    assert image.record_bytes == 4 + -(-image.result.bits // 8)


def test_an_architecture_is_what_the_rtl_depends_on():
    one = program()
    other_weights = dataclasses.replace(program(seed=2), config=one.config)
    assert other_weights.digest() != one.digest()
    assert other_weights.architecture() == one.architecture() == program(name="other").architecture()
    for other in (program(theta=10), program(bias=1), program(early_exit=True), program(winner="scan")):
        assert other.architecture() != one.architecture()
    one, two = program(bias=1), program(bias=2)
    assert dataclasses.replace(two, config=one.config).architecture() == one.architecture()


def test_port_words_hold_every_chunk_of_every_memory():
    small = program()
    words = small.port_words()
    assert len(words) == sum(shape.depth * shape.chunks for shape in small.memories())
    second = small.memories()[0].depth
    assert int(words[second]) >> 56 == 1 and int(words[second]) >> 32 & 0xFFFFFF == 0
    assert int(words[5]) & 0xFFFF_FFFF == small.images()["core0_weights"][5]


def test_an_identity_has_room_for_so_many_classes():
    net = NetworkBuilder(1, steps=1, readout="potential")
    net.layer(np.ones((65536, 1), np.int8))
    with pytest.raises(ValueError, match=r"^classes of a network behind a host link must be an integer of 1…65535, not "
                                         r"65536$"):
        identity_of(compile_network(net.build(), lanes=256).program, buffer_bytes=0)
