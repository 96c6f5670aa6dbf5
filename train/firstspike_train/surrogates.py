# SPDX-License-Identifier: MIT
"""Spike functions: a step forward, a smooth slope backward."""

import torch

__all__ = ["SURROGATES", "triangle", "sigmoid"]


class _Triangle(torch.autograd.Function):
    @staticmethod
    def forward(ctx, distance, width):
        ctx.save_for_backward(distance)
        ctx.width = width
        return (distance >= 0).to(distance.dtype)

    @staticmethod
    def backward(ctx, gradient):
        (distance,) = ctx.saved_tensors
        return gradient * (1 - distance.abs() / ctx.width).clamp_(min=0) / ctx.width, None


class _Sigmoid(torch.autograd.Function):
    @staticmethod
    def forward(ctx, distance, width):
        ctx.save_for_backward(distance)
        ctx.width = width
        return (distance >= 0).to(distance.dtype)

    @staticmethod
    def backward(ctx, gradient):
        (distance,) = ctx.saved_tensors
        slope = torch.sigmoid(4 * distance / ctx.width)
        return gradient * slope * (1 - slope) * 4 / ctx.width, None


def triangle(distance: torch.Tensor, width: float) -> torch.Tensor:
    """1 where distance ≥ 0, else 0; slope max(0, 1 − |distance| / width) / width, of area 1."""
    return _Triangle.apply(distance, width)


def sigmoid(distance: torch.Tensor, width: float) -> torch.Tensor:
    """1 where distance ≥ 0, else 0; slope of a logistic curve, of area 1 and height 1 / width."""
    return _Sigmoid.apply(distance, width)


SURROGATES = {"triangle": triangle, "sigmoid": sigmoid}
