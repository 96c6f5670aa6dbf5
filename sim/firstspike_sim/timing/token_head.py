# SPDX-License-Identifier: MIT
"""Twin of the token decoder: its register only. The rows at which walks begin are in the tables of the sequencer."""

import numpy as np
from firstspike_arch.events import MARKER

from .compilation import twin

__all__ = ["HEAD", "new_heads", "step"]

HEAD = np.dtype([("valid", np.bool_), ("token", np.int64)], align=True)
"""State of a token decoder: the token at the head of a stream."""


def new_heads(recurrent: np.ndarray) -> np.ndarray:
    """State of heads after reset, `HEAD` [edges]; ``recurrent`` is bool[edges]. "The stream of the layer's own spikes
    is one step late: its first marker is there from the beginning"."""
    heads = np.zeros(len(recurrent), HEAD)
    heads["valid"], heads["token"] = recurrent, MARKER
    return heads


@twin
def step(head, stream, taken):  # pragma: no cover - compiled
    """A cycle of `firstspike_hw.token_head.TokenDecoder`; return whether it takes from ``stream``. "A token taken from
    the stream in cycle c is the head from c + 1 on, until it is ``taken``; the next token can be taken from the stream
    in that same cycle"."""
    ready = taken or not head.valid
    if ready:
        head.valid, head.token = stream.valid, stream.token
    return ready
