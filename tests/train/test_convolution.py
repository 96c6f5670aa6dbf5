# SPDX-License-Identifier: MIT
"""Convolutions in bfloat16: products of matrices compute what torch's convolution computes."""

from pathlib import Path

import pytest
import torch
from firstspike_train import convolution
from firstspike_train.convolution import convolve
from firstspike_train.recipe import TeacherRecipe
from firstspike_train.recipe_file import load_recipe
from firstspike_train.teacher import Teacher
from torch.nn import functional

# Spikes and small whole numbers: all sums are below 2^8, which bfloat16 holds, so that every order of additions agrees.
CASES = [  # inputs [B, C, H, W], kernel and padding; the channels are made few by a smaller bound
    ((3, 8, 2, 2), (3, 3), (1, 1)),
    ((2, 8, 4, 4), (3, 3), (1, 1)),
    ((2, 8, 8, 3), (3, 3), (1, 1)),
    ((2, 8, 5, 5), (5, 3), (2, 0)),
    ((2, 8, 4, 4), (2, 4), (1, 3)),
    ((2, 8, 1, 1), (3, 3), (1, 1)),
    ((2, 8, 6, 6), (1, 1), (0, 0)),
]


def gradients(function, inputs, weight, upwards):
    inputs, weight = inputs.clone().requires_grad_(), weight.clone().requires_grad_()
    outputs = function(inputs, weight)
    outputs.backward(upwards.to(outputs.dtype))
    return outputs.float(), inputs.grad.float(), weight.grad.float()


@pytest.mark.parametrize(("shape", "kernel", "padding"), CASES)
def test_products_of_matrices_equal_the_convolution(monkeypatch, shape, kernel, padding):
    monkeypatch.setattr(convolution, "WEIGHTS_PER_POSITION", 0)
    used = []
    original = convolution._products
    monkeypatch.setattr(convolution, "_products", lambda *given: used.append(1) or original(*given))
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randint(0, 2, shape, generator=generator).float()
    weight = torch.randint(-1, 2, (5, shape[1], *kernel), generator=generator).float()
    expected_shape = functional.conv2d(inputs, weight, padding=padding).shape
    upwards = torch.randint(-1, 2, expected_shape, generator=generator).float()
    wanted = gradients(lambda x, w: functional.conv2d(x, w, padding=padding), inputs, weight, upwards)
    found = gradients(lambda x, w: convolve(x, w, (1, 1), padding, 1),
                      inputs.bfloat16().to(memory_format=torch.channels_last), weight, upwards)
    assert used
    for one, other in zip(wanted, found, strict=True):
        assert one.abs().max() <= 256 and torch.equal(one, other)


@pytest.mark.parametrize("options", [
    {"dtype": torch.float32}, {"stride": (2, 2)}, {"groups": 2}, {"padding": (3, 3)}, {"channels": 4}])
def test_other_convolutions_are_torchs(monkeypatch, options):
    monkeypatch.setattr(convolution, "_products", lambda *given: pytest.fail("took products of matrices"))
    channels = options.get("channels", 128)
    inputs = torch.ones(1, channels, 2, 2, dtype=options.get("dtype", torch.bfloat16))
    groups, padding, stride = options.get("groups", 1), options.get("padding", (1, 1)), options.get("stride", (1, 1))
    weight = torch.ones(128, channels // groups, 3, 3, dtype=inputs.dtype)
    found = convolve(inputs, weight, stride, padding, groups)
    assert torch.equal(found, functional.conv2d(inputs, weight, None, stride, padding, 1, groups))


@pytest.mark.parametrize(("mixed", "channels", "products"), [(True, 128, 2), (True, 16, 0), (False, 128, 0)])
def test_a_teacher_uses_it_where_it_pays(monkeypatch, mixed, channels, products):
    used = []
    original = convolution._products
    monkeypatch.setattr(convolution, "_products", lambda *given: used.append(1) or original(*given))
    given = TeacherRecipe(layers=f"4C3p1-P4-{channels}C3p1-{channels}C3p1-{channels}C3p1-10", epochs=1)
    recipe = load_recipe(Path(__file__).parents[2] / "recipes/digits_latency.toml")
    teacher = Teacher(recipe, given, torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        assert teacher(torch.zeros(2, 64, dtype=torch.uint8)).shape == (2, 10)
    assert len(used) == products


def test_torch_can_trace_the_operator():
    generator = torch.Generator().manual_seed(1)
    inputs, weight = (torch.rand(shape, generator=generator).bfloat16().to(memory_format=torch.channels_last)
                      .requires_grad_() for shape in ((2, 8, 4, 4), (6, 8, 3, 3)))
    torch.library.opcheck(torch.ops.firstspike.products, (inputs, weight, [1, 1]))
