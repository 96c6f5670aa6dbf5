# SPDX-License-Identifier: MIT
"""The token of `firstspike_arch.events` as an Amaranth layout."""

from amaranth.hdl import Shape
from amaranth.lib import data, stream
from firstspike_arch.core_spec import CoreInput
from firstspike_arch.events import TokenLayout

__all__ = ["input_stream", "token_struct", "token_stream"]


def token_struct(layout: TokenLayout, spare_bits: int = 0) -> data.StructLayout:
    """A token as a struct of ``final``, ``marker``, ``address`` and ``value``, from the lowest bit; with two events,
    ``second`` follows, of ``valid``, ``address`` and ``value``. A token in a longer word has ``spare`` bits above."""
    event = {"address": layout.address_bits, "value": Shape(layout.value_bits, layout.signed)}
    second = {} if layout.slots == 1 else {"second": data.StructLayout({"valid": 1, **event})}
    spare = {"spare": spare_bits} if spare_bits else {}
    return data.StructLayout({"final": 1, "marker": 1, **event, **second, **spare})


def token_stream(layout: TokenLayout, spare_bits: int = 0) -> stream.Signature:
    """A valid/ready stream of tokens."""
    return stream.Signature(token_struct(layout, spare_bits))


def input_stream(one: CoreInput) -> stream.Signature:
    """A valid/ready stream of tokens as a core takes them: behind a weight fetcher, with the ``buffer`` of the event's
    weights above."""
    token = token_struct(one.layout)
    if one.fetching is None:
        return stream.Signature(token)
    members = {name: field.shape for name, field in token}
    return stream.Signature(data.StructLayout({**members, "buffer": range(one.fetching.buffers)}))
