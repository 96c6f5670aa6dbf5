# SPDX-License-Identifier: MIT
"""Augmentation of batches of images, uint8[B, C·H·W], on tensors; what is random comes from a generator of the CPU."""

import numpy as np
import torch
from firstspike_arch.connectivity import Shape

__all__ = ["blackened", "mirrored", "mixed_up", "shifted"]


def shifted(images: torch.Tensor, shape: Shape, reach: int, generator: torch.Generator) -> torch.Tensor:
    """Each image moved by −reach … reach pixels in both directions, a line only along itself; 0 comes in."""
    if not reach:
        return images
    count, (channels, height, width), place = len(images), shape, images.device
    tall, wide = height + 2 * reach, width + 2 * reach
    padded = torch.zeros(count, channels, tall, wide, dtype=images.dtype, device=place)
    padded[:, :, reach : reach + height, reach : reach + width] = images.view(count, *shape)
    corner = torch.randint(0, 2 * reach + 1, (2, count, 1), generator=generator).to(place)
    if height == 1:
        corner[0] = reach
    window = (torch.arange(height)[:, None] * wide + torch.arange(width)).flatten()
    planes = (torch.arange(channels)[:, None] * (tall * wide) + window).flatten().to(place)
    return padded.flatten(1).gather(1, planes + corner[0] * wide + corner[1])


def mirrored(images: torch.Tensor, shape: Shape, generator: torch.Generator) -> torch.Tensor:
    """Every other image, at random, mirrored left to right."""
    turned = images.view(-1, *shape).flip(3).flatten(1)
    return torch.where((torch.rand(len(images), 1, generator=generator) < 0.5).to(images.device), turned, images)


def blackened(images: torch.Tensor, shape: Shape, side: int, generator: torch.Generator) -> torch.Tensor:
    """Each image with a square of 0 around a random pixel; what of it lies outside is cut off."""
    # Ref: T. DeVries, G. W. Taylor, "Improved regularization of convolutional neural networks with cutout", 2017.
    inside = []
    for length in shape[1:]:
        start = torch.randint(0, length, (len(images), 1), generator=generator) - side // 2
        place = torch.arange(length)
        inside.append((place >= start) & (place < start + side))
    square = (inside[0][:, None, :, None] & inside[1][:, None, None, :]).to(images.device)
    return images.view(-1, *shape).masked_fill(square, 0).flatten(1)


def mixed_up(
    images: torch.Tensor, targets: torch.Tensor, strength: float, generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Each image and its target, float32[B, classes], mixed with another's by a share from Beta(strength, strength)."""
    # Ref: H. Zhang et al., "mixup: Beyond empirical risk minimization", 2017; here with a share of each pair.
    seed = int(torch.randint(0, 1 << 31, (), generator=generator))
    share = np.random.default_rng(seed).beta(strength, strength, (len(images), 1)).astype(np.float32)
    kept, other = torch.from_numpy(share), torch.randperm(len(images), generator=generator)
    mixed = images.float().lerp_(images[other].float(), 1 - kept.to(images.device)).round_().to(images.dtype)
    return mixed, targets.lerp(targets[other], 1 - kept.to(targets.device))
