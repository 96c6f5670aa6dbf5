# SPDX-License-Identifier: MIT
"""Spike functions: steps in the forward pass, smooth slopes in the backward pass."""

import math

import torch

__all__ = ["SLOPES", "staircase"]


def _triangle(distance: torch.Tensor, width: float) -> torch.Tensor:
    """Return max(0, 1 − |distance| / width) / width."""
    return distance.abs().div_(-width).add_(1).clamp_(min=0).div_(width)


def _sigmoid(distance: torch.Tensor, width: float) -> torch.Tensor:
    """Return the slope of a logistic curve, of height 1 / width."""
    slope = torch.sigmoid(4 * distance / width)
    return slope * (1 - slope) * 4 / width


def _rectangle(distance: torch.Tensor, width: float) -> torch.Tensor:
    """Return 1 / width from −width / 2 to below width / 2; with width 1, neighbouring thresholds join to a plateau."""
    return ((distance >= -width / 2) & (distance < width / 2)).to(distance.dtype) / width


def _gaussian(distance: torch.Tensor, width: float) -> torch.Tensor:
    """Return a normal distribution with standard deviation ``width``."""
    return torch.exp(-0.5 * (distance / width).square()) / (width * math.sqrt(2 * math.pi))


SLOPES = {"triangle": _triangle, "sigmoid": _sigmoid, "rectangle": _rectangle, "gaussian": _gaussian}
"""Slopes of one step as functions of the distance from its threshold; each has area 1."""


class _Staircase(torch.autograd.Function):
    @staticmethod
    def forward(ctx, distance, slope, width, height, levels, strict):
        ctx.save_for_backward(distance)
        ctx.slope, ctx.width, ctx.height, ctx.levels = SLOPES[slope], width, height, levels
        ctx.joined = slope == "rectangle" and width == 1
        if levels == 1:
            return (distance > 0 if strict else distance >= 0).to(distance.dtype)
        return (distance.ceil() if strict else distance.floor().add_(1)).clamp_(0, levels)

    @staticmethod
    def backward(ctx, gradient):
        (distance,) = ctx.saved_tensors
        if ctx.joined:  # rectangles without a gap: one comparison with both ends
            inside = (distance >= -0.5) & (distance < ctx.levels - 0.5)
            return gradient * inside if ctx.height == 1 else gradient * inside * ctx.height, *[None] * 5
        slope = ctx.slope(distance, ctx.width)
        for level in range(1, ctx.levels):
            slope += ctx.slope(distance - level, ctx.width)
        return slope.mul_(ctx.height).mul_(gradient), *[None] * 5


def staircase(
    distance: torch.Tensor, slope: str, width: float, *, height: float = 1.0, levels: int = 1, strict: bool = False,
) -> torch.Tensor:
    """Count how many of the thresholds 0, 1, … levels − 1 the distance reaches (``strict``: exceeds).

    In the backward pass, the slope is the sum of one of `SLOPES` at each threshold, times ``height``.
    """
    return _Staircase.apply(distance, slope, width, height, levels, strict)
