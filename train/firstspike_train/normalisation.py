# SPDX-License-Identifier: MIT
"""Batch normalisation of currents, which is folded into weights and a bias after training."""

import torch
from torch import nn
from torch.nn import functional

from .quantisation import whole_steps

__all__ = ["BatchNormalisation"]

EPSILON = 1e-5
MOMENTUM = 0.1
"""Weight of a batch in the running statistics."""


class BatchNormalisation(nn.Module):
    """Computes gain·(current − mean)/deviation + shift, each of them one number a channel.

    In training, mean and deviation are those of the batch over all steps; otherwise the running ones. After folding,
    only the shift is left, as a bias of every step.

    Parameters
    ----------
    channels : int
        Number C of channels.
    """

    # Ref: S. Ioffe, C. Szegedy, "Batch normalization", 2015.

    mean: torch.Tensor
    variance: torch.Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))
        self.folded = False

    def forward(self, current: torch.Tensor) -> torch.Tensor:
        """Normalise currents [K, C, …] in real numbers."""
        spreads = current.numel() > current.shape[1]  # a single number per channel has no deviation
        return functional.batch_norm(
            current, self.mean, self.variance, self.gain, self.shift, self.training and spreads, MOMENTUM, EPSILON)

    def bias(self, unit: float | None) -> torch.Tensor:
        """The bias after folding, float64[C]: in whole numbers of ``unit``, or, if that is None, as it is."""
        shift = self.shift.double()
        return shift if unit is None else whole_steps(shift, unit, -torch.inf)

    @torch.no_grad()
    def fold(self) -> torch.Tensor:
        """Fold into a bias, and return the factor [C] by which the weights of each channel must be multiplied."""
        factor = self.gain * torch.rsqrt(self.variance + EPSILON)
        self.shift.sub_(self.mean * factor)
        for value, neutral in ((self.gain, 1.0), (self.mean, 0.0), (self.variance, 1 - EPSILON)):  # folded but once
            value.fill_(neutral)
        self.gain.requires_grad_(False)
        self.folded = True
        return factor
