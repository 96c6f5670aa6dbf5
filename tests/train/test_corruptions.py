# SPDX-License-Identifier: MIT
"""Corruptions: the same every time, stronger from severity to severity, and of whole images."""

import pytest
import torch
from firstspike_train.corruptions import CORRUPTIONS, SEVERITIES, STRENGTHS, corrupted

SHAPE = (3, 32, 32)
IMAGES = (torch.rand(20, 3 * 32 * 32, generator=torch.Generator().manual_seed(0)) * 256).to(torch.uint8)
IMAGES = torch.where(torch.arange(3072) % 32 < 16, IMAGES, IMAGES // 8)  # an edge, so that contrast and blur have work


def test_every_kind_has_strengths_in_both_sets():
    assert all(list(SEVERITIES) == list(range(1, 1 + len(one))) and set(kinds) == set(CORRUPTIONS)
               for kinds in STRENGTHS.values() for one in kinds.values())


@pytest.mark.parametrize("strengths", STRENGTHS)
@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_every_kind_is_seeded_and_grows_with_severity(kind, strengths):
    distances = []
    for severity in SEVERITIES:
        changed = corrupted(IMAGES, SHAPE, kind, severity, 3, strengths)
        assert changed.dtype == torch.uint8 and changed.shape == IMAGES.shape
        assert torch.equal(changed, corrupted(IMAGES, SHAPE, kind, severity, 3, strengths))
        distances.append((changed.float() - IMAGES.float()).square().mean().item())
    # Pixels of different sizes fall on the edge in different ways.
    assert distances[0] > 1 and (distances == sorted(distances) or kind == "pixelate") and distances[4] > distances[0]
    noisy = kind.endswith("noise")
    assert torch.equal(changed, corrupted(IMAGES, SHAPE, kind, 5, 4, strengths)) != noisy


def test_known_images():
    flat = torch.full((1, 64), 100, dtype=torch.uint8)
    for kind in ("gaussian_blur", "motion_blur", "contrast", "pixelate"):
        assert torch.equal(corrupted(flat, (1, 8, 8), kind, 5), flat), kind
    assert (corrupted(flat, (1, 8, 8), "brightness", 1) == 126).all()  # 100 + 25.5, rounded to even
    point = torch.zeros(1, 64, dtype=torch.uint8)
    point[0, 3 * 8 + 3] = 240
    assert corrupted(point, (1, 8, 8), "motion_blur", 2).view(8, 8)[3, 2:5].tolist() == [80, 80, 80]


def test_impulses_are_as_often_black_as_white_and_as_many_as_they_should():
    grey = torch.full((40, 1024), 100, dtype=torch.uint8)
    for severity, share in zip(SEVERITIES, STRENGTHS["imagenet-c"]["impulse_noise"], strict=True):
        changed = corrupted(grey, (1, 32, 32), "impulse_noise", severity)
        black, white, kept = ((changed == value).float().mean().item() for value in (0, 255, 100))
        assert black == pytest.approx(share / 2, rel=0.1) and white == pytest.approx(share / 2, rel=0.1)
        assert kept == pytest.approx(1 - share, abs=0.01)


def test_wrong_names_are_refused():
    with pytest.raises(ValueError, match=r"corruption must be one of gaussian_noise, .*, pixelate, not 'fog'"):
        corrupted(IMAGES, SHAPE, "fog", 1)
    with pytest.raises(ValueError, match=r"severity must be 1…5, not 6"):
        corrupted(IMAGES, SHAPE, "contrast", 6)
    with pytest.raises(ValueError, match=r"strengths must be one of imagenet-c, cifar-10-c, not 'mnist-c'"):
        corrupted(IMAGES, SHAPE, "contrast", 5, strengths="mnist-c")
