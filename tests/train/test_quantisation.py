# SPDX-License-Identifier: MIT
"""Straight-through integers are those of `firstspike_arch.fixed`."""

import numpy as np
import pytest
import torch
from firstspike_arch.fixed import quantise, threshold_at_least
from firstspike_train.quantisation import choose_scale, integer_thresholds, integer_weights


@pytest.mark.parametrize("bits", [2, 5, 8])
def test_weights_equal_the_ground_floor_in_both_libraries(bits):
    real = torch.randn(40, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(bits))
    real[0, :8] = torch.arange(-4, 4) * 0.5 * 0.1  # halves
    got = integer_weights(real, 0.1, bits)
    assert np.array_equal(got.numpy(), quantise(real.numpy(), 0.1, bits))


def test_weights_pass_the_gradient_unless_clipped():
    real = torch.tensor([0.1, 0.74, 0.8, -5.0], dtype=torch.float64, requires_grad=True)
    integer_weights(real, 0.1, 4).sum().backward()
    assert real.grad.tolist() == pytest.approx([10, 10, 0, 0])


def test_thresholds_round_up():
    theta = torch.tensor([0.3, 0.31, 1.0], dtype=torch.float64, requires_grad=True)
    got = integer_thresholds(theta, 0.1)
    assert got.tolist() == [threshold_at_least(value, 0.1) for value in (0.3, 0.31, 1.0)]
    got.sum().backward()
    assert theta.grad.tolist() == pytest.approx([10, 10, 10])


def test_the_scale_cuts_outliers_and_needs_a_weight():
    real = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    assert choose_scale(real, 4) < real.abs().max().item() / 7
    with pytest.raises(ValueError, match="must not all be zero"):
        choose_scale(torch.zeros(3), 4)
