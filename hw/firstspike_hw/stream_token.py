# SPDX-License-Identifier: MIT
"""The token of `firstspike_arch.events` as an Amaranth layout."""

from amaranth.lib import data, stream
from firstspike_arch.events import TokenLayout

__all__ = ["token_layout", "token_stream"]


def token_layout(addresses: int) -> data.StructLayout:
    """``final``, ``marker``, ``address``, from the lowest bit."""
    return data.StructLayout({"final": 1, "marker": 1, "address": TokenLayout(addresses=addresses).address_bits})


def token_stream(addresses: int) -> stream.Signature:
    """A valid/ready stream of tokens of so many neurons."""
    return stream.Signature(token_layout(addresses))
