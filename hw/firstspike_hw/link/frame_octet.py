# SPDX-License-Identifier: MIT
"""Frames between units: their octets, and behind each frame its end."""

from amaranth.lib import data, stream

__all__ = ["FRAME_OCTET", "frame_stream"]

FRAME_OCTET = data.StructLayout({"octet": 8, "end": 1})
"""An octet of a frame; or with ``end`` the end of it, and ``octet`` is 0 if the frame is whole."""


def frame_stream() -> stream.Signature:
    """A valid/ready stream of frames."""
    return stream.Signature(FRAME_OCTET)
