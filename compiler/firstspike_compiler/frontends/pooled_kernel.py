# SPDX-License-Identifier: MIT
"""Merges a convolution and the sum pool behind it into one convolution."""

from dataclasses import replace

import numpy as np
from firstspike_arch.connectivity import Conv2d

__all__ = ["pooled_kernel"]


def pooled_kernel(weight: np.ndarray, connectivity: Conv2d, side: int) -> tuple[np.ndarray, Conv2d]:
    """Kernel and connectivity of the convolution that gives the sums of side × side outputs of a convolution.

    The kernel is the sum of the shifted kernels, and the stride is ``side`` times as long.
    """
    down, across = connectivity.dilation
    reach = [(connectivity.kernel[axis] - 1) * connectivity.dilation[axis] + 1 for axis in (0, 1)]
    rows, columns = (reach[axis] + connectivity.stride[axis] * (side - 1) for axis in (0, 1))
    total = np.zeros((*weight.shape[:2], rows, columns))
    for row in range(side):
        for column in range(side):
            top, left = row * connectivity.stride[0], column * connectivity.stride[1]
            total[:, :, top : top + reach[0] : down, left : left + reach[1] : across] += weight
    stride = (connectivity.stride[0] * side, connectivity.stride[1] * side)
    return total, replace(connectivity, kernel=(rows, columns), stride=stride, dilation=(1, 1))
