# SPDX-License-Identifier: MIT
"""Convolutions in bfloat16 on CPUs, in the way that is fastest for their shape."""

from collections.abc import Sequence

import torch
from torch.nn import functional

__all__ = ["convolve"]

FEW_POSITIONS = 16
"""A map of up to so many positions is multiplied as one matrix with a row a position."""
WEIGHTS_PER_POSITION = 2048
"""With so many products of channels a position, the gradient of the weights is a product of matrices for each offset in
the kernel."""


@torch.library.custom_op("firstspike::products", mutates_args=())
def _products(inputs: torch.Tensor, weight: torch.Tensor, padding: list[int]) -> torch.Tensor:
    """A convolution with stride 1 whose gradients are those below. An operator of its own, as torch 2.13's inductor
    makes NaN of its parts."""
    return _convolved(inputs, weight, padding)


@torch.library.custom_op("firstspike::products_backward", mutates_args=())
def _products_backward(
    gradient: torch.Tensor, inputs: torch.Tensor, weight: torch.Tensor, padding: list[int],
) -> tuple[torch.Tensor, torch.Tensor]:
    """The gradients of inputs and weights; that of the weights is a product of two matrices for each kernel offset."""
    around = [size - 1 - side for size, side in zip(weight.shape[2:], padding, strict=True)]
    return (_convolved(gradient, weight.flip(2, 3).transpose(0, 1), around),
            _weight_gradient(inputs, gradient, weight.shape, padding))


@_products.register_fake
def _(inputs, weight, padding):
    size = [side + 2 * more - kernel + 1 for side, more, kernel in zip(
        inputs.shape[2:], padding, weight.shape[2:], strict=True)]
    return inputs.new_empty((len(inputs), len(weight), *size)).contiguous(memory_format=torch.channels_last)


@_products_backward.register_fake
def _(gradient, inputs, weight, padding):
    return tuple(torch.empty_like(one, memory_format=torch.channels_last) for one in (inputs, weight))


def _keep(ctx, inputs, output):
    del output
    ctx.save_for_backward(*inputs[:2])
    ctx.padding = inputs[2]


def _differentiate(ctx, gradient):
    return *_products_backward(gradient, *ctx.saved_tensors, ctx.padding), None


_products.register_autograd(_differentiate, setup_context=_keep)


def convolve(
    inputs: torch.Tensor, weight: torch.Tensor, stride: tuple[int, int], padding: tuple[int, int], groups: int,
) -> torch.Tensor:
    """Convolve inputs [B, C, H, W] with weights [O, C/groups, K, L], like `torch.nn.functional.conv2d`.

    oneDNN's kernels for bfloat16 work along the rows of a map: on maps of a few positions with many channels, as at the
    end of a VGG, products of matrices are faster. Both round to bfloat16, but not alike. Under autocast
    the inputs may be of another type.
    """
    device = inputs.device.type
    if torch.is_autocast_enabled(device):
        inputs = inputs.to(torch.get_autocast_dtype(device))
    if inputs.dtype != torch.bfloat16 or device != "cpu" or groups > 1 or tuple(stride) != (1, 1):
        return functional.conv2d(inputs, weight, None, stride, padding, 1, groups)
    channels = weight.shape[0] * weight.shape[1]
    within = all(side < size for side, size in zip(padding, weight.shape[2:], strict=True))
    if not within or channels < WEIGHTS_PER_POSITION * inputs.shape[2] * inputs.shape[3]:
        return functional.conv2d(inputs, weight, None, stride, padding)
    return _products(inputs, weight.to(inputs.dtype), list(padding))


def _convolved(inputs: torch.Tensor, weight: torch.Tensor, padding: Sequence[int]) -> torch.Tensor:
    """The convolution, with the inputs of each position of a small map as a row of one matrix."""
    if inputs.shape[2] * inputs.shape[3] > FEW_POSITIONS:
        channels_last = torch.channels_last
        return functional.conv2d(inputs, weight.contiguous(memory_format=channels_last), padding=padding).contiguous(
            memory_format=channels_last)
    rows, columns = padding
    padded = functional.pad(inputs.permute(0, 2, 3, 1), (0, 0, columns, columns, rows, rows))
    windows = padded.unfold(1, weight.shape[2], 1).unfold(2, weight.shape[3], 1)  # [B, H, W, C, K, L]
    batch, high, wide = windows.shape[:3]
    matrix = windows.permute(0, 1, 2, 4, 5, 3).reshape(batch * high * wide, -1)
    products = matrix @ weight.permute(0, 2, 3, 1).reshape(len(weight), -1).t()
    return products.view(batch, high, wide, -1).permute(0, 3, 1, 2)


def _weight_gradient(
    inputs: torch.Tensor, gradient: torch.Tensor, shape: torch.Size, padding: Sequence[int],
) -> torch.Tensor:
    """The gradient [O, C, K, L] of the weights: each of its kernel offsets pairs the positions that both maps have."""
    outward, inward = gradient.permute(2, 0, 3, 1), inputs.permute(2, 0, 3, 1)  # rows first: some of them are a view
    parts = {}
    for column in range(shape[3]):
        left, right = _overlap(column - padding[1], inputs.shape[3], gradient.shape[3])
        ours, theirs = outward[:, :, right].contiguous(), inward[:, :, left].contiguous()
        for row in range(shape[2]):
            above, below = _overlap(row - padding[0], inputs.shape[2], gradient.shape[2])
            parts[row, column] = ours[below].view(-1, shape[0]).t() @ theirs[above].view(-1, shape[1])
    stacked = torch.stack([parts[place] for place in sorted(parts)]).view(*shape[2:], *shape[:2])
    return stacked.permute(2, 3, 0, 1).contiguous(memory_format=torch.channels_last)


def _overlap(offset: int, inner: int, outer: int) -> tuple[slice, slice]:
    """Input positions, and the output positions that meet them at an offset of the kernel."""
    first, last = max(0, -offset), min(outer, inner - offset)
    return slice(first + offset, max(first, last) + offset), slice(first, max(first, last))
