# SPDX-License-Identifier: MIT
"""Corruption of images: eight kinds in five severities, generated from a seed.

Kinds and strengths are those of the corruption benchmark, of ImageNet-C or of CIFAR-10-C, which is weaker; Gaussian
blur is always that of CIFAR-10-C, whose images are small. Two choices differ from it: motion blurs along rows over
2 … 6 pixels, and brightness is added to every channel instead of the value in HSV.
"""

# Ref: D. Hendrycks, T. Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations",
# ICLR 2019; strengths: github.com/hendrycks/robustness, make_imagenet_c.py and make_cifar_c.py.

import math
from collections.abc import Callable

import torch
from firstspike_arch.connectivity import Shape
from firstspike_arch.shown import shown
from torch.nn import functional

__all__ = ["CORRUPTIONS", "SEVERITIES", "STRENGTHS", "corrupted"]

SEVERITIES = (1, 2, 3, 4, 5)

Strength = float
Corrupt = Callable[[torch.Tensor, Strength, torch.Generator], torch.Tensor]


def _gaussian_noise(images: torch.Tensor, deviation: Strength, generator: torch.Generator) -> torch.Tensor:
    return images + deviation * torch.randn(images.shape, generator=generator)


def _shot_noise(images: torch.Tensor, photons: Strength, generator: torch.Generator) -> torch.Tensor:
    return torch.poisson(images * photons, generator=generator) / photons


def _impulse_noise(images: torch.Tensor, share: Strength, generator: torch.Generator) -> torch.Tensor:
    """Make a share of the pixels black or white."""
    drawn = torch.rand(images.shape, generator=generator)
    return torch.where(drawn < share / 2, 0.0, torch.where(drawn < share, 1.0, images))


def _gaussian_blur(images: torch.Tensor, deviation: Strength, generator: torch.Generator) -> torch.Tensor:
    reach = math.ceil(4 * deviation)
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / deviation).square())
    return _filtered(_filtered(images, weights[None]), weights[:, None])


def _motion_blur(images: torch.Tensor, pixels: Strength, generator: torch.Generator) -> torch.Tensor:
    return _filtered(images, torch.ones(1, int(pixels)))


def _brightness(images: torch.Tensor, added: Strength, generator: torch.Generator) -> torch.Tensor:
    return images + added


def _contrast(images: torch.Tensor, factor: Strength, generator: torch.Generator) -> torch.Tensor:
    mean = images.mean((2, 3), keepdim=True)
    return (images - mean) * factor + mean


def _pixelate(images: torch.Tensor, factor: Strength, generator: torch.Generator) -> torch.Tensor:
    height, width = images.shape[2:]
    small = functional.adaptive_avg_pool2d(images, (max(1, int(height * factor)), max(1, int(width * factor))))
    return functional.interpolate(small, size=(height, width), mode="nearest")


def _filtered(images: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Convolve with weights [h, w], normalised to the sum 1; beyond the border, the nearest pixel is used."""
    channels, (height, width) = images.shape[1], weights.shape
    left, top = (width - 1) // 2, (height - 1) // 2
    padded = functional.pad(images, (left, width - 1 - left, top, height - 1 - top), mode="replicate")
    kernel = (weights / weights.sum()).expand(channels, 1, height, width)
    return functional.conv2d(padded, kernel, groups=channels)


CORRUPTIONS: dict[str, Corrupt] = {
    "gaussian_noise": _gaussian_noise, "shot_noise": _shot_noise, "impulse_noise": _impulse_noise,
    "gaussian_blur": _gaussian_blur, "motion_blur": _motion_blur, "brightness": _brightness, "contrast": _contrast,
    "pixelate": _pixelate,
}
"""Functions on images float32[B, C, H, W] of 0 … 1."""

_BLURS: dict[str, tuple[Strength, ...]] = {
    "gaussian_blur": (0.4, 0.6, 0.7, 0.8, 1.0), "motion_blur": (2, 3, 4, 5, 6)}

STRENGTHS: dict[str, dict[str, tuple[Strength, ...]]] = {
    "imagenet-c": {
        "gaussian_noise": (0.08, 0.12, 0.18, 0.26, 0.38), "shot_noise": (60, 25, 12, 5, 3),
        "impulse_noise": (0.03, 0.06, 0.09, 0.17, 0.27), "brightness": (0.1, 0.2, 0.3, 0.4, 0.5),
        "contrast": (0.4, 0.3, 0.2, 0.1, 0.05), "pixelate": (0.6, 0.5, 0.4, 0.3, 0.25), **_BLURS,
    },
    "cifar-10-c": {
        "gaussian_noise": (0.04, 0.06, 0.08, 0.09, 0.1), "shot_noise": (500, 250, 100, 75, 50),
        "impulse_noise": (0.01, 0.02, 0.03, 0.05, 0.07), "brightness": (0.05, 0.1, 0.15, 0.2, 0.3),
        "contrast": (0.75, 0.5, 0.4, 0.3, 0.15), "pixelate": (0.95, 0.9, 0.85, 0.75, 0.65), **_BLURS,
    },
}
"""For each set of strengths, that of each kind at each severity."""


def corrupted(
    images: torch.Tensor, shape: Shape, kind: str, severity: int, seed: int = 0, strengths: str = "imagenet-c",
) -> torch.Tensor:
    """Corrupt images, uint8[B, N], of a shape (C, H, W). The result is reproducible.

    Raises
    ------
    ValueError
        The kind, severity or set of strengths is unknown.
    """
    if strengths not in STRENGTHS:
        raise ValueError(f"strengths must be one of {', '.join(STRENGTHS)}, not {shown(strengths)}")
    if kind not in CORRUPTIONS:
        raise ValueError(f"corruption must be one of {', '.join(CORRUPTIONS)}, not {shown(kind)}")
    if severity not in SEVERITIES:
        raise ValueError(f"severity must be 1…{SEVERITIES[-1]}, not {shown(severity)}")
    strength = STRENGTHS[strengths][kind][severity - 1]
    generator = torch.Generator().manual_seed(seed)
    real = CORRUPTIONS[kind](images.view(-1, *shape).float() / 255, strength, generator)
    return (real.clamp(0, 1) * 255).round().to(torch.uint8).flatten(1)
