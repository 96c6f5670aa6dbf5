# SPDX-License-Identifier: MIT
"""What happens to training images and their labels: squares, mixtures, RandAugment, batches made ahead."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from firstspike_train.alterations import ALTERATIONS, STRENGTH_MAX, altered
from firstspike_train.augmentation import blackened, mixed_up
from firstspike_train.batches import ahead, batches, targets_of
from firstspike_train.recipe import (
    DataRecipe,
    MultiThresholdRecipe,
    NetworkRecipe,
    QuantisationRecipe,
    Recipe,
    TrainingRecipe,
)
from PIL import Image, ImageEnhance, ImageOps

RECIPE = Recipe(
    name="x", data=DataRecipe(dataset="digits"), network=NetworkRecipe(layers="12-10", steps=1),
    method=MultiThresholdRecipe(kind="multi_threshold"), training=TrainingRecipe(epochs=1, batch_size=4),
    quantisation=QuantisationRecipe(weight_bits=(6, 6)),
)
PICTURE = np.random.default_rng(0).integers(0, 200, (1, 3, 24, 32)).astype(np.float32)


def seeded():
    return torch.Generator().manual_seed(0)


def test_squares_are_black_in_all_channels_and_everywhere():
    images = torch.full((400, 3 * 8 * 8), 7, dtype=torch.uint8)
    found = blackened(images, (3, 8, 8), 4, seeded()).view(400, 3, 8, 8)
    assert (found[:, 0] == found[:, 1]).all() and set(found.unique().tolist()) == {0, 7}
    black = (found[:, 0] == 0).sum((1, 2))
    assert black.max() == 16 and black.min() == 4  # a corner is left of what lies outside
    assert (found[:, 0] == 0).any(0).all() and (images == 7).all()


def test_mixtures_mix_images_and_labels_by_the_same_share():
    images = torch.tensor([[0], [100], [200]], dtype=torch.uint8).repeat(50, 1)
    labels = torch.eye(3).repeat(50, 1)
    mixed, targets = mixed_up(images, labels, 1.0, seeded())
    assert mixed.dtype == torch.uint8 and torch.allclose(targets.sum(1), torch.ones(150))
    assert torch.allclose(mixed[:, 0].float(), targets @ torch.tensor([0.0, 100, 200]), atol=0.5)
    assert ((targets > 0.1).sum(1) > 1).sum() > 30


@pytest.mark.parametrize("name", ALTERATIONS)
def test_an_alteration_alters_as_far_as_it_should(name):
    images = torch.from_numpy(PICTURE).repeat(3, 1, 1, 1)
    weak, strong, other = ALTERATIONS[name](images, torch.tensor([0.0, 1.0, -1.0]))
    if name not in ("stretch", "equalise", "solarise"):  # which know no strength, or turn white to black
        assert torch.allclose(weak, images[0], atol=1e-3)
    if name not in ("nothing",):
        assert not torch.equal(strong, images[0])
    if name in ("shear_x", "shear_y", "translate_x", "translate_y", "rotate", "brightness"):
        assert not torch.equal(strong, other)


def test_alterations_are_those_of_pillow():
    image = Image.fromarray(PICTURE[0].transpose(1, 2, 0).astype(np.uint8))
    pixels, full = torch.from_numpy(PICTURE), torch.ones(1)
    wanted = {
        "brightness": ImageEnhance.Brightness(image).enhance(1.9), "colour": ImageEnhance.Color(image).enhance(1.9),
        "contrast": ImageEnhance.Contrast(image).enhance(1.9), "sharpness": ImageEnhance.Sharpness(image).enhance(1.9),
        "posterise": ImageOps.posterize(image, 4), "equalise": ImageOps.equalize(image),
        "stretch": ImageOps.autocontrast(image), "rotate": image.rotate(-30),
    }
    for name, picture in wanted.items():
        found = ALTERATIONS[name](pixels, full).round().clamp(0, 255)[0].numpy().transpose(1, 2, 0)
        off = np.abs(found - np.asarray(picture, dtype=np.float32))
        # Pillow rounds in between; a pixel on an edge of the rotated picture may fall to the other side.
        assert (off <= 3).mean() > 0.97, name


def test_images_are_altered_each_on_its_own_and_again_the_same():
    images = torch.randint(0, 256, (200, 64), dtype=torch.uint8, generator=seeded())
    found = altered(images, (1, 8, 8), 1, 15, seeded())
    same = (found == images).all(1)
    assert found.dtype == torch.uint8 and 0 < same.sum() < 60
    assert torch.equal(found, altered(images, (1, 8, 8), 1, 15, seeded()))
    assert not torch.equal(found, altered(images, (1, 8, 8), 2, 15, seeded()))
    assert not torch.equal(found, altered(images, (1, 8, 8), 1, STRENGTH_MAX, seeded()))


@pytest.mark.parametrize("change", [{"cutout": 4}, {"alterations": 2}, {"mirrors": True}, {"shifts": 2}])
def test_every_alteration_of_a_recipe_alters_and_keeps_the_labels(change):
    images = torch.randint(1, 256, (8, 64), dtype=torch.uint8, generator=seeded())
    labels = torch.arange(8)
    plain, changed = (
        list(batches(recipe, images, labels, seeded()))
        for recipe in (RECIPE, replace(RECIPE, data=replace(RECIPE.data, **change))))
    assert [len(batch) for batch, _ in changed] == [4, 4]
    assert sorted(torch.cat([truth for _, truth in changed]).tolist()) == list(range(8))
    assert not torch.equal(torch.cat([batch for batch, _ in plain]).sort(0).values,
                           torch.cat([batch for batch, _ in changed]).sort(0).values)


def test_smoothed_labels_spread_a_share():
    labels = torch.tensor([3, 0])
    assert targets_of(RECIPE, labels) is labels
    smooth = targets_of(replace(RECIPE, training=replace(RECIPE.training, label_smoothing=0.2)), labels)
    assert smooth[0].tolist() == pytest.approx([0.02] * 3 + [0.82] + [0.02] * 6)


def test_batches_are_the_same_made_ahead_and_an_error_arrives():
    images, labels = torch.arange(40, dtype=torch.uint8).view(10, 4), torch.arange(10)
    plain, early = (list(made(batches(RECIPE, images, labels, seeded()))) for made in (iter, ahead))
    assert len(plain) == len(early) == 3
    assert all(torch.equal(a, b) for one, two in zip(plain, early, strict=True) for a, b in zip(one, two, strict=True))

    def broken():
        yield images, labels
        raise OSError("a picture is missing")

    with pytest.raises(OSError, match="a picture is missing"):
        list(ahead(broken()))
