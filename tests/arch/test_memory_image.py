# SPDX-License-Identifier: MIT
"""Image of an external memory: layout, the file to the octet, and every way in which one can be wrong."""

import re
import zlib

import pytest
from firstspike_arch.memory_image import (
    MemoryImage,
    MemoryImageError,
    Segment,
    contents_at,
    lay_out,
    require_room,
)

DIGEST, OTHER = "0123456789abcdef" * 4, "f" * 64
PARTS = {"core0": bytes(range(1, 101)), "core3": b"\xff" * 64, "übrig": b"\x07"}


def image(base: int = 0) -> MemoryImage:
    return MemoryImage.of(DIGEST, PARTS, base=base)


@pytest.mark.parametrize("base", [0, 1 << 33])
def test_a_file_holds_what_was_written(tmp_path, base):
    path = tmp_path / "weights.bin"
    path.write_bytes(image(base).to_bytes())
    found = MemoryImage.load(path, digest=DIGEST)
    assert found == image(base) and {name: found.part(name) for name in PARTS} == PARTS
    assert [(one.address - base, one.size) for one in found.segments] == [(0, 100), (128, 64), (192, 1)]
    assert (found.base, found.end, len(found.contents)) == (base, base + 193, 193)
    assert found.contents == PARTS["core0"] + bytes(28) + PARTS["core3"] + PARTS["übrig"]


def test_the_file_is_as_the_table_says():
    raw = image(256).to_bytes()
    assert raw[:12] == b"\x89FSMEM\r\n\x01\0\x03\0" and len(raw) == 64 + 3 * 40 + 193
    assert contents_at(3) == len(raw) - 193
    assert int.from_bytes(raw[12:16], "little") == zlib.crc32(raw[16:])
    assert raw[16:48].hex() == DIGEST
    assert [int.from_bytes(raw[at : at + 8], "little") for at in (48, 56)] == [193, 256]
    assert raw[104:128] == b"core3" + bytes(19)
    assert [int.from_bytes(raw[at : at + 8], "little") for at in (128, 136)] == [384, 64]


def altered(place: int) -> bytes:
    raw = bytearray(image().to_bytes())
    raw[place] ^= 1
    return bytes(raw)


def with_crc(raw: bytes) -> bytes:
    return raw[:12] + zlib.crc32(raw[16:]).to_bytes(4, "little") + raw[16:]


RAW = image().to_bytes()


@pytest.mark.parametrize("raw, message", [
    (b"", "must be an image of an external memory, not an empty file"),
    (b"hello", "must be an image of an external memory, but does not begin as one"),
    (b"\x93NUMPY", "must be an image of an external memory, not an array of NumPy"),
    (RAW[:20], "must have 64 octets or more, not 20: it is truncated"),
    (RAW[:-1], "must have 377 octets, as it says, not 376: it is truncated"),
    (RAW + b"\0", "must have 377 octets, as it says, not 378: something was added"),
    (altered(8), "must be an image of format 1, not 0; compile again"),
    (altered(12), "CRC-32 must be "),
    (altered(20), "it was altered"),
    (altered(376), "it was altered"),
    (with_crc(altered(56)), "contents must begin at 0, as the first segment, not at 1"),
    (with_crc(RAW[:64] + bytes(24) + RAW[88:]), "name of a segment must have 1…24 octets, and no zero, not ''"),
    (with_crc(RAW[:64] + b"\xff" * 24 + RAW[88:]), "utf-8"),
    (with_crc(altered(90)), "core3 must begin behind core0"),
    (with_crc(RAW[:64] + RAW[64:88] * 1 + bytes(8) + (200).to_bytes(8, "little") + RAW[104:]),
     "segment core3 must begin behind core0, which ends at 200, not at 128"),
])
def test_a_wrong_file_is_refused(tmp_path, raw, message):
    path = tmp_path / "weights.bin"
    path.write_bytes(raw)
    with pytest.raises(MemoryImageError, match=f"^{re.escape(str(path))}: .*{re.escape(message)}"):
        MemoryImage.load(path, digest=DIGEST)


def test_a_file_of_another_build_or_none_is_refused(tmp_path):
    path = tmp_path / "weights.bin"
    with pytest.raises(MemoryImageError, match=r"weights\.bin: cannot be read: No such file"):
        MemoryImage.load(path, digest=DIGEST)
    path.write_bytes(image().to_bytes())
    with pytest.raises(MemoryImageError, match=re.escape(
            f"must be of the program {'f' * 16}…, not of 0123456789abcdef…: it belongs to another build")):
        MemoryImage.load(path, digest=OTHER)


@pytest.mark.parametrize("change, message", [
    ({"digest": "12"}, "digest must be 64 hexadecimal digits, not '12'"),
    ({"segments": ()}, "segments must be at least one, not none"),
    ({"contents": b"1"}, "contents must have the 193 octets of the segments, not 1"),
    ({"segments": lay_out({"a": 1}) * 2}, r"names of segments must differ, not \['a', 'a'\]"),
])
def test_wrong_images_are_refused(change, message):
    given = {"digest": DIGEST, "segments": image().segments, "contents": image().contents}
    with pytest.raises(MemoryImageError, match=f"^{message}$"):
        MemoryImage(**{**given, **change})


@pytest.mark.parametrize("given", [{"name": "a" * 25}, {"name": "a\0b"}, {"size": 0}, {"address": 8}, {"address": -64}])
def test_wrong_segments_are_refused(given):
    with pytest.raises(MemoryImageError, match=r"must have"):
        Segment(**{"name": "a", "address": 0, "size": 4, **given})


def test_a_memory_that_is_too_small_is_refused_with_numbers():
    segments = lay_out({"core0": 1000, "core1": 3000}, base=64)
    require_room(segments, 4088, "sdram of ulx3s")
    with pytest.raises(MemoryImageError, match=re.escape(
            "must end within its 4,087 octets (sdram of ulx3s), but need 4,088: core1 is at 1,088 with 3,000;")):
        require_room(segments, 4087, "sdram of ulx3s")
