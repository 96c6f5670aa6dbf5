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

__all__ = ["Conv2d", "Dense", "Shape", "as_shape", "from_plain", "pooled", "size_of", "to_plain"]

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
