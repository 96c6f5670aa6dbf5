# SPDX-License-Identifier: MIT
"""The token of `firstspike_arch.events` as an Amaranth layout."""

from amaranth.hdl import Shape
from amaranth.lib import data, stream
from firstspike_arch.events import TokenLayout

__all__ = ["token_struct", "token_stream"]


def token_struct(layout: TokenLayout) -> data.StructLayout:
    """A token as a struct of ``final``, ``marker``, ``address`` and ``value``, from the lowest bit; with two events,
    ``second`` follows, of ``valid``, ``address`` and ``value``."""
    event = {"address": layout.address_bits, "value": Shape(layout.value_bits, layout.signed)}
    second = {} if layout.slots == 1 else {"second": data.StructLayout({"valid": 1, **event})}
    return data.StructLayout({"final": 1, "marker": 1, **event, **second})


def token_stream(layout: TokenLayout) -> stream.Signature:
    """A valid/ready stream of tokens."""
    return stream.Signature(token_struct(layout))
