# SPDX-License-Identifier: MIT
"""Straight-through integers: the forward pass equals the compiler's arithmetic (`firstspike_arch.fixed`)."""

import torch
from firstspike_arch.fixed import largest_weight, nearest_leak, quantise, threshold_at_least, weight_scale

__all__ = ["choose_scale", "integer_decay", "integer_thresholds", "integer_weights", "rounded_leak", "whole_steps"]


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


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx, real, value):
        return value.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient, None


class _Decay(torch.autograd.Function):
    @staticmethod
    def forward(ctx, membrane, leak):
        ctx.save_for_backward(membrane, leak)
        # num has up to 9 bits and the membrane 24: their product is exact in float64, not in float32.
        return (membrane.double() * leak.double()).floor_().to(membrane.dtype)

    @staticmethod
    def backward(ctx, gradient):
        membrane, leak = ctx.saved_tensors
        return gradient * leak, (gradient * membrane).sum() if ctx.needs_input_grad[1] else None


def integer_weights(real: torch.Tensor, scale: float, bits: int) -> torch.Tensor:
    """Quantise weights by `fixed.quantise`, with the slope of real / scale where nothing is clipped.

    ``real`` must be float64, as exported, so that the division rounds as in the compiler.
    """
    return _Integers.apply(real, scale, bits)


def integer_thresholds(theta: torch.Tensor, scale: float) -> torch.Tensor:
    """Round each float64 threshold by `fixed.threshold_at_least`, with the slope of theta / scale."""
    return _Thresholds.apply(theta, scale)


def whole_steps(real: torch.Tensor, unit: float, least: float = 1) -> torch.Tensor:
    """Return round(real / unit), at least ``least``, with the slope of real / unit, for steps of a soft reset."""
    steps = real / unit
    return _StraightThrough.apply(steps, steps.detach().round().clamp(min=least))


def rounded_leak(leak: torch.Tensor, shift_max: int) -> torch.Tensor:
    """Round a leak in 0 … 1 to the nearest num/2^shift, with slope 1. A compiler that allows this shift keeps it."""
    num, shift = nearest_leak(leak.item(), shift_max)
    return _StraightThrough.apply(leak, torch.full_like(leak, num / (1 << shift)))


def integer_decay(membrane: torch.Tensor, leak: torch.Tensor) -> torch.Tensor:
    """Return (v·num) >> shift of integer membranes below 2^24 and a rounded leak, with the slopes of leak·v."""
    return _Decay.apply(membrane, leak)


def choose_scale(real: torch.Tensor, bits: int) -> float:
    """Choose the real value of one weight step with the smallest mean squared error.

    The candidates map 30 … 100 % of the largest magnitude to the largest weight.
    """
    largest = real.abs().max().item()
    if largest == 0:
        raise ValueError("weights must not all be zero")
    candidates = [weight_scale(largest * percent / 100, bits) for percent in range(30, 101, 2)]
    return min(candidates, key=lambda scale: (quantise(real, scale, bits) * scale - real).square().mean().item())
