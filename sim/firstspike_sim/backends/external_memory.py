# SPDX-License-Identifier: MIT
"""External memory of a simulated accelerator: its contents, and when it answers."""

from collections import deque
from collections.abc import Callable

import numpy as np
from firstspike_arch.backend import MemoryTiming

__all__ = ["Beat", "ExternalMemory"]

Beat = tuple[int, bool, bool]
"""Data, whether it is the last of its request, and whether it is in error."""


class ExternalMemory:
    """Answers requests in their order, as `MemoryTiming` says.

    In each cycle: `offered` is the beat that is offered, `ready` says whether a request is taken if one is offered,
    then `step`.

    Parameters
    ----------
    image : bytes
        Contents from address 0 on; behind them are zeros.
    timing : MemoryTiming
    beat_bits : int
    fails : callable
        Called with the number of a request: whether its beats are in error, and hold the opposite of each bit. None:
        none are.
    """

    def __init__(self, image: bytes, timing: MemoryTiming, beat_bits: int, fails: Callable[[int], bool] | None = None):
        self._octets, self._image = beat_bits // 8, image
        self._latency, self._gaps, self._stalls = (
            np.asarray(one).tolist() for one in (timing.latency, timing.gaps, timing.stalls))
        self._requests: deque[tuple[int, int, int, int]] = deque()  # number, address, beats, when it was taken
        self._fails = fails or (lambda number: False)
        self._since: int | None = None
        self._from = self._beat = self._sent = self.taken = 0

    @property
    def sent(self) -> int:
        """Beats that were taken so far."""
        return self._sent

    def offered(self, cycle: int) -> Beat | None:
        """Return the beat that is offered in this cycle; None: there is none."""
        if not self._requests or cycle < self._from:
            return None
        number, address, beats, _ = self._requests[0]
        at = address + self._beat * self._octets
        data = int.from_bytes(self._image[at:at + self._octets], "little")
        fails = self._fails(number)
        return data ^ (1 << 8 * self._octets) - 1 if fails else data, self._beat == beats - 1, fails

    def ready(self, cycle: int, valid: bool) -> bool:
        """Return whether a request is taken in this cycle if it is ``valid``."""
        if valid and self._since is None:
            self._since = cycle
        stall = self._stalls[self.taken % len(self._stalls)]
        return self._since is not None and cycle >= self._since + stall

    def step(self, cycle: int, *, taken: bool, request: tuple[int, int] | None) -> None:
        """End a cycle: the beat was ``taken``; ``request``, address and beats, was taken, or None."""
        if taken:
            self._sent, self._beat = self._sent + 1, self._beat + 1
            self._from = cycle + 1 + self._gaps[self._sent % len(self._gaps)]
            if self._beat == self._requests[0][2]:
                self._requests.popleft()
                self._beat = 0
                self._begin(cycle)
        if request is not None:
            self._requests.append((self.taken, *request, cycle))
            self.taken, self._since = self.taken + 1, None
            if len(self._requests) == 1:
                self._begin(cycle)

    def _begin(self, cycle: int) -> None:
        if self._requests:
            number, _, _, when = self._requests[0]
            self._from = max(when + 1 + self._latency[number % len(self._latency)], cycle + 1)
