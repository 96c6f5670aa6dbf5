# SPDX-License-Identifier: MIT
"""Streams between an external memory and the units that use it: requests, beats that answer them, beats to write."""

from typing import Protocol

from amaranth.hdl import Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from firstspike_arch.external import BEATS_BITS, REQUEST_ADDRESS_BITS

from .integer_argument import integer_argument

__all__ = ["ADDRESS_BITS", "BEATS_BITS", "BEAT_WIDTHS", "MemoryInterface", "beat_width", "is_aligned",
           "memory_signature", "request_stream", "response_stream", "write_stream"]

ADDRESS_BITS = REQUEST_ADDRESS_BITS
"""Bits of an octet's address, where no bus asks for others."""

BEAT_WIDTHS = (32, 64, 128)
"""Bits that a beat may have."""


def beat_width(data_bits: int) -> int:
    """The number as it is, if a beat may have so many bits. Raises ValueError otherwise."""
    if data_bits not in BEAT_WIDTHS:
        raise ValueError(f"data_bits must be 32, 64 or 128, not {data_bits!r}")
    return int(data_bits)


def request_stream(address_bits: int = ADDRESS_BITS) -> stream.Signature:
    """Requests: ``beats`` of them, at least one, from the octet at ``address`` on, which is the first of a beat.

    Requests are answered in their order. A request that breaks this rule is answered by errors, one a beat, or by one
    if it asks for no beat.
    """
    integer_argument("address_bits", address_bits, 12, 64)  # 4 KiB
    return stream.Signature(data.StructLayout({"address": address_bits, "beats": BEATS_BITS}))


def response_stream(data_bits: int) -> stream.Signature:
    """Answers: as many beats as were asked for, with ``last`` on the last of each request.

    From the first beat of a request that cannot be read to its last, ``error`` is 1, and ``data`` means nothing: so a
    request was read if its last beat is without an error.
    """
    beat_width(data_bits)
    return stream.Signature(data.StructLayout({"data": data_bits, "last": 1, "error": 1}))


def write_stream(data_bits: int) -> stream.Signature:
    """Beats to write, each to its address; the lowest bits of that, which are those of octets of a beat, do not count.

    What lies beyond the memory is taken and dropped: who wants to know reads it.
    """
    return stream.Signature(data.StructLayout({"address": ADDRESS_BITS, "data": beat_width(data_bits)}))


class MemoryInterface(Protocol):
    """Members of `memory_signature`."""

    requests: stream.Interface
    responses: stream.Interface
    writes: stream.Interface
    started: Signal
    signature: wiring.Signature


def memory_signature(data_bits: int) -> wiring.Signature:
    """A memory as those who use it have it. It is written and read from when it has ``started``, and may start again
    after each reset, without what it held."""
    return wiring.Signature({
        "requests": Out(request_stream()), "responses": In(response_stream(data_bits)),
        "writes": Out(write_stream(data_bits)), "started": In(1),
    })


def is_aligned(request: data.View, data_bits: int) -> Value:
    """Whether a request is for at least one beat, and its address that of a beat."""
    return ~request.address[:(data_bits // 8 - 1).bit_length()].any() & request.beats.any()
