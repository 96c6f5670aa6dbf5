# SPDX-License-Identifier: MIT
"""Weights that are whole steps of a scale, stored with as many bits as the hardware stores."""

import math

import numpy as np

from .fixed import ceil_div, weight_range

__all__ = ["pack_weights", "unpack_weights", "whole_steps"]


def whole_steps(weight: np.ndarray, step: float, bits: int) -> np.ndarray | None:
    """Return the integers k with ``weight == k * step`` to the last bit of float64, int64, or None if there are none
    that ``bits`` bits hold."""
    low, high = weight_range(bits)
    with np.errstate(over="ignore"):
        whole = np.clip(np.rint(np.asarray(weight, dtype=np.float64) / step), low, high)
    return whole.astype(np.int64) if np.array_equal(whole * step, weight) else None


def pack_weights(whole: np.ndarray, bits: int) -> np.ndarray:
    """Return integers in two's complement, one behind the other from the lowest bit of the first octet, uint8[N]."""
    flat = whole.ravel()
    planes = np.empty((flat.size, bits), dtype=np.uint8)
    for bit in range(bits):
        planes[:, bit] = flat >> bit & 1
    return np.packbits(planes, bitorder="little")


def unpack_weights(octets: np.ndarray, bits: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return what `pack_weights` packed, int64[shape].

    Raises
    ------
    ValueError
        There are too few octets or too many, or bits behind the last weight that are not 0.
    """
    count = math.prod(shape)
    if octets.shape != (ceil_div(count * bits, 8),):
        raise ValueError(f"must have {ceil_div(count * bits, 8)} octets, for {count} weights of {bits} bits, not "
                         f"{octets.size}")
    planes = np.unpackbits(octets, bitorder="little")
    if planes[count * bits:].any():
        raise ValueError("must have zeros behind the last weight")
    planes, whole = planes[: count * bits].reshape(count, bits), np.zeros(count, dtype=np.int64)
    for bit in range(bits):
        whole += planes[:, bit].astype(np.int64) << bit
    return (whole - (planes[:, bits - 1].astype(np.int64) << bits)).reshape(shape)
