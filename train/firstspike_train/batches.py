# SPDX-License-Identifier: MIT
"""What an epoch learns from: batches of augmented images and their targets."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import torch
from torch.nn import functional

from .alterations import altered
from .augmentation import blackened, mirrored, mixed_up, shifted
from .image_folders import Images
from .recipe import Recipe

__all__ = ["ahead", "augmented", "batches", "targets_of"]

AHEAD = 2
"""Batches that are made while others are learned from."""

Batch = tuple[torch.Tensor, torch.Tensor]


def batches(
    recipe: Recipe, images: Images, labels: torch.Tensor, generator: torch.Generator,
) -> Iterator[Batch]:
    """All images once, in a random order, augmented as the recipe says, uint8[B, N]; and what to answer.

    Targets are labels, int64[B], or where these are smoothed, mixed or taught, shares of the classes, float32[B, C].
    """
    for chosen in torch.randperm(len(images), generator=generator).split(recipe.training.batch_size):
        taken, targets = augmented(recipe, images[chosen], generator), targets_of(recipe, labels[chosen])
        if recipe.data.mixup:
            taken, targets = mixed_up(taken, targets, recipe.data.mixup, generator)
        yield taken, targets


def ahead(made: Iterator[Batch]) -> Iterator[Batch]:
    """The same batches, the next ones made by a thread meanwhile."""
    with ThreadPoolExecutor(1) as maker:  # one: they are drawn in order
        coming = deque(maker.submit(next, made, None) for _ in range(AHEAD))
        while (batch := coming.popleft().result()) is not None:
            coming.append(maker.submit(next, made, None))
            yield batch


def augmented(recipe: Recipe, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Images uint8[B, N], each altered on its own."""
    data, (channels, *size) = recipe.data, recipe.shape
    # Of a recording, the maps of all steps are moved and mirrored together.
    planes = (channels * (recipe.network.steps if data.step_us else 1), *size)
    images = shifted(images, planes, data.shifts, generator)
    if data.mirrors:
        images = mirrored(images, planes, generator)
    if data.alterations:
        images = altered(images, planes, data.alterations, data.strength, generator)
    if data.cutout:
        images = blackened(images, planes, data.cutout, generator)
    return images


def targets_of(recipe: Recipe, labels: torch.Tensor) -> torch.Tensor:
    """Labels as they are, or as shares of the classes, smoothed."""
    smoothing = recipe.training.label_smoothing
    if not (smoothing or recipe.data.mixup or recipe.teacher):
        return labels
    return functional.one_hot(labels, recipe.classes).float().mul_(1 - smoothing).add_(smoothing / recipe.classes)
