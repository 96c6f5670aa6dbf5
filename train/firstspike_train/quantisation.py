# SPDX-License-Identifier: MIT
"""Straight-through integers: forward exactly what the compiler will compute (`firstspike_arch.fixed`)."""

import torch
from firstspike_arch.fixed import largest_weight, quantise, threshold_at_least, weight_scale

__all__ = ["choose_scale", "integer_thresholds", "integer_weights"]


class _Integers(torch.autograd.Function):
    @staticmethod
    def forward(ctx, real, scale, bits):
        ctx.scale = scale
        ctx.save_for_backward((real / scale).abs() <= largest_weight(bits) + 0.5)
        return quantise(real, scale, bits)

    @staticmethod
    def backward(ctx, gradient):
        (inside,) = ctx.saved_tensors
        return gradient * inside / ctx.scale, None, None


class _Thresholds(torch.autograd.Function):
    @staticmethod
    def forward(ctx, theta, scale):
        ctx.scale = scale
        return theta.new_tensor([threshold_at_least(value, scale) for value in theta.tolist()])

    @staticmethod
    def backward(ctx, gradient):
        return gradient / ctx.scale, None


def integer_weights(real: torch.Tensor, scale: float, bits: int) -> torch.Tensor:
    """`fixed.quantise`, with the slope of real / scale wherever nothing is clipped.

    Give float64, as exported: the same division then rounds the same way in the compiler.
    """
    return _Integers.apply(real, scale, bits)


def integer_thresholds(theta: torch.Tensor, scale: float) -> torch.Tensor:
    """`fixed.threshold_at_least` of each float64 threshold, with the slope of theta / scale."""
    return _Thresholds.apply(theta, scale)


def choose_scale(real: torch.Tensor, bits: int) -> float:
    """Real value of one weight step that leaves the smallest mean squared error.

    Candidates let 30 … 100 % of the largest magnitude map to the largest weight.
    """
    largest = real.abs().max().item()
    if largest == 0:
        raise ValueError("weights must not all be zero")
    candidates = [weight_scale(largest * percent / 100, bits) for percent in range(30, 101, 2)]
    return min(candidates, key=lambda scale: (quantise(real, scale, bits) * scale - real).square().mean().item())
