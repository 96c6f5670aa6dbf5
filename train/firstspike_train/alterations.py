# SPDX-License-Identifier: MIT
"""RandAugment: each image of a batch altered at random, all that are altered alike at once."""

# Ref: E. D. Cubuk et al., "RandAugment: Practical automated data augmentation with a reduced search space", 2019; what
# can happen to an image, and how strongly at most, as torchvision has it. Its own class draws one alteration for a
# whole batch, from the global generator.

import math
from collections.abc import Callable

import torch
from firstspike_arch.connectivity import Shape
from torch.nn import functional

__all__ = ["ALTERATIONS", "STRENGTH_MAX", "altered"]

STRENGTH_MAX = 30
WHITE = 255

Alter = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""From images float32[B, C, H, W] of whole numbers 0…255, and how strongly each is altered, [B], −1…1."""


def altered(
    images: torch.Tensor, shape: Shape, count: int, strength: int, generator: torch.Generator,
) -> torch.Tensor:
    """Images uint8[B, C·H·W], each altered ``count`` times, of a strength 0…`STRENGTH_MAX`, in a random direction."""
    found = images.view(-1, *shape).float()
    for _ in range(count):
        kinds = torch.randint(0, len(ALTERATIONS), (len(images),), generator=generator)
        signs = torch.randint(0, 2, (len(images),), generator=generator) * 2 - 1
        amounts = (signs * (strength / STRENGTH_MAX)).to(found)
        for kind, alter in enumerate(ALTERATIONS.values()):
            chosen = (kinds == kind).nonzero()[:, 0].to(found.device)
            if len(chosen):
                found[chosen] = alter(found[chosen], amounts[chosen]).round_().clamp_(0, WHITE)
    return found.to(images.dtype).flatten(1)


def _moved(images: torch.Tensor, rows: list[list[torch.Tensor]]) -> torch.Tensor:
    """Pixel (x, y) of each result is that of the image at rows·(x, y, 1), from −1 to 1 across it; outside it is black.

    ``rows`` is a matrix 2 × 3 of numbers [B].
    """
    matrix = torch.stack([torch.stack(row, 1) for row in rows], 1)
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode="nearest", align_corners=False)


def _shear(images: torch.Tensor, amount: torch.Tensor, *, upright: bool) -> torch.Tensor:
    one, none, slope = torch.ones_like(amount), torch.zeros_like(amount), 0.3 * amount
    return _moved(images, [[one, none if upright else slope, none], [slope if upright else none, one, none]])


def _translate(images: torch.Tensor, amount: torch.Tensor, *, upright: bool) -> torch.Tensor:
    one, none, way = torch.ones_like(amount), torch.zeros_like(amount), 2 * 150 / 331 * amount
    return _moved(images, [[one, none, none if upright else way], [none, one, way if upright else none]])


def _rotate(images: torch.Tensor, amount: torch.Tensor) -> torch.Tensor:
    angle, none, ratio = amount * math.radians(30), torch.zeros_like(amount), images.shape[3] / images.shape[2]
    return _moved(images, [[angle.cos(), angle.sin() / ratio, none], [-angle.sin() * ratio, angle.cos(), none]])


def _blended(images: torch.Tensor, plain: torch.Tensor, amount: torch.Tensor) -> torch.Tensor:
    """Nearer to or farther from a plainer version of each image."""
    return plain + (1 + 0.9 * amount.view(-1, 1, 1, 1)) * (images - plain)


def _grey(images: torch.Tensor) -> torch.Tensor:
    if images.shape[1] != 3:
        return images.mean(1, keepdim=True)
    parts = torch.tensor([0.299, 0.587, 0.114], dtype=images.dtype, device=images.device)
    return (images * parts.view(3, 1, 1)).sum(1, keepdim=True)


def _smooth(images: torch.Tensor) -> torch.Tensor:
    """Each pixel inside with 8/13 of its neighbours."""
    kernel = torch.ones(3, 3, dtype=images.dtype, device=images.device)
    kernel[1, 1] = 5
    channels, found = images.shape[1], images.clone()
    found[:, :, 1:-1, 1:-1] = functional.conv2d(
        images, (kernel / kernel.sum()).expand(channels, 1, 3, 3), groups=channels)
    return found


def _posterise(images: torch.Tensor, amount: torch.Tensor) -> torch.Tensor:
    """Without the last bits of the pixels, up to four."""
    step = (2 ** (4 * amount.abs()).round()).view(-1, 1, 1, 1)
    return (images / step).floor() * step


def _solarise(images: torch.Tensor, amount: torch.Tensor) -> torch.Tensor:
    """Bright pixels inverted."""
    return torch.where(images >= WHITE * (1 - amount.abs().view(-1, 1, 1, 1)), WHITE - images, images)


def _stretched(images: torch.Tensor, amount: torch.Tensor) -> torch.Tensor:
    """Each channel from black to white."""
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    return torch.where(high > low, (images - low) * (WHITE / (high - low).clamp(min=1)), images)


def _equalised(images: torch.Tensor, amount: torch.Tensor) -> torch.Tensor:
    """All levels of grey in each channel about equally often, as Pillow does it."""
    levels = images.long().flatten(2).flatten(0, 1)  # [B·C, H·W]
    counts = torch.zeros(len(levels), WHITE + 1, dtype=torch.long, device=images.device)
    counts.scatter_add_(1, levels, torch.ones_like(levels))
    brightest = counts.gather(1, levels.amax(1, keepdim=True))
    step = (levels.shape[1] - brightest) // WHITE
    below = counts.cumsum(1) - counts
    table = torch.where(step > 0, ((below + step // 2) // step.clamp(min=1)).clamp(max=WHITE),
                        torch.arange(WHITE + 1, device=images.device))
    return table.gather(1, levels).view(images.shape).to(images.dtype)


ALTERATIONS: dict[str, Alter] = {
    "nothing": lambda images, amount: images,
    "shear_x": lambda images, amount: _shear(images, amount, upright=False),
    "shear_y": lambda images, amount: _shear(images, amount, upright=True),
    "translate_x": lambda images, amount: _translate(images, amount, upright=False),
    "translate_y": lambda images, amount: _translate(images, amount, upright=True),
    "rotate": _rotate,
    "brightness": lambda images, amount: _blended(images, torch.zeros_like(images), amount),
    "colour": lambda images, amount: _blended(images, _grey(images), amount),
    "contrast": lambda images, amount: _blended(images, _grey(images).mean((2, 3), keepdim=True), amount),
    "sharpness": lambda images, amount: _blended(images, _smooth(images), amount),
    "posterise": _posterise,
    "solarise": _solarise,
    "stretch": _stretched,
    "equalise": _equalised,
}
