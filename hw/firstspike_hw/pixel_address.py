# SPDX-License-Identifier: MIT
"""Combinational conversion of a pixel's number to its address in a stream."""

from amaranth.hdl import Cat, Module, Signal, Value
from firstspike_arch.connectivity import size_of
from firstspike_arch.events import TokenLayout

__all__ = ["pixel_address"]


def pixel_address(m: Module, layout: TokenLayout, pixel: Value) -> Value:
    """Address of a pixel whose number counts in torch's order (C, H, W): the number itself for a vector, or channel, x
    and y for a map. Combinational; the logic is added to ``m``."""
    shape = layout.shape
    if len(shape) == 1:
        return pixel
    channels, height, width = shape
    channel_bits, x_bits, y_bits = layout.field_bits
    channel, x, y = Signal(channel_bits), Signal(x_bits), Signal(y_bits)
    line = Signal(range(channels * height))
    m.d.comb += [line.eq(_quotient(pixel, width, size_of(shape))), x.eq(pixel - line * width)]
    if channels > 1:
        m.d.comb += [channel.eq(_quotient(line, height, channels * height)), y.eq(line - channel * height)]
    else:
        m.d.comb += y.eq(line)
    return Cat(channel, x, y)


def _quotient(value: Value, divisor: int, limit: int) -> Value:
    """value // divisor for 0 ≤ value < limit, as a product and a shift."""
    shift = (divisor - 1).bit_length() + (limit - 1).bit_length()
    return value * (-(-(1 << shift) // divisor)) >> shift
