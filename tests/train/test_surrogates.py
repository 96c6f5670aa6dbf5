# SPDX-License-Identifier: MIT
"""Staircases: exact values at their steps, and slopes of the right area."""

import pytest
import torch
from firstspike_train.surrogates import SLOPES, staircase


def test_steps_count_what_is_reached():
    distance = torch.tensor([-3.0, -0.1, 0.0, 0.9, 1.0, 1.5, 2.0, 9.0])
    assert staircase(distance, "triangle", 1.0, levels=3).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert staircase(distance, "triangle", 1.0, levels=3, strict=True).tolist() == [0, 0, 0, 1, 1, 2, 2, 3]
    assert staircase(distance, "triangle", 1.0).tolist() == [0, 0, 1, 1, 1, 1, 1, 1]
    assert staircase(distance, "triangle", 1.0, strict=True).tolist() == [0, 0, 0, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("width", [0.5, 1.0, 2.0])
def test_slopes_have_the_area_of_their_steps(slope, width):
    distance = torch.linspace(-20, 22, 420_001, dtype=torch.float64, requires_grad=True)
    staircase(distance, slope, width, levels=3, height=0.5).sum().backward()
    assert (distance.grad.sum() * 1e-4).item() == pytest.approx(3 * 0.5, rel=1e-3)
    assert (distance.grad >= 0).all()


def test_rectangles_one_apart_make_a_plateau():
    distance = torch.tensor([-0.6, -0.4, 0.0, 0.7, 1.9, 2.4, 2.6], requires_grad=True)
    staircase(distance, "rectangle", 1.0, levels=3).sum().backward()
    assert distance.grad.tolist() == [0, 1, 1, 1, 1, 1, 0]
