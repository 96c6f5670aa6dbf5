# SPDX-License-Identifier: MIT
"""Reading back: the ports between a host port that reads memories and the accelerator."""

from typing import Protocol

from amaranth.hdl import Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from firstspike_arch.fixed import CHUNK_BITS

__all__ = ["ReadBackInterface", "read_back_signature", "read_cycles"]


class ReadBackInterface(Protocol):
    """Members of `read_back_signature`."""

    asks: Signal
    granted: Signal
    data: Signal
    signature: wiring.Signature


def read_back_signature() -> wiring.Signature:
    """The chunk of a memory word whose place is the payload of the program port, where no valid word is meanwhile.

    ``asks`` keeps new inferences out; with ``granted`` none is inside, and that stays so while ``asks`` is high.
    ``data`` is the chunk once its place and ``granted`` have been stable for `read_cycles`. An address beyond a memory
    reads 0, and so does a memory that does not exist.
    """
    return wiring.Signature({"asks": Out(1), "granted": In(1), "data": In(CHUNK_BITS)})


def read_cycles(cores: int) -> int:
    """Cycles from a place to its chunk: place, row, block RAM and weight register, then a register for each core."""
    return 4 + cores
