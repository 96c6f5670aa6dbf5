# SPDX-License-Identifier: MIT
"""Connectivity: the neurons that each input address reaches, and the weights in between.

Shapes are (N,) for vectors and (C, H, W) for maps. Neurons are numbered as torch flattens them. An input map may be
sum-pooled, which only maps addresses: pixel (y, x) becomes pixel (y // pool, x // pool), and incomplete windows at the
lower and right border are dropped.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from operator import index
from typing import Any

import numpy as np

from .plain import decode

__all__ = ["Conv2d", "Dense", "Shape", "Window", "as_shape", "from_plain", "pooled", "size_of", "to_plain"]

Shape = tuple[int, ...]


def as_shape(given: int | Sequence[int]) -> Shape:
    """Return the shape that a user gives as N, (N,) or (C, H, W).

    Raises
    ------
    ValueError
        It is none.
    """
    try:
        shape = tuple(index(side) for side in (given if isinstance(given, Iterable) else (given,)))
    except TypeError:
        shape = ()
    if len(shape) not in (1, 3) or min(shape) < 1 or isinstance(given, bool):
        raise ValueError(f"in_shape must be N, (N,) or (C, H, W), each at least 1, not {given!r}")
    return shape


def size_of(shape: Shape) -> int:
    """Return the number of neurons of a shape."""
    return int(np.prod(shape))


def pooled(shape: Shape, pool: int) -> Shape:
    """Return the shape of a map after sum-pooling; a vector keeps its shape."""
    return shape if pool == 1 else (shape[0], shape[1] // pool, shape[2] // pool)


def _check_pool(shape: Shape, pool: int) -> None:
    if len(shape) not in (1, 3) or min(shape) < 1:
        raise ValueError(f"in_shape must be (N,) or (C, H, W), each at least 1, not {shape!r}")
    limit = 1 if len(shape) == 1 else min(shape[1:])
    if not isinstance(pool, int) or not 1 <= pool <= limit:
        raise ValueError(f"pool must be 1…{limit} for an input of shape {shape}, not {pool!r}")


@dataclass(frozen=True, kw_only=True)
class Dense:
    """Dense synapses: every input reaches every neuron.

    Parameters
    ----------
    in_shape : (N,) or (C, H, W)
        Shape of the input before pooling.
    neurons : int
    pool : int
        Side of the windows in which a map is sum-pooled.

    Raises
    ------
    ValueError
        A parameter is out of range; the message names it.
    """

    in_shape: Shape
    neurons: int
    pool: int = 1

    def __post_init__(self) -> None:
        _check_pool(self.in_shape, self.pool)
        if self.neurons < 1:
            raise ValueError(f"neurons must be at least 1, not {self.neurons!r}")

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
class Conv2d:
    """A two-dimensional convolution, as torch defines it.

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
    pool : int
        Side of the windows in which the input is sum-pooled.

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
    pool: int = 1

    def __post_init__(self) -> None:
        if len(self.in_shape) != 3:
            raise ValueError(f"in_shape must be (C, H, W), not {self.in_shape!r}")
        _check_pool(self.in_shape, self.pool)
        if self.channels < 1 or min(self.kernel) < 1 or min(self.stride) < 1 or min(self.padding) < 0:
            raise ValueError(
                f"channels, kernel and stride must be at least 1 and padding at least 0, not {self.channels!r}, "
                f"{self.kernel!r}, {self.stride!r}, {self.padding!r}"
            )
        inputs, *size = pooled(self.in_shape, self.pool)
        if self.groups < 1 or inputs % self.groups or self.channels % self.groups:
            raise ValueError(
                f"groups must divide {inputs} input and {self.channels} output channels, not {self.groups!r}"
            )
        for length, kernel, padding in zip(size, self.kernel, self.padding, strict=True):
            if kernel > length + 2 * padding:
                raise ValueError(
                    f"kernel must be at most the padded input, {size[0] + 2 * self.padding[0]} × "
                    f"{size[1] + 2 * self.padding[1]}, not {self.kernel[0]} × {self.kernel[1]}"
                )

    @property
    def out_shape(self) -> Shape:
        _, *size = pooled(self.in_shape, self.pool)
        height, width = (
            (length + 2 * padding - kernel) // stride + 1
            for length, kernel, stride, padding in zip(size, self.kernel, self.stride, self.padding, strict=True)
        )
        return self.channels, height, width

    @property
    def weight_shape(self) -> Shape:
        """Shape of the weights: (channels, input channels of a group, kernel height, kernel width)."""
        return self.channels, self.in_shape[0] // self.groups, *self.kernel


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
            raise ValueError(f"a maximum pool must take a map (C, H, W), not {shape!r}")
        size = tuple(self._windows(axis, shape[1 + axis]) for axis in (0, 1))
        if min(size) < 1:
            raise ValueError(f"kernel must be at most the padded map, not {self.kernel[0]} × {self.kernel[1]} for "
                             f"{shape[1]} × {shape[2]}")
        if any((self._inside(axis, shape[1 + axis]).sum(0) == 0).any() for axis in (0, 1)):
            raise ValueError(f"padding must leave each window a pixel of the map {shape[1]} × {shape[2]}, not "
                             f"{self.padding!r}")
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
    """Return plain values that JSON can hold."""
    values = asdict(connectivity).items()
    return {"kind": type(connectivity).__name__, **{k: list(v) if isinstance(v, tuple) else v for k, v in values}}


def from_plain(plain: Any) -> Dense | Conv2d:
    """Read what `to_plain` returns.

    Raises
    ------
    ValueError
        ``plain`` is anything else.
    """
    kind = {"Dense": Dense, "Conv2d": Conv2d}.get(str(plain.get("kind"))) if isinstance(plain, dict) else None
    if kind is None:
        raise ValueError(f"connectivity must be a table of kind Dense or Conv2d, not {plain!r}")
    try:
        return decode(kind, {name: value for name, value in plain.items() if name != "kind"})
    except ValueError as error:
        raise ValueError(f"connectivity: {error}") from None
