# SPDX-License-Identifier: MIT
"""The token of `firstspike_arch.events` as an Amaranth layout."""

from amaranth.lib import data, stream
from firstspike_arch.connectivity import Shape
from firstspike_arch.events import TokenLayout

__all__ = ["token_layout", "token_stream"]


def token_layout(shape: Shape) -> data.StructLayout:
    """``final``, ``marker``, ``address``, from the lowest bit."""
    return data.StructLayout({"final": 1, "marker": 1, "address": TokenLayout(shape=shape).address_bits})


def token_stream(shape: Shape) -> stream.Signature:
    """A valid/ready stream of tokens of neurons of this shape."""
    return stream.Signature(token_layout(shape))
