# SPDX-License-Identifier: MIT
"""Faults of a wire, for tests of the host link."""

import numpy as np
from firstspike_hw.link.frames import Transport

__all__ = ["FaultyTransport"]


class FaultyTransport:
    """A transport that corrupts octets in both directions, with a given probability for each fault.

    Parameters
    ----------
    transport : Transport
    flip, drop, repeat, cut : float
        Probability, for each octet, that one of its bits is inverted; that it is lost; that it arrives twice; that it
        is lost together with all later octets of the same read or write.
    seed : int

    Attributes
    ----------
    faults : int
        Number of faults so far.
    """

    def __init__(
        self, transport: Transport, *, flip: float = 0.0, drop: float = 0.0, repeat: float = 0.0, cut: float = 0.0,
        seed: int = 0,
    ):
        self._transport, self._random, self.faults = transport, np.random.default_rng(seed), 0
        self.octets_per_second = transport.octets_per_second
        self._edges = np.cumsum([flip, drop, repeat, cut])

    def write(self, data: bytes) -> None:
        self._transport.write(self._damaged(data))

    def read(self, seconds: float) -> bytes:
        return self._damaged(self._transport.read(seconds))

    def now(self) -> float:
        return self._transport.now()

    def close(self) -> None:
        self._transport.close()

    def _damaged(self, data: bytes) -> bytes:
        fate = np.searchsorted(self._edges, self._random.random(len(data)), side="right")
        hit = np.flatnonzero(fate < len(self._edges))
        if not len(hit):
            return data
        out, done = bytearray(), 0
        for place in hit.tolist():
            self.faults += 1
            out += data[done:place]
            done = place + 1
            if fate[place] == 0:
                out.append(data[place] ^ 1 << int(self._random.integers(8)))
            elif fate[place] == 2:
                out += data[place:done] * 2
            elif fate[place] == 3:
                return bytes(out)
        return bytes(out + data[done:])
