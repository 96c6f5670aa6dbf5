# SPDX-License-Identifier: MIT
"""Streams to and from an external memory: requests for beats, and the beats."""

from typing import Protocol

from amaranth.hdl import Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import Out
from firstspike_arch.external import BEATS_BITS, REQUEST_ADDRESS_BITS, Fetching
from firstspike_arch.fixed import CHUNK_BITS, ceil_div

__all__ = ["FillInterface", "fill_signature", "request_stream", "response_stream"]


class FillInterface(Protocol):
    """Members of `fill_signature`."""

    chunks: Signal
    word: Signal
    data: Signal


def request_stream() -> stream.Signature:
    """A valid/ready stream of requests: ``address`` in octets, a multiple of those of a beat, and number of ``beats``.
    """
    return stream.Signature(data.StructLayout({"address": REQUEST_ADDRESS_BITS, "beats": BEATS_BITS}))


def response_stream(beat_bits: int) -> stream.Signature:
    """A valid/ready stream of beats: ``data``, lowest octet first; ``last`` of its request; ``error``, if it could not
    be read. Requests are answered in their order."""
    return stream.Signature(data.StructLayout({"data": beat_bits, "last": 1, "error": 1}))


def fill_signature(fetching: Fetching, words: int) -> wiring.Signature:
    """Return the signature that writes chunks of a word of the weight memory, those whose bit in ``chunks`` is set,
    each from its place in the beat ``data``."""
    return wiring.Signature({"chunks": Out(ceil_div(fetching.word_bits, CHUNK_BITS)), "word": Out(range(words)),
                             "data": Out(fetching.beat_bits)})
