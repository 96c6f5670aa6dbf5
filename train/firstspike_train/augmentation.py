# SPDX-License-Identifier: MIT
"""Augmentation of batches of images, uint8[B, C·H·W], on tensors."""

import torch
from firstspike_arch.connectivity import Shape

__all__ = ["mirrored", "shifted"]


def shifted(images: torch.Tensor, shape: Shape, reach: int, generator: torch.Generator) -> torch.Tensor:
    """Each image moved by −reach … reach pixels in both directions; 0 comes in."""
    if not reach:
        return images
    count, (channels, height, width) = len(images), shape
    tall, wide = height + 2 * reach, width + 2 * reach
    padded = torch.zeros(count, channels, tall, wide, dtype=images.dtype)
    padded[:, :, reach : reach + height, reach : reach + width] = images.view(count, *shape)
    corner = torch.randint(0, 2 * reach + 1, (2, count, 1), generator=generator)
    window = (torch.arange(height)[:, None] * wide + torch.arange(width)).flatten()
    planes = (torch.arange(channels)[:, None] * (tall * wide) + window).flatten()
    return padded.flatten(1).gather(1, planes + corner[0] * wide + corner[1])


def mirrored(images: torch.Tensor, shape: Shape, generator: torch.Generator) -> torch.Tensor:
    """Every other image, at random, mirrored left to right."""
    turned = images.view(-1, *shape).flip(3).flatten(1)
    return torch.where(torch.rand(len(images), 1, generator=generator) < 0.5, turned, images)
