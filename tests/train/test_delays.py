# SPDX-License-Identifier: MIT
"""Delays: spikes come whole steps later, and a delay learns to bring them where they are wanted."""

import numpy as np
import pytest
import torch
from firstspike_train.delays import REACH, Delays


def delays_of(steps, longest, *, learns=False):
    made = Delays(len(steps), longest, learns, torch.Generator().manual_seed(0))
    with torch.no_grad():
        made.shares.copy_(torch.tensor(steps) / longest)
    return made


def test_spikes_come_later_or_never():
    spikes = (torch.rand(9, 5, 3, 2, 2, generator=torch.Generator().manual_seed(0)) < 0.4).float()
    wanted = [0, 1, 2, 8, 3, 0, 5, 4, 8, 1, 7, 6]
    found = delays_of([step + 0.2 for step in wanted], 20)(spikes).flatten(2)
    for address, delay in enumerate(wanted):
        own = spikes.flatten(2)[..., address]
        assert torch.equal(found[:delay, :, address], torch.zeros(delay, 5))
        assert torch.equal(found[delay:, :, address], own[:9 - delay]) and own.any()
    assert delays_of([0.4, 19.7], 20).exported().tolist() == [0, 20]


def test_the_slope_of_a_spike_goes_back_to_where_it_left():
    spikes = torch.rand(7, 2, 3, generator=torch.Generator().manual_seed(1)).requires_grad_()
    weights = torch.rand(7, 2, 3, generator=torch.Generator().manual_seed(2))
    (delays_of([0.0, 2.0, 6.0], 8)(spikes) * weights).sum().backward()
    expected = torch.zeros(7, 2, 3)
    for address, delay in enumerate((0, 2, 6)):
        expected[:7 - delay, :, address] = weights[delay:, :, address]
    assert torch.equal(spikes.grad, expected)


def test_the_slope_of_a_delay_is_that_of_triangles():
    random = torch.Generator().manual_seed(3)
    spikes = (torch.rand(12, 4, 5, generator=random) < 0.3).double()
    weights = torch.rand(12, 4, 5, generator=random).double()
    made = delays_of([0.0, 1.0, 3.0, 4.0, 2.0], 6, learns=True)
    (made(spikes) * weights).sum().backward()
    come = made(spikes).detach()
    expected = torch.zeros(5)
    for step in range(12):
        for at in range(12):
            if 0 < abs(step - at) <= REACH:
                slope = (1 if at < step else -1) / REACH**2
                expected += (weights[step] * come[at] * slope).sum(0).float()
    assert made.shares.grad.numpy() == pytest.approx(6 * expected.numpy(), rel=1e-5) and (expected != 0).all()


def test_delays_learn_to_bring_spikes_together():
    sent = torch.tensor([2, 9, 4, 6])
    spikes = torch.zeros(20, 1, 4)
    spikes[sent, 0, torch.arange(4)] = 1
    made = delays_of([5.0, 5.0, 5.0, 5.0], 10, learns=True)
    optimizer, wanted = torch.optim.Adam(made.parameters(), lr=0.02), torch.zeros(20)
    wanted[12 - REACH + 1 : 12 + REACH] = torch.tensor([1, 2, 3, 2, 1]) / 3.0
    for _ in range(100):
        optimizer.zero_grad()
        (-(made(spikes).sum((1, 2)) * wanted).sum()).backward()
        optimizer.step()
        made.constrain()
    assert np.abs(made.exported() - (12 - sent.numpy())).max() <= 1


def test_delays_stay_in_their_range():
    made = delays_of([-3.0, 30.0, 4.0], 8)
    made.constrain()
    assert made.exported().tolist() == [0, 8, 4]
