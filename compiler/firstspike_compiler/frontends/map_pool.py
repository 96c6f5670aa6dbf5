# SPDX-License-Identifier: MIT
"""Average and sum pools of maps, merged into the synapses behind them or in front of them.

A pool is linear, so it is exact wherever synapses have weights for what it does: windows side by side only map
addresses; windows of one size are a convolution, which another one composes with; any windows at all spread over dense
weights.
"""

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from firstspike_arch.connectivity import Conv2d, ConvTranspose2d, Dense, Shape

__all__ = ["MapPool", "adaptive_pool", "pool_currents", "take_pool", "window_pool"]

Pair = tuple[int, int]
NUMBERS_MAX = 1 << 26
"""Most pixels that the windows along a side take together; those of a file are checked before they are numbered."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Axis:
    """What each output along an axis takes of the pixels: ``numbers`` / ``divisor``, from pixel ``begins`` on.

    ``numbers`` int64[outputs, span] are 0 beyond the last pixel that an output takes; ``begins`` int64[outputs];
    ``pixels``: how many there are.
    """

    begins: np.ndarray
    numbers: np.ndarray
    divisor: int
    pixels: int

    def behind(self, first: "_Axis") -> "_Axis":
        outputs, span = self.numbers.shape
        taken = np.minimum(self.begins[:, None] + np.arange(span), len(first.begins) - 1)
        shift = first.begins[taken] - first.begins[self.begins][:, None]  # windows begin in ascending order
        numbers = np.zeros((outputs, int(shift.max()) + first.numbers.shape[1]), dtype=np.int64)
        for place in range(span):
            for pixel in range(first.numbers.shape[1]):
                more = self.numbers[:, place] * first.numbers[taken[:, place], pixel]
                numbers[np.arange(outputs), shift[:, place] + pixel] += more
        divisor = self.divisor * first.divisor
        common = math.gcd(divisor, int(np.gcd.reduce(numbers, axis=None)))
        return _Axis(begins=first.begins[self.begins], numbers=numbers // common, divisor=divisor // common,
                     pixels=first.pixels)

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Values of outputs, as weights of the pixels: float64[outputs, …] → float64[pixels, …]."""
        total = np.zeros((self.pixels, *values.shape[1:]))
        for place in range(self.numbers.shape[1]):
            share = self.numbers[:, place].reshape(-1, *[1] * (values.ndim - 1))
            np.add.at(total, np.minimum(self.begins + place, self.pixels - 1), values * share)
        return total / self.divisor

    @property
    def windows(self) -> tuple[int, int, int] | None:
        """Kernel, stride and padding, if every output is the same multiple of the sum of such a window; else None."""
        taken, (outputs, span) = self.numbers != 0, self.numbers.shape
        if not taken.any(1).all() or (self.numbers[taken] != self.numbers.max()).any():
            return None
        first, last = self.begins + taken.argmax(1), self.begins + span - 1 - taken[:, ::-1].argmax(1)
        kernel = int((last - first).max()) + 1
        padding = kernel - 1 - int(last[0])
        # A window alone may leave pixels behind it, which a stride must then pass over.
        stride = int(last[1] - last[0]) if outputs > 1 else max(kernel, self.pixels + 2 * padding - kernel + 1)
        if stride < 1 or padding < 0 or (self.pixels + 2 * padding - kernel) // stride + 1 != outputs:
            return None
        begins = np.arange(outputs) * stride - padding
        same = (first == np.maximum(begins, 0)) & (last == np.minimum(begins + kernel, self.pixels) - 1) & (
            taken.sum(1) == last - first + 1)
        return (kernel, stride, padding) if same.all() else None


@dataclass(frozen=True, kw_only=True, eq=False)
class MapPool:
    """A pool, or several one behind the other: each output takes shares of pixels, along y and along x.

    `window_pool` and `adaptive_pool` make one.
    """

    axes: tuple[_Axis, _Axis]

    @property
    def size(self) -> Pair:
        """Height and width of what comes out."""
        return len(self.axes[0].begins), len(self.axes[1].begins)

    @property
    def changes(self) -> bool:
        """Whether what comes out is not what went in."""
        return self.sides != (1, 1) or self.share != 1

    @property
    def windows(self) -> tuple[Pair, Pair, Pair] | None:
        """Kernel, stride and padding, if all outputs are the same multiple of the sum of such a window; else None."""
        down, across = (axis.windows for axis in self.axes)
        if down is None or across is None:
            return None
        kernel, stride, padding = zip(down, across, strict=True)
        return kernel, stride, padding

    @property
    def sides(self) -> Pair | None:
        """Height and width of windows, if they lie side by side, as those of `Dense.pool` do; else None."""
        windows = self.windows
        return windows[0] if windows is not None and windows[0] == windows[1] and windows[2] == (0, 0) else None

    @property
    def share(self) -> Fraction:
        """What an output takes of each pixel of its window, if ``windows`` are all the same."""
        return math.prod((Fraction(int(axis.numbers.max()), axis.divisor) for axis in self.axes), start=Fraction(1))

    @property
    def gain(self) -> Fraction:
        """An output where all pixels are 1, if ``windows`` are all the same: 1 for an average."""
        windows = self.windows
        return self.share * math.prod(windows[0]) if windows is not None else self.share

    def behind(self, first: "MapPool | None") -> "MapPool":
        """This pool behind another one, as one."""
        if first is None:
            return self
        down, across = (one.behind(other) for one, other in zip(self.axes, first.axes, strict=True))
        return MapPool(axes=(down, across))

    def shape(self, shape: Shape) -> Shape:
        """Shape of a map (C, H, W) behind the pool."""
        return shape[0], *self.size


def window_pool(
    size: Pair, kernel: Pair, stride: Pair, padding: Pair = (0, 0), *, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor: int | None = None,
) -> MapPool:
    """The pool of a map of this height and width, as `torch.nn.AvgPool2d` defines it; with ``divisor`` 1 it adds up.

    Raises
    ------
    ValueError
        A window does not fit.
    """
    # Ref: PyTorch, aten/src/ATen/native/Pool.h (pooling_output_shape) and cpu/AvgPoolKernel.cpp
    for length, side, step, pad in zip(size, kernel, stride, padding, strict=True):
        if side < 1 or step < 1 or not 0 <= 2 * pad <= side or side > length + 2 * pad:
            raise ValueError(f"must have windows inside the map of {size[0]} × {size[1]}, padded by at most half a "
                             f"window, not windows of {kernel[0]} × {kernel[1]} with stride {stride} and padding "
                             f"{padding}")
    axes = []
    for axis, (length, side, step, pad) in enumerate(zip(size, kernel, stride, padding, strict=True)):
        outputs = (length + 2 * pad - side + (step - 1 if ceil_mode else 0)) // step + 1
        outputs -= ceil_mode and (outputs - 1) * step >= length + pad
        begins = np.arange(outputs) * step - pad
        ends = np.minimum(begins + side, length + pad)
        counted = (ends - begins if count_include_pad else np.minimum(ends, length) - np.maximum(begins, 0))
        if divisor is not None:
            counted = np.full(outputs, 1 if axis else divisor)
        axes.append(_shares(length, begins, ends, counted))
    return MapPool(axes=(axes[0], axes[1]))


def adaptive_pool(size: Pair, outputs: Pair) -> MapPool:
    """The pool of a map of this height and width to another one, as `torch.nn.AdaptiveAvgPool2d` defines it.

    Raises
    ------
    ValueError
        There is no output.
    """
    # Ref: PyTorch, aten/src/ATen/native/AdaptivePooling.h (start_index, end_index)
    if min(outputs) < 1:
        raise ValueError(f"must divide a map into at least one window, not into {outputs[0]} × {outputs[1]}")
    axes = []
    for length, count in zip(size, outputs, strict=True):
        places = np.arange(count)
        begins, ends = places * length // count, -(-(places + 1) * length // count)
        axes.append(_shares(length, begins, ends, ends - begins))
    return MapPool(axes=(axes[0], axes[1]))


def _shares(length: int, begins: np.ndarray, ends: np.ndarray, divisors: np.ndarray) -> _Axis:
    """The axis on which each output is the sum of its window, divided by a number of its own."""
    begins, ends = np.maximum(begins, 0), np.minimum(ends, length)
    span = int((ends - begins).max())
    if span * len(begins) > NUMBERS_MAX:
        raise ValueError(f"must have fewer or smaller windows along a side than {len(begins)} of {span} pixels")
    divisor = math.lcm(*divisors.tolist())
    taken = begins[:, None] + np.arange(span) < ends[:, None]
    return _Axis(begins=begins, numbers=taken * (divisor // divisors)[:, None], divisor=divisor, pixels=length)


def take_pool(
    pool: MapPool | None, in_shape: Shape, weight: np.ndarray, connectivity: Dense | Conv2d,
) -> tuple[np.ndarray, Dense | Conv2d, bool]:
    """Let synapses take the map in front of a pool.

    Parameters
    ----------
    pool : MapPool or None
        None: nothing lies in between.
    in_shape : (N,) or (C, H, W)
        Shape in front of the pool.
    weight, connectivity
        Synapses that take what comes out of the pool.

    Returns
    -------
    weight : float64[connectivity.weight_shape]
    connectivity : Dense or Conv2d
    averages : bool
        Whether ``connectivity.pool`` averages instead of adding up.

    Raises
    ------
    ValueError
        No synapses do what both do. The message says what the synapses must be.
    """
    if pool is None:
        return weight, replace(connectivity, in_shape=in_shape), False
    if pool.sides is not None:
        averages = pool.sides != (1, 1) and pool.share != 1
        return (weight if pool.gain == 1 or pool.share == 1 else weight * float(pool.gain),
                replace(connectivity, in_shape=in_shape, pool=pool.sides), averages)
    if isinstance(connectivity, Dense):
        down, across = pool.axes
        by_output = weight.reshape(len(weight), in_shape[0], *pool.size).transpose(2, 3, 0, 1)
        spread = across.spread(down.spread(by_output).swapaxes(0, 1)).transpose(2, 3, 1, 0)
        return spread.reshape(len(weight), -1), replace(connectivity, in_shape=in_shape), False
    if pool.windows is None:
        raise ValueError("must be dense (a Linear), as the windows of the pool before it differ in size or divisor; "
                         "behind windows of one size a convolution works, too")
    if isinstance(connectivity, ConvTranspose2d) or connectivity.padding != (0, 0):
        what = "be transposed" if isinstance(connectivity, ConvTranspose2d) else "have padding"
        raise ValueError(f"must not {what} behind a pool whose windows do not lie side by side inside the map")
    kernel, stride, padding = pool.windows
    spread = (connectivity.dilation[0] * stride[0], connectivity.dilation[1] * stride[1])
    total = _composed(weight, spread, kernel, (1, 1))
    composed = replace(
        connectivity, in_shape=in_shape, kernel=total.shape[2:], padding=padding, dilation=(1, 1),
        stride=(connectivity.stride[0] * stride[0], connectivity.stride[1] * stride[1]))
    return _times(total, pool.share), composed, False


def pool_currents(pool: MapPool, weight: np.ndarray, connectivity: Dense | Conv2d) -> tuple[np.ndarray, Conv2d]:
    """Weights and connectivity of the convolution that gives what a pool makes of a convolution's outputs.

    A bias grows by ``pool.gain``.

    Raises
    ------
    ValueError
        There is none. The message says what the pool must be.
    """
    if isinstance(connectivity, ConvTranspose2d | Dense):
        raise ValueError("must come behind neurons, or directly behind a convolution that is not transposed")
    if pool.windows is None or pool.windows[2] != (0, 0):
        raise ValueError("must have windows of one size inside the map where it pools currents (no padding, ceil_mode, "
                         "or size that does not divide the map); behind neurons and before a Linear any windows work")
    kernel, stride, _ = pool.windows
    total = _composed(weight, connectivity.dilation, kernel, connectivity.stride)
    return _times(total, pool.share), replace(
        connectivity, kernel=total.shape[2:], dilation=(1, 1),
        stride=(connectivity.stride[0] * stride[0], connectivity.stride[1] * stride[1]))


def _composed(weight: np.ndarray, apart: Pair, window: Pair, step: Pair) -> np.ndarray:
    """Sum of kernels whose taps lie ``apart``, one for each place of a window, ``step`` further each."""
    reach = [(side - 1) * space + 1 for side, space in zip(weight.shape[2:], apart, strict=True)]
    total = np.zeros((*weight.shape[:2], *(one + move * (side - 1)
                                           for one, move, side in zip(reach, step, window, strict=True))))
    for down, across in np.ndindex(window):
        top, left = down * step[0], across * step[1]
        total[:, :, top : top + reach[0] : apart[0], left : left + reach[1] : apart[1]] += weight
    return total


def _times(weight: np.ndarray, factor: Fraction) -> np.ndarray:
    return weight * factor.numerator / factor.denominator
