# SPDX-License-Identifier: MIT
"""Straight-through integers are those of `firstspike_arch.fixed`."""

import numpy as np
import pytest
import torch
from firstspike_arch.fixed import nearest_leak, quantise, threshold_at_least
from firstspike_train.quantisation import (
    choose_scale,
    integer_decay,
    integer_thresholds,
    integer_weights,
    rounded_leak,
    whole_steps,
)


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


def test_whole_steps_are_nearest_and_exact():
    real = torch.tensor([0.3, 0.349, 0.01, 17.04], dtype=torch.float64, requires_grad=True)
    got = whole_steps(real, 0.1)
    assert got.tolist() == [3, 3, 1, 170]
    got.sum().backward()
    assert real.grad.tolist() == pytest.approx([10] * 4)
    assert whole_steps(torch.tensor([-0.26]), 0.1, -torch.inf).tolist() == [-3]


def test_leaks_are_the_compilers():
    leak = torch.tensor(0.9, requires_grad=True)
    got = rounded_leak(leak, 4)
    num, shift = nearest_leak(0.9, 4)
    assert got.item() == num / 2**shift == 0.875
    got.backward()
    assert leak.grad.item() == 1


@pytest.mark.parametrize("leak", [1.0, 0.5, 235 / 256, 1 / 256, 0.0])
def test_decay_is_an_arithmetic_shift(leak):
    generator = torch.Generator().manual_seed(0)
    membrane = torch.randint(-(2**23), 2**23, (4000,), generator=generator).float()
    num, shift = nearest_leak(leak, 8)
    expected = (membrane.long() * num) >> shift
    assert torch.equal(integer_decay(membrane, torch.tensor(leak)).long(), expected)


def test_decay_has_the_slopes_of_a_product():
    membrane, leak = torch.tensor([3.0, -5.0], requires_grad=True), torch.tensor(0.75, requires_grad=True)
    integer_decay(membrane, leak).sum().backward()
    assert membrane.grad.tolist() == [0.75, 0.75] and leak.grad.item() == -2


def test_the_scale_cuts_outliers_and_needs_a_weight():
    real = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    assert choose_scale(real, 4) < real.abs().max().item() / 7
    with pytest.raises(ValueError, match="must not all be zero"):
        choose_scale(torch.zeros(3), 4)
