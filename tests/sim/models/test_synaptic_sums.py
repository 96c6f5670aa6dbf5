# SPDX-License-Identifier: MIT
"""Sums of synapses with pools in front of them, beside torch's own layers."""

import numpy as np
import pytest
import torch
from firstspike_arch.connectivity import Conv2d, ConvTranspose2d, Dense
from firstspike_sim.models.synaptic_sums import synaptic_sums
from torch import nn
from torch.nn import functional

SYNAPSES = [
    Dense(in_shape=(7,), neurons=3), Dense(in_shape=(2, 5, 7), neurons=4, pool=(2, 3)),
    Dense(in_shape=(2, 5, 7), neurons=4), Dense(in_shape=(1, 3, 8), neurons=2, pool=3),
    Conv2d(in_shape=(2, 7, 6), channels=6, kernel=(3, 2), stride=(2, 1), padding=(1, 2), groups=2),
    Conv2d(in_shape=(2, 9, 8), channels=4, kernel=(2, 3), dilation=(2, 1), pool=(2, 1), padding=(0, 1)),
    ConvTranspose2d(in_shape=(4, 4, 5), channels=6, kernel=(4, 2), stride=(2, 3), padding=(1, 2), groups=2,
                    output_padding=(1, 2)),
    ConvTranspose2d(in_shape=(1, 6, 5), channels=2, kernel=(2, 3), dilation=(3, 2), pool=(2, 1)),
]


def layer_of(synapses, weight: torch.Tensor) -> nn.Module:
    if isinstance(synapses, Dense):
        layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=torch.float64)
    else:
        options = {name: getattr(synapses, name) for name in ("stride", "padding", "dilation", "groups")}
        channels = synapses.in_shape[0], synapses.channels
        if isinstance(synapses, ConvTranspose2d):
            layer = nn.ConvTranspose2d(*channels, synapses.kernel, bias=False, dtype=torch.float64,
                                       output_padding=synapses.output_padding, **options)
            weight = torch.cat([part.transpose(0, 1) for part in weight.chunk(synapses.groups)])
        else:
            layer = nn.Conv2d(*channels, synapses.kernel, bias=False, dtype=torch.float64, **options)
    with torch.no_grad():
        layer.weight.copy_(weight)
    return layer


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("synapses", SYNAPSES)
def test_sums_are_those_of_torchs_layers(synapses, average):
    random = np.random.default_rng(5)
    weight = torch.tensor(random.integers(-4, 5, synapses.weight_shape), dtype=torch.float64)
    values = torch.tensor(random.integers(0, 9, (3, *synapses.in_shape)), dtype=torch.float64)
    pooled = values
    if synapses.pool_size > 1:
        pooled = functional.avg_pool2d(values, synapses.pool_sides, divisor_override=None if average else 1)
    pooled = pooled.flatten(1) if isinstance(synapses, Dense) else pooled
    with torch.no_grad():
        wanted = layer_of(synapses, weight)(pooled).flatten(1)
    for given in (values, values.flatten(1)):
        torch.testing.assert_close(synaptic_sums(synapses, weight, given, average=average), wanted)
