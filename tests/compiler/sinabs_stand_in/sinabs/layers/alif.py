# SPDX-License-Identifier: MIT
"""Neurons with adaptive thresholds on [B·T, …], which sinabs keeps here alone."""

from sinabs.layers import ALIF, _Squeezed


class ALIFSqueeze(_Squeezed, ALIF):
    pass
