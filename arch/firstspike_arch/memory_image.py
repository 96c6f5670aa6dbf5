# SPDX-License-Identifier: MIT
"""Contents of an external memory as one file: which program they belong to, where each part lies, and the octets.

=======  ======  =====================================================================================
octet    octets  what (all numbers little-endian)
=======  ======  =====================================================================================
0        8       `MAGIC`
8        2       `FORMAT`
10       2       number of segments
12       4       CRC-32, as in zlib, of all octets from 16 on
16       32      digest of the program, SHA-256
48       8       length of the contents
56       8       address in the memory at which the contents begin, a multiple of `ALIGNMENT`
64       40 each segments: name (UTF-8, 24 octets, filled with zeros), address and size (8 each)
…        …       contents, as the memory holds them
=======  ======  =====================================================================================
"""

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .file_kind import file_kind
from .shown import shown

__all__ = [
    "ALIGNMENT", "CRC_PLACE", "DIGEST_PLACE", "FORMAT", "MAGIC", "MemoryImage", "MemoryImageError", "Segment",
    "aligned", "contents_at", "lay_out", "require_room",
]

MAGIC = b"\x89FSMEM\r\n"
"""First octets of a file: not text, and changed by whatever converts ends of lines."""

FORMAT = 1

ALIGNMENT = 64
"""Octets: segments begin at multiples, which are whole beats of any width, and whole lines of caches."""

_HEAD = struct.Struct("<8sHHI32sQQ")
_SEGMENT = struct.Struct("<24sQQ")

CRC_PLACE, DIGEST_PLACE = 12, 16
"""First octet of the CRC-32, and of the digest, from which on it covers everything."""


class MemoryImageError(ValueError):
    """Contents do not fit the memory, or a file is missing, truncated, altered or of another program."""


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A part of the memory: ``size`` octets from ``address`` on."""

    name: str
    address: int
    size: int

    def __post_init__(self):
        if not self.name or len(self.name.encode()) > 24 or "\0" in self.name:
            raise MemoryImageError(f"name of a segment must have 1…24 octets, and no zero, not {shown(self.name)}")
        if self.size < 1 or self.address < 0 or self.address % ALIGNMENT:
            raise MemoryImageError(f"segment {self.name} must have octets, and an address that is a multiple of "
                                   f"{ALIGNMENT}, not {self.size} at {self.address}")

    @property
    def end(self) -> int:
        """Address behind the last octet."""
        return self.address + self.size


def aligned(address: int) -> int:
    """Return the first address from this one on at which a segment may begin."""
    return -(-address // ALIGNMENT) * ALIGNMENT


def contents_at(segments: int) -> int:
    """Return the octet of the file at which its contents begin, behind a table of so many segments."""
    return _HEAD.size + segments * _SEGMENT.size


def lay_out(sizes: Mapping[str, int], base: int = 0) -> tuple[Segment, ...]:
    """Place segments of the given sizes, in octets, one after the other, from ``base`` on."""
    segments, address = [], base
    for name, size in sizes.items():
        segments.append(Segment(name=name, address=address, size=size))
        address = aligned(address + size)
    return tuple(segments)


def require_room(segments: tuple[Segment, ...], memory_bytes: int, memory: str) -> None:
    """Check, before anything is built, that segments fit the ``memory`` of this name.

    Raises
    ------
    MemoryImageError
        They do not; the message has both sizes, and the segment that ends beyond the memory.
    """
    beyond = [one for one in segments if one.end > memory_bytes]
    if beyond:
        raise MemoryImageError(
            f"weights in the external memory must end within its {memory_bytes:,} octets ({memory}), but need "
            f"{max(one.end for one in segments):,}: {beyond[0].name} is at {beyond[0].address:,} with "
            f"{beyond[0].size:,}; fewer bits a weight, or more layers on the chip, would make room")


@dataclass(frozen=True, kw_only=True)
class MemoryImage:
    """Contents of an external memory for one program.

    Parameters
    ----------
    digest : str
        `Program.digest` of the program that reads them, 64 hexadecimal digits.
    segments : tuple of Segment
        In the order of their addresses, without overlap.
    contents : bytes
        What the memory holds from `base` to the end of the last segment; zeros between segments.
    """

    digest: str
    segments: tuple[Segment, ...]
    contents: bytes

    def __post_init__(self):
        if len(self.digest) != 64 or set(self.digest) - set("0123456789abcdef"):
            raise MemoryImageError(f"digest must be 64 hexadecimal digits, not {shown(self.digest)}")
        if not self.segments:
            raise MemoryImageError("segments must be at least one, not none")
        names = [one.name for one in self.segments]
        if len(set(names)) < len(names):
            raise MemoryImageError(f"names of segments must differ, not {shown(names)}")
        for before, after in zip(self.segments, self.segments[1:], strict=False):
            if before.end > after.address:
                raise MemoryImageError(f"segment {after.name} must begin behind {before.name}, which ends at "
                                       f"{before.end}, not at {after.address}")
        if len(self.contents) != self.end - self.base:
            raise MemoryImageError(f"contents must have the {self.end - self.base} octets of the segments, not "
                                   f"{len(self.contents)}")

    @classmethod
    def of(cls, digest: str, parts: Mapping[str, bytes], *, base: int = 0) -> "MemoryImage":
        """Lay out parts of the memory, given by name, as `lay_out` does."""
        segments = lay_out({name: len(part) for name, part in parts.items()}, base)
        contents = bytearray(segments[-1].end - base if segments else 0)
        for one, part in zip(segments, parts.values(), strict=True):
            contents[one.address - base : one.end - base] = part
        return cls(digest=digest, segments=segments, contents=bytes(contents))

    @property
    def base(self) -> int:
        """Address at which the contents begin."""
        return self.segments[0].address

    @property
    def end(self) -> int:
        """Address behind the last octet."""
        return self.segments[-1].end

    def part(self, name: str) -> bytes:
        """Octets of a segment."""
        one = next(one for one in self.segments if one.name == name)
        return self.contents[one.address - self.base : one.end - self.base]

    def to_bytes(self) -> bytes:
        """The file."""
        body = _HEAD.pack(MAGIC, FORMAT, len(self.segments), 0, bytes.fromhex(self.digest), len(self.contents),
                          self.base)
        body += b"".join(_SEGMENT.pack(one.name.encode(), one.address, one.size) for one in self.segments)
        body += self.contents
        crc = zlib.crc32(body[DIGEST_PLACE:])
        return body[:CRC_PLACE] + crc.to_bytes(4, "little") + body[DIGEST_PLACE:]

    @classmethod
    def load(cls, path: str | Path, *, digest: str) -> "MemoryImage":
        """Read a file of `to_bytes`, for the program with this ``digest``.

        Raises
        ------
        MemoryImageError
            The file is missing, something else, of another format, truncated, altered or of another program.
        """
        path = Path(path)
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise MemoryImageError(f"{path}: cannot be read: {error.strerror}") from None
        if raw[: len(MAGIC)] != MAGIC:
            what = file_kind(path)
            raise MemoryImageError(f"{path}: must be an image of an external memory, "
                                   f"{f'not {what}' if what else 'but does not begin as one'}")
        if len(raw) < _HEAD.size:
            raise MemoryImageError(f"{path}: must have {_HEAD.size} octets or more, not {len(raw)}: it is truncated")
        _, number, count, crc, made_for, length, base = _HEAD.unpack_from(raw)
        if number != FORMAT:
            raise MemoryImageError(f"{path}: must be an image of format {FORMAT}, not {number}; compile again")
        size = contents_at(count) + length
        if len(raw) != size:
            short = "it is truncated" if len(raw) < size else "something was added"
            raise MemoryImageError(f"{path}: must have {size:,} octets, as it says, not {len(raw):,}: {short}")
        if (found := zlib.crc32(raw[DIGEST_PLACE:])) != crc:
            raise MemoryImageError(f"{path}: CRC-32 must be {crc:08x}, as it says, not {found:08x}: it was altered")
        if made_for.hex() != digest:
            raise MemoryImageError(f"{path}: must be of the program {digest[:16]}…, not of {made_for.hex()[:16]}…: it "
                                   "belongs to another build")
        try:
            segments = tuple(
                Segment(name=name.rstrip(b"\0").decode(), address=address, size=octets) for name, address, octets in (
                    _SEGMENT.unpack_from(raw, contents_at(place)) for place in range(count)))
            image = cls(digest=digest, segments=segments, contents=raw[size - length :])
        except ValueError as error:
            raise MemoryImageError(f"{path}: {error}") from None
        if image.base != base:
            raise MemoryImageError(f"{path}: contents must begin at {image.base}, as the first segment, not at {base}")
        return image
