# SPDX-License-Identifier: MIT
"""Pools merged into synapses, against torch's own pools and synapses one behind the other."""

import re

import numpy as np
import pytest
import torch
from firstspike_arch.connectivity import Conv2d, ConvTranspose2d, Dense
from firstspike_compiler.frontends.map_pool import MapPool, adaptive_pool, pool_currents, take_pool, window_pool
from firstspike_sim.models.synaptic_sums import synaptic_sums
from torch import nn
from torch.nn import functional


def pair(rng, low, high):
    return int(rng.integers(low, high)), int(rng.integers(low, high))


def random_pool(rng, size) -> tuple[MapPool, nn.Module] | None:
    """A pool and torch's own, of a map of this size; None if the numbers drawn do not fit."""
    if rng.random() < 0.3:
        outputs = pair(rng, 1, 9)
        return adaptive_pool(size, outputs), nn.AdaptiveAvgPool2d(outputs)
    kernel = pair(rng, 1, 5)
    stride = kernel if rng.random() < 0.4 else pair(rng, 1, 4)
    padding = tuple(int(rng.integers(0, side // 2 + 1)) if rng.random() < 0.4 else 0 for side in kernel)
    options = {"ceil_mode": bool(rng.random() < 0.3), "count_include_pad": bool(rng.random() < 0.5)}
    divisor = int(rng.integers(1, 7)) if rng.random() < 0.2 else None
    try:
        pool = window_pool(size, kernel, stride, padding, divisor=divisor, **options)
    except ValueError:
        return None
    return pool, nn.AvgPool2d(kernel, stride, padding, divisor_override=divisor, **options)


def random_map(rng, shape):
    return torch.tensor(rng.integers(-3, 4, (2, *shape)), dtype=torch.float64)


def test_a_pool_takes_the_shares_that_torch_takes():
    rng, found = np.random.default_rng(0), 0
    kinds = {"sides": 0, "windows": 0, "neither": 0}
    for _ in range(400):
        size = pair(rng, 1, 9)
        drawn = random_pool(rng, size)
        if drawn is None:
            continue
        pool, module = drawn
        x = random_map(rng, (3, *size))
        down, across = (torch.tensor(axis.spread(np.eye(len(axis.begins)))) for axis in pool.axes)
        got, wanted = down.T @ x @ across, module(x)
        assert got.shape == wanted.shape and pool.shape((3, *size)) == wanted.shape[1:]
        assert torch.allclose(got, wanted, rtol=0, atol=1e-12), module
        kinds["sides" if pool.sides else "windows" if pool.windows else "neither"] += 1
        found += 1
    assert found > 250 and min(kinds.values()) > 20, kinds


def random_synapses(rng, shape):
    kind = int(rng.integers(0, 3))
    if kind == 0:
        return Dense(in_shape=shape, neurons=3)
    if kind == 1:
        return Conv2d(in_shape=shape, channels=4, kernel=pair(rng, 1, 4), stride=pair(rng, 1, 3), groups=2,
                      dilation=pair(rng, 1, 3), padding=pair(rng, 0, int(rng.integers(1, 3))))
    return ConvTranspose2d(in_shape=shape, channels=4, kernel=pair(rng, 1, 4))


def test_synapses_take_what_is_in_front_of_their_pools():
    """Of two pools one behind the other, too; what is refused must be what no such synapses can do."""
    rng = np.random.default_rng(1)
    done = {"Dense": 0, "Conv2d": 0, "ConvTranspose2d": 0}
    refused = dict.fromkeys(done, 0)
    for _ in range(600):
        shape = (2, *pair(rng, 2, 10))
        pool, modules = None, []
        for _ in range(int(rng.integers(1, 3))):
            drawn = random_pool(rng, shape[1:] if pool is None else pool.size)
            if drawn is not None:
                pool, modules = drawn[0].behind(pool), [*modules, drawn[1]]
        if pool is None:
            continue
        try:
            connectivity = random_synapses(rng, pool.shape(shape))
        except ValueError:
            continue
        name, weight = type(connectivity).__name__, rng.integers(-4, 5, connectivity.weight_shape).astype(np.float64)
        x = random_map(rng, shape)
        wanted = synaptic_sums(connectivity, torch.tensor(weight), nn.Sequential(*modules)(x))
        try:
            merged, synapses, averages = take_pool(pool, shape, weight, connectivity)
        except ValueError as error:
            assert name != "Dense" and pool.sides is None and str(error).startswith("must ")
            refused[name] += 1
            continue
        assert synapses.in_shape == shape and synapses.out_shape == connectivity.out_shape
        got = synaptic_sums(synapses, torch.tensor(merged), x, average=averages)
        assert torch.allclose(got, wanted, rtol=0, atol=1e-10)
        done[name] += 1
    assert min(done.values()) > 25 and refused["Conv2d"] and refused["ConvTranspose2d"], (done, refused)


def test_a_convolution_and_its_pool_are_one_convolution():
    rng, found = np.random.default_rng(2), 0
    for _ in range(200):
        try:
            synapses = Conv2d(in_shape=(2, *pair(rng, 3, 10)), channels=4, kernel=pair(rng, 1, 4), groups=2,
                              stride=pair(rng, 1, 3), dilation=pair(rng, 1, 3), padding=pair(rng, 0, 2))
        except ValueError:
            continue
        drawn = random_pool(rng, synapses.out_shape[1:])
        if drawn is None:
            continue
        weight = rng.integers(-4, 5, synapses.weight_shape).astype(np.float64)
        x = random_map(rng, synapses.in_shape)
        sums = synaptic_sums(synapses, torch.tensor(weight), x).unflatten(1, synapses.out_shape)
        try:
            merged, both = pool_currents(drawn[0], weight, synapses)
        except ValueError as error:
            assert drawn[0].sides is None and str(error).startswith("must have windows of one size")
            continue
        got = synaptic_sums(both, torch.tensor(merged), x)
        assert torch.allclose(got, drawn[1](sums).flatten(1), rtol=0, atol=1e-10)
        ones = drawn[1](torch.ones_like(sums))
        assert torch.allclose(ones, torch.full_like(ones, float(drawn[0].gain)))
        found += 1
    assert found > 40


def test_windows_side_by_side_stay_what_they_are():
    """So that networks of today do not change: no weight is touched, and pools add up to one."""
    weight = np.array([[[[1 / 3]]]])
    for kernels, sides in ((((2, 2), (3, 3)), 6), (((3, 2), (1, 2)), (3, 4))):
        pool = None
        for kernel in kernels:
            pool = window_pool((13, 13) if pool is None else pool.size, kernel, kernel).behind(pool)
        synapses = Conv2d(in_shape=pool.shape((1, 13, 13)), channels=1, kernel=(1, 1))
        merged, both, averages = take_pool(pool, (1, 13, 13), weight, synapses)
        assert merged is weight and averages and both.pool == sides and both.out_shape == synapses.out_shape
    total = window_pool((8, 8), (2, 2), (2, 2), divisor=1)
    merged, both, averages = take_pool(total, (1, 8, 8), weight, Conv2d(in_shape=(1, 4, 4), channels=1, kernel=(1, 1)))
    assert merged is weight and not averages and both.pool == 2
    assert window_pool((5, 5), (1, 1), (1, 1)).changes is False and total.changes is True


@pytest.mark.parametrize(("length", "sides"), [(2, 2), (3, 2), (4, None), (7, None)])
def test_a_window_alone_may_leave_any_number_of_pixels_behind_it(length, sides):
    pool = window_pool((length, length), (2, 2), (9, 9))
    assert pool.size == (1, 1) and pool.windows is not None and pool.sides == (sides and (sides, sides))
    weight = np.arange(9.0).reshape(1, 1, 3, 3)
    total, composed = pool_currents(pool, weight, Conv2d(in_shape=(1, length + 2, length + 2), channels=1,
                                                         kernel=(3, 3)))
    assert composed.out_shape == (1, 1, 1) and total.sum() == weight.sum()


@pytest.mark.parametrize(("pool", "connectivity", "sentence"), [
    (window_pool((7, 7), (2, 2), (2, 2), ceil_mode=True), Conv2d(in_shape=(1, 4, 4), channels=1, kernel=(2, 2)),
     "must be dense (a Linear), as the windows of the pool before it differ in size or divisor; behind windows of one "
     "size a convolution works, too"),
    (window_pool((7, 7), (3, 3), (2, 2)), Conv2d(in_shape=(1, 3, 3), channels=1, kernel=(3, 3), padding=(1, 1)),
     "must not have padding behind a pool whose windows do not lie side by side inside the map"),
    (window_pool((7, 7), (3, 3), (2, 2)), ConvTranspose2d(in_shape=(1, 3, 3), channels=1, kernel=(3, 3)),
     "must not be transposed behind a pool whose windows do not lie side by side inside the map"),
])
def test_what_no_synapses_do_is_refused_in_a_sentence(pool, connectivity, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        take_pool(pool, (1, 7, 7), np.ones(connectivity.weight_shape), connectivity)


def test_a_long_line_is_no_matrix():
    line = (1, 1 << 20)
    pool = window_pool((1, 1 << 18), (1, 3), (1, 3)).behind(window_pool(line, (1, 4), (1, 4)))
    assert pool.sides == (1, 12)
    with pytest.raises(ValueError, match=r"^must have fewer or smaller windows along a side than 1047577 of 1000 pix"):
        window_pool(line, (1, 1000), (1, 1))


def test_windows_that_do_not_fit_are_refused_as_torch_refuses_them():
    with pytest.raises(ValueError, match=r"^must have windows inside the map of 4 × 6, padded by at most half a "
                                         r"window, not windows of 5 × 2 with stride \(2, 2\) and padding \(0, 0\)$"):
        window_pool((4, 6), (5, 2), (2, 2))
    with pytest.raises(RuntimeError):
        functional.avg_pool2d(torch.zeros(1, 4, 6), (5, 2), 2)
    with pytest.raises(ValueError, match=r"^must divide a map into at least one window, not into 0 × 2$"):
        adaptive_pool((4, 6), (0, 2))
