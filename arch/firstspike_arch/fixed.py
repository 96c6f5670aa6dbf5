# SPDX-License-Identifier: MIT
"""Number formats: the only place that rounds, saturates or packs bits.

Every rounding rule works on Python numbers, NumPy arrays and torch tensors alike, so that training, compiler and golden
model cannot disagree.
"""

import math

import numpy as np

__all__ = [
    "LEAK_ERROR_MAX", "LEAK_SHIFT", "LEAK_SHIFT_MAX", "are_whole", "bits_for_signed", "bits_for_unsigned", "ceil_div",
    "largest_weight", "latency_step", "leak_error", "leak_origin", "leaked", "nearest_leak", "pack_rows", "quantise",
    "shortest_leak", "standardise", "sufficient_shift", "threshold_at_least", "threshold_above", "unpack_rows",
    "weight_range", "weight_scale",
]

CHUNK_BITS = 32
"""Width of a chunk, the data of one program-port word. Memory words are padded to whole chunks."""

FLOAT32_ROUNDING = 2.0**-20
"""Relative error up to which a quotient counts as whole: 2^-24 for each number, and for each of a few operations."""

LEAK_SHIFT_MAX = 15
"""Largest shift of a leak num/2^shift (docs/semantics.md, section 1)."""

LEAK_SHIFT = 8
"""Shift of leaks that are not slow; each bit may cost a pass over all rows in every step."""

LEAK_ERROR_MAX = 0.02
"""Largest share of 1 − leak, and so of the time constant in steps, by which a leak should be off."""


def ceil_div(a: int, b: int) -> int:
    """Return the smallest integer not below a / b."""
    return -(-a // b)


def bits_for_unsigned(value: int) -> int:
    """Return the bits, at least 1, that hold every integer 0 … `value`."""
    return max(1, int(value).bit_length())


def bits_for_signed(low: int, high: int) -> int:
    """Return the bits of the narrowest two's complement number that holds both `low` and `high`."""
    return 1 + max(int(high).bit_length() if high >= 0 else 0, (int(~low)).bit_length() if low < 0 else 0)


def weight_range(bits: int) -> tuple[int, int]:
    """Return the lowest and the highest weight that 2 … 8 bits hold, −2^(bits − 1) and 2^(bits − 1) − 1."""
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def largest_weight(bits: int) -> int:
    """Return the largest magnitude of a rounded weight. Its range is symmetric; 1 bit means ±1."""
    return 1 if bits == 1 else 2 ** (bits - 1) - 1


def quantise(real, scale, bits: int):
    """Return round(real / scale), half to even, clipped to ±largest_weight(bits), in the type of `real`."""
    limit = largest_weight(bits)
    return (real / scale).round().clip(-limit, limit)


def are_whole(ratios: np.ndarray) -> np.ndarray:
    """Return whether each quotient of numbers that went through float32 is a whole number but for its rounding."""
    whole = np.rint(ratios)
    return np.abs(ratios - whole) <= FLOAT32_ROUNDING * np.abs(whole)


def weight_scale(largest_magnitude, bits: int):
    """Return the real value of one weight step for which `largest_magnitude` maps to the largest weight."""
    return largest_magnitude / largest_weight(bits)


def _ratio(real: float, scale: float) -> float:
    """Return real / scale; a quotient that misses a whole number only by rounding becomes that number."""
    ratio = real / scale
    whole = round(ratio)
    return whole if abs(ratio - whole) <= 1e-12 * abs(whole) else ratio


def threshold_at_least(theta: float, scale: float) -> int:
    """Return the integer K such that v·scale ≥ theta ⇔ v ≥ K for every integer v."""
    return math.ceil(_ratio(theta, scale))


def threshold_above(theta: float, scale: float) -> int:
    """Return the integer K such that v·scale > theta ⇔ v ≥ K for every integer v."""
    return math.floor(_ratio(theta, scale)) + 1


def nearest_leak(leak, shift_max: int):
    """Return (num, shift) with num/2^shift nearest to a leak in 0 … 1, by the smallest such shift ≤ ``shift_max``.

    Several leaks, float64[C], get one shift: num is then int64[C].
    """
    num = np.rint(np.multiply(leak, 1 << shift_max)).astype(np.int64)
    num, shift = shortest_leak(num, shift_max)
    return (num if np.ndim(leak) else int(num)), shift


def leak_error(leak, num, shift: int):
    """Return by what share of 1 − leak num/2^shift is off: 0 where exact, ∞ where a leak of 1 is not 1."""
    off = np.abs(num / (1 << shift) - np.asarray(leak))
    with np.errstate(divide="ignore"):
        return np.divide(off, 1.0 - np.asarray(leak), out=np.zeros_like(off), where=off > 0)


def sufficient_shift(leak) -> int:
    """Return the shift that leaks in 0 … 1 need, one or several: those that are num/2^15 are then exact; others are off
    by at most `LEAK_ERROR_MAX`, if a shift up to 15 can do that, and have a shift of at least `LEAK_SHIFT`."""
    real = np.unique(leak)
    num, shift = nearest_leak(real, LEAK_SHIFT_MAX)
    inexact = real[num != real * (1 << shift)]
    if not inexact.size:
        return shift
    _, needed = nearest_leak(np.setdiff1d(real, inexact), LEAK_SHIFT_MAX)
    return max(needed, next((
        shift for shift in range(LEAK_SHIFT, LEAK_SHIFT_MAX)
        if leak_error(inexact, *nearest_leak(inexact, shift)).max() <= LEAK_ERROR_MAX), LEAK_SHIFT_MAX))


def shortest_leak(num, shift: int):
    """Return the same num/2^shift, of one leak or of several, with the smallest shift."""
    while shift and not np.any(num % 2):
        num, shift = num // 2, shift - 1
    return num, shift


def leaked(values, num, shift: int, *, toward_zero: bool):
    """Return values·num / 2^shift for arrays or tensors of integers, rounded toward −∞, or toward 0."""
    products = values * num
    if not toward_zero:
        return products >> shift
    return (products >> shift).clip(0, None) - (-products >> shift).clip(0, None)


def leak_origin(num, shift: int):
    """Return k ≥ 0 with which a leak num/2^shift, one or several, rounds membranes that count from −k to the nearest.

    Rounding down then does that: floor(leak·(v − k)) = floor(leak·v + k·(1 − leak)) − k. The k is taken with which the
    mean of what rounding adds is nearest to 0, the smaller of two: leak·v is off by at most half a step, half down if
    leak = 1 − 2^−n, and by at most (1 − leak)/2 more for others. 0: rounding down is as near; or nothing is rounded.
    """
    one = (1 << shift) // np.gcd(num, 1 << shift)  # the leak is (one − lost) / one in its lowest terms
    lost = one - (num * one >> shift)
    least = -((lost + 1 - one) // np.maximum(2 * lost, 1))
    found = np.where(lost > 0, np.maximum(least, 0), 0)
    return found if np.ndim(num) else int(found)


def latency_step(pixels, steps: int):
    """Return the step in which a pixel p = 0…255 spikes: round((1 − p/255)(T − 1)), computed exactly in integers.

    A half never occurs because 255 is odd. The type of `pixels` must be wider than uint8.
    """
    return (2 * (steps - 1) * (255 - pixels) + 255) // 510


def pack_rows(rows: np.ndarray, bits: int) -> list[int]:
    """Pack rows of signed integers, int[R, K], into R memory words: lane k is in bits k·bits … (k+1)·bits − 1."""
    rows = np.asarray(rows, dtype=np.int64)
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    if rows.size and (rows.min() < low or rows.max() > high):
        raise ValueError(f"values must fit {bits} signed bits, not {rows.min()}…{rows.max()}")
    planes = ((rows[:, :, None] >> np.arange(bits)) & 1).astype(np.uint8).reshape(len(rows), -1)
    packed = np.packbits(planes, axis=1, bitorder="little")
    return [int.from_bytes(row.tobytes(), "little") for row in packed]


def unpack_rows(words: list[int], bits: int, lanes: int) -> np.ndarray:
    """Unpack what `pack_rows` returns, int64[R, lanes]."""
    size = ceil_div(bits * lanes, 8)
    raw = np.frombuffer(b"".join(word.to_bytes(size, "little") for word in words), dtype=np.uint8)
    planes = np.unpackbits(raw.reshape(len(words), size), axis=1, bitorder="little", count=bits * lanes)
    planes = planes.reshape(len(words), lanes, bits).astype(np.int64)
    weights = 1 << np.arange(bits, dtype=np.int64)
    weights[-1] = -weights[-1]
    return planes @ weights


def standardise(weight, steps: int):
    """Normalise each row of W[M, N] to sqrt(T/N)·(W − mean)/std, as ETTFS trains and the compiler folds it."""
    fan_in = weight.shape[1]
    centred = weight - weight.mean(1)[:, None]
    deviation = ((centred * centred).sum(1) / fan_in) ** 0.5
    return centred / (deviation[:, None] + 1e-5) * math.sqrt(steps / fan_in)
