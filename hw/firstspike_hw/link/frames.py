# SPDX-License-Identifier: MIT
"""Layouts of the frames of the host link, for hardware and driver alike. docs/host_link.md says what they mean.

On the wire a frame is COBS(body) and a zero byte; body is kind, sequence, payload, and a CRC-32 over these. Numbers are
little-endian.

# Ref: S. Cheshire, M. Baker, "Consistent Overhead Byte Stuffing", IEEE/ACM ToN 7(2), 1999; CRC-32/ISO-HDLC (zlib's).
"""

import struct
import zlib
from dataclasses import asdict, dataclass
from enum import IntEnum, IntFlag
from typing import ClassVar, Protocol

import numpy as np
from firstspike_arch.fixed import CHUNK_BITS, ceil_div
from firstspike_arch.memory import MemoryShape
from firstspike_arch.program import Program
from firstspike_arch.result import ResultLayout, result_layout
from firstspike_arch.status import COUNTERS, MEMORIES_MAX, PARITY_ADDRESSES

from ..integer_argument import integer_argument

__all__ = [
    "BUFFER_BYTES_MIN", "CHUNK_BYTES", "CRC_BYTES", "FAULTS_COUNTER", "FRAME_BYTES_MIN", "HEADER_BYTES", "IDENTITY",
    "IDENTITY_BYTES", "IDENTITY_MEMORY", "LINK_COUNTERS", "MEMORY_ADDRESS_BYTES", "NAME_PLACE", "NO_PROGRAM",
    "PROGRAM_PLACES", "PROGRAM_WORD_BYTES", "PROTOCOL", "READ_ADDRESS_BYTES", "RESPONSE", "STAMP_BYTES",
    "Capability", "FrameError", "Identity", "Kind", "MemoryFault", "Reason", "Transport", "WireFormat", "frame_body",
    "identity_of", "parse_body", "status_names", "status_values", "wire_format",
]

PROTOCOL = 1
"""Version of everything on this page."""

_HEADER = struct.Struct("<BH")
HEADER_BYTES = _HEADER.size
CRC_BYTES = 4
FRAME_BYTES_MIN = HEADER_BYTES + CRC_BYTES
BUFFER_BYTES_MIN = 64
"""Octets of the smallest buffer of a device behind a link."""

RESPONSE = 0x80
"""A response has the kind of its request plus this."""


class Kind(IntEnum):
    """Kinds of requests, and of the answer to one that is not carried out."""

    IDENTIFY = 1
    STATUS = 2
    INFER = 3
    PROGRAM = 4
    READ = 5
    MEMORY = 6
    ERROR = 0x7F  # only ever answered


class Reason(IntEnum):
    """Payload of an error frame: why a request was not carried out."""

    CORRUPT = 1
    OVERFLOW = 2
    UNKNOWN_KIND = 3
    NO_PROGRAM = 4


class MemoryFault(IntFlag):
    """Last octet of the answer to a MEMORY request: why the memory does not hold it."""

    CUT = 1  # the request had no whole beat, or ended within one
    UNREADABLE = 2  # the memory answered an error, such as beyond its end


LINK_COUNTERS = (
    "frames",  # requests taken whole
    "corrupt",  # frames dropped: too short, not COBS, or CRC wrong
    "overflow",  # frames dropped: more than the buffer had room for
)
"""Counters of a STATUS response behind `firstspike_arch.status.COUNTERS`; each wraps at 2**16."""

FAULTS_COUNTER = "faults"
"""Counter behind `LINK_COUNTERS` in a device with an external memory: `firstspike_arch.status.FAULTS_ADDRESS`."""

STAMP_BYTES = 4
"""Octets of each result's stamp: cycles from the frame's first input word taken to the result offered."""

PROGRAM_WORD_BYTES = 8
"""Octets of each word of a PROGRAM request."""

READ_ADDRESS_BYTES = 4
"""Octets of each word of a READ request: address and memory, as in a word of the program port."""

MEMORY_ADDRESS_BYTES = 4
"""Octets of the address in front of the beats of a MEMORY request."""

CHUNK_BYTES = CHUNK_BITS // 8
"""Octets of each chunk that answers a word of a READ request."""

NAME_BYTES = 23
"""Octets of the network's name in the identity."""


class Capability(IntFlag):
    """Abilities that not every device has."""

    READ_BACK = 1
    EXTERNAL_MEMORY = 4  # MEMORY requests, and `FAULTS_COUNTER`
    PARITY = 8  # counters of words that do not fit their parity
    ENDLESS = 2  # a record for each window of an inference, whose steps are the identity's ``steps_max``


class FrameError(ValueError):
    """A body or payload that is too short or has another size than it must, or a body that fails its CRC."""


class Transport(Protocol):
    """A carrier of octets: a serial port, or a simulated board. Time is in seconds, as the device has it.

    A connection that is gone raises OSError.
    """

    octets_per_second: float

    def write(self, data: bytes) -> None:
        """Send; returns when the octets are taken, not when they have arrived."""
        ...

    def read(self, seconds: float) -> bytes:
        """Return what has arrived, or arrives within so many seconds; b"" if nothing does."""
        ...

    def now(self) -> float:
        """The time."""
        ...

    def close(self) -> None:
        """End the connection."""
        ...


def frame_body(kind: int, sequence: int, payload: bytes = b"") -> bytes:
    """The body of a frame: header, payload and CRC."""
    body = _HEADER.pack(kind, sequence) + payload
    return body + zlib.crc32(body).to_bytes(CRC_BYTES, "little")


def parse_body(body: bytes) -> tuple[int, int, bytes]:
    """Kind, sequence number and payload of a body.

    Raises
    ------
    FrameError
        The body is too short or fails its CRC.
    """
    if len(body) < FRAME_BYTES_MIN:
        raise FrameError(f"a frame must have at least {FRAME_BYTES_MIN} bytes, not {len(body)}")
    content, crc = body[:-CRC_BYTES], int.from_bytes(body[-CRC_BYTES:], "little")
    if zlib.crc32(content) != crc:
        raise FrameError(f"the CRC of a frame must be {zlib.crc32(content):08x}, not {crc:08x}")
    kind, sequence = _HEADER.unpack_from(content)
    return kind, sequence, content[HEADER_BYTES:]


@dataclass(frozen=True, kw_only=True)
class WireFormat:
    """How a program's inputs and results look inside frames.

    Parameters
    ----------
    word_bytes : int
        Octets of an input word, 1 … 8: a beat of eight pixels, or a token.
    image_words : int
        Words of an image; 0: tokens, and a final marker ends an inference.
    result : ResultLayout
        Widths of a result.
    window_steps : int
        Steps of a window of an endless network, each of which has a record; 0: an inference has one.
    """

    word_bytes: int
    image_words: int
    result: ResultLayout
    window_steps: int = 0

    def __post_init__(self):
        integer_argument("word_bytes", self.word_bytes, 1, 8)
        integer_argument("image_words", self.image_words, 0)
        integer_argument("window_steps", self.window_steps, 0)

    @property
    def result_bytes(self) -> int:
        """Octets of a result."""
        return ceil_div(self.result.bits, 8)

    @property
    def record_bytes(self) -> int:
        """Octets of a stamp and its result."""
        return STAMP_BYTES + self.result_bytes

    def pack_words(self, words: np.ndarray) -> bytes:
        """Input words, int64[K] or uint64[K], as bytes.

        Raises
        ------
        ValueError
            A word has more bits than they have octets.
        """
        words, bits = np.asarray(words), 8 * self.word_bytes
        beyond = np.flatnonzero(words.astype(np.uint64) >> np.uint64(bits)) if bits < 64 else words[:0]
        if len(beyond):
            raise ValueError(f"input words must have at most {bits} bits, not {int(words[beyond[0]]):#x} at word "
                             f"{beyond[0]}")
        octets = np.ascontiguousarray(words).astype("<u8").view(np.uint8).reshape(-1, 8)
        return octets[:, : self.word_bytes].tobytes()


def wire_format(program: Program) -> WireFormat:
    """The formats of a program's accelerator."""
    network, is_image = program.network, program.config.port == "image"
    return WireFormat(
        word_bytes=8 if is_image else ceil_div(network.input_layout.bits, 8),
        image_words=ceil_div(network.inputs, 8) if is_image else 0, result=result_layout(program),
        window_steps=network.steps_max if network.endless else 0,
    )


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Description of a device: the payload of an IDENTIFY response.

    Parameters
    ----------
    buffer_bytes : int
        Octets of the bodies of unanswered requests that the device has room for, CRCs included.
    clk_hz : int
        Frequency of the clock; 0: not known.
    architecture, program : str
        The first 16 hexadecimal digits of `Program.architecture` and `Program.digest`; the latter `NO_PROGRAM` while
        the memories do not hold one program whole.
    capabilities : int
        `Capability` flags.
    """

    protocol: int = PROTOCOL
    port: int
    word_bytes: int
    buffer_bytes: int
    clk_hz: int
    inputs: int
    steps_max: int
    classes: int
    result_bits: int
    architecture: str
    program: str
    name: str
    capabilities: int = 0

    LAYOUT: ClassVar[struct.Struct] = struct.Struct(f"<HBBIIIHHI8s8s{NAME_BYTES}sB")

    def pack(self) -> bytes:
        """The payload of an IDENTIFY response."""
        fields = asdict(self)
        digests = [bytes.fromhex(fields.pop(name)) for name in ("architecture", "program")]
        # Cut between characters, not inside one.
        name = fields.pop("name").encode()[:NAME_BYTES].decode(errors="ignore").encode()
        capabilities = fields.pop("capabilities")
        return self.LAYOUT.pack(*fields.values(), *digests, name, capabilities)

    @classmethod
    def unpack(cls, data: bytes) -> "Identity":
        """Inverse of `pack`.

        Raises
        ------
        FrameError
            Wrong size, or another version of the protocol.
        """
        if len(data) < 2 or int.from_bytes(data[:2], "little") != PROTOCOL or len(data) != cls.LAYOUT.size:
            raise FrameError(f"the device must speak version {PROTOCOL} of the protocol, not "
                             f"{int.from_bytes(data[:2], 'little')} ({len(data)} bytes)")
        *numbers, architecture, program, name, capabilities = cls.LAYOUT.unpack(data)
        keys = list(cls.__dataclass_fields__)[: len(numbers)]
        return cls(**dict(zip(keys, numbers, strict=True)), architecture=architecture.hex(), program=program.hex(),
                   name=name.rstrip(b"\0").decode(errors="replace"), capabilities=capabilities)

    def image(self) -> list[int]:
        """Contents of the memory `IDENTITY`."""
        words = np.frombuffer(self.pack(), dtype="<u4").tolist()
        return words + [0] * (IDENTITY.depth - len(words))

    def port_words(self) -> np.ndarray:
        """Words of the program port that write it, uint64[K]."""
        words = np.array(self.image()[: IDENTITY_BYTES // 4], dtype=np.uint64)
        return words | np.arange(len(words), dtype=np.uint64) << np.uint64(32) | np.uint64(IDENTITY_MEMORY << 56)


NO_PROGRAM = "0" * 16

IDENTITY_BYTES = Identity.LAYOUT.size

_PROGRAM_WORD = struct.calcsize("<HBBIIIHHI8s") // 4

PROGRAM_PLACES = (_PROGRAM_WORD, _PROGRAM_WORD + 1)
"""Words of the identity that hold the digest of the program, in the order in which they are written."""

NAME_PLACE = 4 * (_PROGRAM_WORD + 2)
"""Octet of the identity at which the name begins, behind that digest."""

IDENTITY = MemoryShape(name="identity", depth=256, used_bits=32)
"""The device keeps its identity in a block RAM of its own: it is patched and loaded together with the weights."""

IDENTITY_MEMORY = MEMORIES_MAX
"""Its number at the program port."""


def identity_of(program: Program, *, buffer_bytes: int, clk_hz: int = 0, initialised: bool = True) -> Identity:
    """The identity of a device with this program.

    Raises
    ------
    ValueError
        More classes than the identity holds.
    """
    network = program.network
    integer_argument("classes of a network behind a host link", network.classes, 1, (1 << 16) - 1)
    return Identity(
        port=int(program.config.port == "events"), word_bytes=wire_format(program).word_bytes,
        buffer_bytes=buffer_bytes, clk_hz=clk_hz, inputs=network.inputs, steps_max=network.steps_max,
        classes=network.classes, result_bits=result_layout(program).bits, architecture=program.architecture()[:16],
        program=program.digest()[:16] if initialised else NO_PROGRAM, name=network.name,
        capabilities=(Capability.READ_BACK if program.config.read_back else 0)
        | (Capability.ENDLESS if network.endless else 0)
        | (Capability.EXTERNAL_MEMORY if program.external else 0)
        | (Capability.PARITY if program.has_parity else 0),
    )


def status_names(*, external: bool = False, parity: bool = False) -> tuple[str, ...]:
    """Names of the counters of a STATUS response, in their order, of a device with or without an external memory, and
    parity."""
    return (*COUNTERS, *LINK_COUNTERS, *((FAULTS_COUNTER,) * external), *(PARITY_ADDRESSES if parity else ()))


def status_values(payload: bytes, *, external: bool = False, parity: bool = False) -> dict[str, int]:
    """Counters of a STATUS response by name, of a device with or without an external memory, and parity.

    Raises
    ------
    FrameError
        Wrong size.
    """
    names = status_names(external=external, parity=parity)
    if len(payload) != 4 * len(names):
        raise FrameError(f"the device must answer with {len(names)} counters of 4 bytes, not with {len(payload)} bytes")
    return dict(zip(names, np.frombuffer(payload, dtype="<u4").tolist(), strict=True))
