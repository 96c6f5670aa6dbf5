# SPDX-License-Identifier: MIT
"""Batch normalisation of currents: trained by the statistics of batches, then folded into weights and a bias."""

import torch
from torch import nn
from torch.nn import functional

from .quantisation import whole_steps

__all__ = ["BatchNormalisation"]

EPSILON = 1e-5
MOMENTUM = 0.1
"""Share of a batch in the running statistics."""


class BatchNormalisation(nn.Module):
    """gain·(current − mean)/deviation + shift, one of each a channel.

    In training, mean and deviation are those of the batch and of all steps; otherwise running ones. Folded, the shift
    alone is left: a bias of every step.

    Parameters
    ----------
    channels : int
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
        """Currents [K, C, …] of real numbers, normalised."""
        spreads = current.numel() > current.shape[1]  # one number a channel has no deviation
        return functional.batch_norm(
            current, self.mean, self.variance, self.gain, self.shift, self.training and spreads, MOMENTUM, EPSILON)

    def bias(self, unit: float) -> torch.Tensor:
        """What is left when folded, float64[C]: whole numbers of units."""
        return whole_steps(self.shift.double(), unit, -torch.inf)

    @torch.no_grad()
    def fold(self) -> torch.Tensor:
        """Leave a bias; the factor on the weights of each channel, [C], takes the rest."""
        factor = self.gain * torch.rsqrt(self.variance + EPSILON)
        self.shift.sub_(self.mean * factor)
        self.gain.requires_grad_(False)
        self.folded = True
        return factor
