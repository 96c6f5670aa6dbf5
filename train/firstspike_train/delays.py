# SPDX-License-Identifier: MIT
"""Delays of the spikes that a layer takes: whole steps, random or learned."""

import numpy as np
import torch
from torch import nn

__all__ = ["Delays"]

REACH = 3
"""Steps before and after a spike over which its slope is smeared."""


class _Delay(torch.autograd.Function):
    @staticmethod
    def forward(ctx, spikes, delays):
        delayed = _shifted(spikes, -delays)
        ctx.save_for_backward(delayed, delays)
        return delayed

    @staticmethod
    def backward(ctx, gradient):
        delayed, delays = ctx.saved_tensors
        slope = None
        if ctx.needs_input_grad[1]:
            # A spike as a triangle of height 1/REACH: where it comes later, it is more after its step and less before.
            sums = nn.functional.pad(delayed.cumsum(0), (0, 0, 0, 0, REACH + 1, 0))
            last = sums[-1:].expand(REACH, *sums.shape[1:])
            sums = torch.cat([sums, last])
            steps, before = len(delayed), REACH + 1
            past = sums[before - 1 : before - 1 + steps] - sums[:steps]
            coming = sums[before + REACH : before + REACH + steps] - sums[before : before + steps]
            slope = (gradient * (past - coming)).sum((0, 1)) / REACH**2
        return _shifted(gradient, delays) if ctx.needs_input_grad[0] else None, slope


def _shifted(values: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
    """values[t + by[n], b, n] of all t, b and n, and 0 where there is no such step."""
    at = torch.arange(len(values), device=values.device)[:, None] + by.to(torch.int64)
    inside = (at >= 0) & (at < len(values))
    taken = values.gather(0, at.clamp(0, len(values) - 1)[:, None].expand(values.shape))
    return taken * inside[:, None].to(values.dtype)


class Delays(nn.Module):
    """Delays the spikes of each address by 0 … ``longest`` steps, drawn at random; rounded in every forward pass.

    Parameters
    ----------
    count : int
        Number of addresses.
    longest : int
        Longest delay in steps.
    learns : bool
        Delays are learned; a spike that comes a little later or earlier then has the slope of a triangle of ±3 steps.
    generator : torch.Generator
        Source of the first delays.
    """

    # Ref: S. B. Shrestha, G. Orchard, "SLAYER: Spike layer error reassignment in time", 2018: axonal delays are learned
    # by the slope of the delayed signal in time.

    def __init__(self, count: int, longest: int, learns: bool, generator: torch.Generator) -> None:
        super().__init__()
        self.longest = longest
        # As shares of the longest delay, they are of the size of other parameters, and learn as fast.
        self.shares = nn.Parameter(torch.rand(count, generator=generator), requires_grad=learns)

    def steps(self) -> torch.Tensor:
        """Delays in whole steps, float32[N], with the slope of the real ones."""
        real = self.shares * self.longest
        return real + (real.round() - real).detach()

    def forward(self, spikes: torch.Tensor) -> torch.Tensor:
        """Spikes [T, B, …] as they come; those due after the last step never do."""
        return _Delay.apply(spikes.flatten(2), self.steps()).view(spikes.shape)

    @torch.no_grad()
    def constrain(self) -> None:
        """Clamp the delays to their range."""
        self.shares.clamp_(0, 1)

    def exported(self) -> np.ndarray:
        """The delays, int64[N]."""
        return self.steps().detach().round().to(torch.int64).cpu().numpy()
