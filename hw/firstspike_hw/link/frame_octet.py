# SPDX-License-Identifier: MIT
"""What a frame is between units: its octets, and then its end."""

from amaranth.lib import data, stream

__all__ = ["FRAME_OCTET", "frame_stream"]

FRAME_OCTET = data.StructLayout({"octet": 8, "end": 1})
"""With ``end`` the frame is over and ``octet`` says how: 0 well, anything else not."""


def frame_stream() -> stream.Signature:
    """A valid/ready stream of frames."""
    return stream.Signature(FRAME_OCTET)
