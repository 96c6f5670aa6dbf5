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
    rows, columns = (connectivity.kernel[axis] + connectivity.stride[axis] * (side - 1) for axis in (0, 1))
    total = np.zeros((*weight.shape[:2], rows, columns))
    for row in range(side):
        for column in range(side):
            top, left = row * connectivity.stride[0], column * connectivity.stride[1]
            total[:, :, top : top + connectivity.kernel[0], left : left + connectivity.kernel[1]] += weight
    stride = (connectivity.stride[0] * side, connectivity.stride[1] * side)
    return total, replace(connectivity, kernel=(rows, columns), stride=stride)
