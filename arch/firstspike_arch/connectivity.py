# SPDX-License-Identifier: MIT
"""Connectivity: the neurons that each input address reaches, and the weights in between.

Shapes are (N,) for vectors and (C, H, W) for maps. Neurons are numbered as torch flattens them. An input map may be
sum-pooled, which only maps addresses: with windows of h × w, pixel (y, x) becomes pixel (y // h, x // w), and
incomplete windows at the lower and right border are dropped.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from operator import index
from typing import Any

import numpy as np

from .plain import decode
from .shown import shown

__all__ = [
    "Conv2d", "ConvTranspose2d", "Dense", "Pool", "Shape", "Window", "as_shape", "from_plain", "pool_sides", "pooled",
    "size_of", "to_plain",
]

Shape = tuple[int, ...]
Pool = int | tuple[int, int]
"""Windows in which a map is sum-pooled: the side of squares, or height and width. 1: none."""


def as_shape(given: int | Sequence[int]) -> Shape:
    """Return the shape that a user gives as N, (N,), (C, L) or (C, H, W); (C, L) becomes a map of height 1.

    Raises
    ------
    ValueError
        It is none.
    """
    try:
        shape = tuple(index(side) for side in (given if isinstance(given, Iterable) else (given,)))
    except TypeError:
        shape = ()
    if len(shape) not in (1, 2, 3) or min(shape) < 1 or isinstance(given, bool):
        raise ValueError(f"in_shape must be N, (N,), (C, L) or (C, H, W), each at least 1, not {shown(given)}")
    return (shape[0], 1, shape[1]) if len(shape) == 2 else shape


def size_of(shape: Shape) -> int:
    """Return the number of neurons of a shape."""
    return int(np.prod(shape))


def pool_sides(pool: Pool) -> tuple[int, int]:
    """Return height and width of the windows of a pool."""
    return (pool, pool) if isinstance(pool, int) else pool


def pooled(shape: Shape, pool: Pool) -> Shape:
    """Return the shape of a map after sum-pooling; a vector keeps its shape."""
    height, width = pool_sides(pool)
    return shape if height == width == 1 else (shape[0], shape[1] // height, shape[2] // width)


def _checked_pool(shape: Shape, pool: Any) -> Pool:
    """A pool that fits an input: equal sides as one number, as files have them."""
    if len(shape) not in (1, 3) or min(shape) < 1:
        raise ValueError(f"in_shape must be (N,) or (C, H, W), each at least 1, not {shown(shape)}")
    height, width = shape[1:] if len(shape) == 3 else (1, 1)
    sides = (pool, pool) if isinstance(pool, int) else pool
    if not (isinstance(sides, tuple) and len(sides) == 2 and all(isinstance(side, int) for side in sides)
            and 1 <= sides[0] <= height and 1 <= sides[1] <= width):
        limit = f"1…{min(height, width)}"
        limit += f", or sides of at most ({height}, {width})," if height != width or isinstance(pool, tuple) else ""
        raise ValueError(f"pool must be {limit} for an input of shape {shape}, not {shown(pool)}")
    return sides[0] if sides[0] == sides[1] else sides


class _Pooled:
    """What synapses know of the pool in front of them."""

    pool: Pool

    @property
    def pool_sides(self) -> tuple[int, int]:
        """Height and width of the pool's windows."""
        return pool_sides(self.pool)

    @property
    def pool_size(self) -> int:
        """Number of pixels of the pool's windows."""
        return math.prod(self.pool_sides)


@dataclass(frozen=True, kw_only=True)
class Dense(_Pooled):
    """Dense synapses: every input reaches every neuron.

    Parameters
    ----------
    in_shape : (N,) or (C, H, W)
        Shape of the input before pooling.
    neurons : int
    pool : int or (int, int)
        Windows in which a map is sum-pooled; equal sides become one number.

    Raises
    ------
    ValueError
        A parameter is out of range; the message names it.
    """

    in_shape: Shape
    neurons: int
    pool: Pool = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "pool", _checked_pool(self.in_shape, self.pool))
        if self.neurons < 1:
            raise ValueError(f"neurons must be at least 1, not {shown(self.neurons)}")

    @property
    def channels(self) -> int:
        """Number of channels: each neuron has parameters of its own."""
        return self.neurons

    @property
    def out_shape(self) -> Shape:
        return (self.neurons,)

    @property
    def weight_shape(self) -> Shape:
        """Shape of the weights: (neurons, inputs after pooling)."""
        return self.neurons, size_of(pooled(self.in_shape, self.pool))


@dataclass(frozen=True, kw_only=True)
class Conv2d(_Pooled):
    """A two-dimensional convolution, as torch defines it: output o takes pixel o·stride − padding + k·dilation through
    tap k.

    Parameters
    ----------
    in_shape : (C, H, W)
        Shape of the input before pooling.
    channels : int
        Channels of the output.
    kernel, stride, padding : (int, int)
        Vertical and horizontal size.
    groups : int
        Number of groups, which divides the channels of input and output; C for a depthwise convolution.
    pool : int or (int, int)
        Windows in which the input is sum-pooled; equal sides become one number.
    dilation : (int, int)
        Vertical and horizontal distance between the taps of the kernel.

    Raises
    ------
    ValueError
        A parameter is out of range; the message names it.
    """

    in_shape: Shape
    channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    groups: int = 1
    pool: Pool = 1
    dilation: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        if len(self.in_shape) != 3:
            raise ValueError(f"in_shape must be (C, H, W), not {shown(self.in_shape)}")
        object.__setattr__(self, "pool", _checked_pool(self.in_shape, self.pool))
        if self.channels < 1 or min(self.kernel) < 1 or min(self.stride) < 1 or min(self.padding) < 0:
            raise ValueError(
                f"channels, kernel and stride must be at least 1 and padding at least 0, not {shown(self.channels)}, "
                f"{shown(self.kernel)}, {shown(self.stride)}, {shown(self.padding)}"
            )
        if min(self.dilation) < 1:
            raise ValueError(f"dilation must be at least 1, not {shown(self.dilation)}")
        inputs = self.in_shape[0]
        if self.groups < 1 or inputs % self.groups or self.channels % self.groups:
            raise ValueError(
                f"groups must divide {inputs} input and {self.channels} output channels, not {shown(self.groups)}"
            )
        self._check_size()

    def _check_size(self) -> None:
        """Raise ValueError unless there is an output."""
        _, *size = pooled(self.in_shape, self.pool)
        reach = [(kernel - 1) * step + 1 for kernel, step in zip(self.kernel, self.dilation, strict=True)]
        if any(one > length + 2 * padding for one, length, padding in zip(reach, size, self.padding, strict=True)):
            of_taps = "" if reach == list(self.kernel) else f" of {reach[0]} × {reach[1]} with its dilation"
            raise ValueError(
                f"kernel{of_taps} must be at most the padded input, {size[0] + 2 * self.padding[0]} × "
                f"{size[1] + 2 * self.padding[1]}, not {self.kernel[0]} × {self.kernel[1]}"
            )

    @property
    def out_shape(self) -> Shape:
        _, *size = pooled(self.in_shape, self.pool)
        height, width = (
            (length + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
            for length, kernel, stride, padding, dilation in zip(
                size, self.kernel, self.stride, self.padding, self.dilation, strict=True)
        )
        return self.channels, height, width

    @property
    def weight_shape(self) -> Shape:
        """Shape of the weights: (channels, input channels of a group, kernel height, kernel width)."""
        return self.channels, self.in_shape[0] // self.groups, *self.kernel

    @property
    def slides(self) -> bool:
        """Whether an event reaches neighbouring outputs through taps that are ``stride`` apart, from the last to the
        first: a convolution without dilation."""
        return self.dilation == (1, 1)

    def neighbours(self, axis: int) -> tuple[int, int]:
        """Return the distances, in outputs and in taps, from one output that an event reaches along an axis to the
        next."""
        stride, dilation = self.stride[axis], self.dilation[axis]
        common = math.gcd(stride, dilation)
        return dilation // common, -stride // common

    def outputs(self, axis: int) -> np.ndarray:
        """Return the output that each pooled pixel reaches through each tap along an axis, int64[taps, pixels]; −1:
        none."""
        pixel, tap = self._pixels_and_taps(axis)
        output, rest = np.divmod(pixel + self.padding[axis] - tap * self.dilation[axis], self.stride[axis])
        return np.where(rest == 0, self._inside(axis, output), -1)

    def _pixels_and_taps(self, axis: int) -> tuple[np.ndarray, np.ndarray]:
        """Pooled pixels, and taps as a column, along an axis."""
        return np.arange(pooled(self.in_shape, self.pool)[1 + axis]), np.arange(self.kernel[axis])[:, None]

    def _inside(self, axis: int, output: np.ndarray) -> np.ndarray:
        """The outputs; −1 where there is none."""
        return np.where((output >= 0) & (output < self.out_shape[1 + axis]), output, -1)


@dataclass(frozen=True, kw_only=True)
class ConvTranspose2d(Conv2d):
    """A transposed convolution, as torch defines it: pixel i reaches output i·stride − padding + k·dilation through tap
    k.

    Parameters
    ----------
    output_padding : (int, int)
        Further outputs at the lower and right border; smaller than stride or dilation.
    in_shape, channels, kernel, stride, padding, groups, pool, dilation
        As in `Conv2d`. The weights also have the shape of those of a `Conv2d`, channels of the output first, where
        torch has those of the input first.

    Raises
    ------
    ValueError
        A parameter is out of range; the message names it.
    """

    output_padding: tuple[int, int] = (0, 0)

    def _check_size(self) -> None:
        most = [max(both) - 1 for both in zip(self.stride, self.dilation, strict=True)]
        if any(not 0 <= one <= limit for one, limit in zip(self.output_padding, most, strict=True)):
            raise ValueError(f"output_padding must be smaller than stride or dilation, at most ({most[0]}, {most[1]}), "
                             f"not {shown(self.output_padding)}")
        if min(self.out_shape[1:]) < 1:
            raise ValueError(f"padding must leave an output, not one of {self.out_shape[1]} × {self.out_shape[2]}: "
                             f"{shown(self.padding)}")

    @property
    def out_shape(self) -> Shape:
        _, *size = pooled(self.in_shape, self.pool)
        height, width = (
            (length - 1) * stride - 2 * padding + dilation * (kernel - 1) + more + 1
            for length, kernel, stride, padding, dilation, more in zip(
                size, self.kernel, self.stride, self.padding, self.dilation, self.output_padding, strict=True)
        )
        return self.channels, height, width

    @property
    def slides(self) -> bool:
        return False

    def neighbours(self, axis: int) -> tuple[int, int]:
        return self.dilation[axis], 1

    def outputs(self, axis: int) -> np.ndarray:
        pixel, tap = self._pixels_and_taps(axis)
        return self._inside(axis, pixel * self.stride[axis] - self.padding[axis] + tap * self.dilation[axis])


_KINDS: dict[str, type[Dense | Conv2d]] = {kind.__name__: kind for kind in (Dense, Conv2d, ConvTranspose2d)}


@dataclass(frozen=True, kw_only=True)
class Window:
    """The windows of a maximum pool, as torch defines them.

    Parameters
    ----------
    kernel, stride, padding, dilation : (int, int)
        Vertical and horizontal size. What lies beyond the border is never the largest of a window.
    ceil_mode : bool
        Windows that begin inside the map, or in the padding before it, count also if they end beyond its border.

    Raises
    ------
    ValueError
        A parameter is out of range; the message names it.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        if min(*self.kernel, *self.stride, *self.dilation) < 1 or min(self.padding) < 0:
            raise ValueError("kernel, stride and dilation must be at least 1 and padding at least 0, not "
                             f"{self.kernel!r}, {self.stride!r}, {self.dilation!r}, {self.padding!r}")
        if any(2 * padding > kernel for padding, kernel in zip(self.padding, self.kernel, strict=True)):
            raise ValueError(f"padding must be at most half of the kernel {self.kernel!r}, not {self.padding!r}")

    def out_shape(self, shape: Shape) -> Shape:
        """Return the shape of a map (C, H, W) after the pool.

        Raises
        ------
        ValueError
            The map is smaller than a window, or a window lies in the padding altogether.
        """
        if len(shape) != 3:
            raise ValueError(f"a maximum pool must take a map (C, H, W), not {shown(shape)}")
        size = tuple(self._windows(axis, shape[1 + axis]) for axis in (0, 1))
        if min(size) < 1:
            raise ValueError(f"kernel must be at most the padded map, not {self.kernel[0]} × {self.kernel[1]} for "
                             f"{shape[1]} × {shape[2]}")
        if any((self._inside(axis, shape[1 + axis]).sum(0) == 0).any() for axis in (0, 1)):
            raise ValueError(f"padding must leave each window a pixel of the map {shape[1]} × {shape[2]}, not "
                             f"{shown(self.padding)}")
        return shape[0], *size

    def taps(self, axis: int, length: int) -> np.ndarray:
        """Return the coordinate along an axis that each tap of each window takes, int64[kernel, windows].

        A tap beyond the border takes what another tap of its window takes: the largest is the same.
        """
        taps, inside = self._coordinates(axis, length), self._inside(axis, length)
        return np.where(inside, taps, np.take_along_axis(taps, inside.argmax(0)[None], 0))

    def last_taps(self, axis: int, length: int) -> np.ndarray:
        """Return which tap of which window is the last to take its coordinate, bool[kernel, windows].

        Taps are taken one after the other, each in all windows.
        """
        taps = self.taps(axis, length)
        last = np.zeros(taps.shape, dtype=bool)
        _, from_the_end = np.unique(taps.ravel()[::-1], return_index=True)
        last.ravel()[taps.size - 1 - from_the_end] = True
        return last

    def _windows(self, axis: int, length: int) -> int:
        room = length + 2 * self.padding[axis] - self.dilation[axis] * (self.kernel[axis] - 1) - 1
        stride = self.stride[axis]
        windows = (-(-room // stride) if self.ceil_mode else room // stride) + 1
        return windows - (self.ceil_mode and (windows - 1) * stride >= length + self.padding[axis])

    def _coordinates(self, axis: int, length: int) -> np.ndarray:
        first = np.arange(self._windows(axis, length)) * self.stride[axis] - self.padding[axis]
        return first + self.dilation[axis] * np.arange(self.kernel[axis])[:, None]

    def _inside(self, axis: int, length: int) -> np.ndarray:
        taps = self._coordinates(axis, length)
        return (taps >= 0) & (taps < length)


def to_plain(connectivity: Dense | Conv2d) -> dict:
    """Return plain values that JSON can hold. A dilation of 1 is left out, as files of older versions have none."""
    values = asdict(connectivity)
    if values.get("dilation") == (1, 1):
        del values["dilation"]
    return {"kind": type(connectivity).__name__,
            **{name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}}


def from_plain(plain: Any) -> Dense | Conv2d:
    """Read what `to_plain` returns.

    Raises
    ------
    ValueError
        ``plain`` is anything else.
    """
    kind = _KINDS.get(str(plain.get("kind"))) if isinstance(plain, dict) else None
    if kind is None:
        raise ValueError(f"connectivity must be a table of kind {', '.join(_KINDS)}, not {shown(plain)}")
    try:
        return decode(kind, {name: value for name, value in plain.items() if name != "kind"})
    except ValueError as error:
        raise ValueError(f"connectivity: {error}") from None
