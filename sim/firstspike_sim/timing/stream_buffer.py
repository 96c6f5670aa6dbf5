# SPDX-License-Identifier: MIT
"""Twin of the stream buffer."""

import numpy as np

from .compilation import twin

__all__ = ["STREAM_BUFFER", "new_stream_buffers", "source_ready", "step"]

STREAM_BUFFER = np.dtype([
    ("valid", np.bool_), ("token", np.int64), ("second_valid", np.bool_), ("second", np.int64),
], align=True)
"""State of a stream buffer: its output stream (``valid``, ``token``), and a second register."""


def new_stream_buffers(count: int) -> np.ndarray:
    """State of buffers after reset, `STREAM_BUFFER` [count]."""
    return np.zeros(count, STREAM_BUFFER)


@twin
def source_ready(buffer):  # pragma: no cover - compiled
    """``source.ready`` "falls in the cycle after something was taken while the one before was not passed on"."""
    return not buffer.second_valid


@twin
def step(buffer, source_valid, source, buffered_ready):  # pragma: no cover - compiled
    """A cycle of `firstspike_hw.stream_buffer`: "what is taken in cycle c is offered in c + 1"."""
    if buffered_ready or not buffer.valid:
        buffer.valid = source_valid or buffer.second_valid
        buffer.token = buffer.second if buffer.second_valid else source
        buffer.second_valid = False
    elif not buffer.second_valid:
        buffer.second_valid, buffer.second = source_valid, source
