# SPDX-License-Identifier: MIT
"""How a weight fetcher writes to the weight memory of its core."""

from typing import Protocol

from amaranth.hdl import Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out
from firstspike_arch.external import Fetching
from firstspike_arch.fixed import CHUNK_BITS, ceil_div

__all__ = ["FillInterface", "fill_signature"]


class FillInterface(Protocol):
    """Members of `fill_signature`."""

    chunks: Signal
    word: Signal
    data: Signal


def fill_signature(fetching: Fetching, words: int) -> wiring.Signature:
    """Return the signature that writes chunks of a word of the weight memory, those whose bit in ``chunks`` is set,
    each from its place in the beat ``data``."""
    return wiring.Signature({"chunks": Out(ceil_div(fetching.word_bits, CHUNK_BITS)), "word": Out(range(words)),
                             "data": Out(fetching.beat_bits)})
