# SPDX-License-Identifier: MIT
"""Kernel-parallel banks of any shape: hardware against golden and timing model, on tiny maps."""

import numpy as np
import pytest
from firstspike_arch.banks import bank_shapes
from firstspike_arch.network_builder import NetworkBuilder
from firstspike_compiler.compile import compile_network
from firstspike_sim.backends.pysim import PysimBackend
from firstspike_sim.models.golden import GoldenModel

GEOMETRIES = [
    # Kernel, options of the convolution, lanes, banks, axes along which the kernel is rotated
    ((5, 5), {"padding": (2, 2)}, 2, (1, 5), (False, True)),
    ((5, 5), {"padding": (1, 2)}, 3, (2, 3), True),
    ((5, 4), {"stride": (2, 1), "padding": (2, 1)}, 1, (3, 2), False),
    ((4, 3), {"stride": (1, 2), "padding": (2, 1)}, 1, (4, 1), (True, False)),
    ((3, 3), {"padding": (1, 1), "groups": 2}, 1, (3, 1), False),
    ((3, 3), {"dilation": (2, 1), "padding": (2, 1)}, 3, (3, 2), True),
    ((3, 5), {"dilation": (1, 2), "padding": (1, 4)}, 1, (1, 3), False),
    ((2, 3), {"transposed": True, "stride": (2, 1), "padding": (1, 0)}, 2, (2, 2), False),
    ((3, 2), {"pool": (2, 1), "padding": (1, 0)}, 1, (2, 2), (True, False)),
    ((1, 5), {"padding": (0, 2)}, 3, (1, 2), False),
]


@pytest.mark.thinned(2)
@pytest.mark.parametrize(("kernel", "geometry", "lanes", "banks", "rotates"), [
    *GEOMETRIES[:4], *(pytest.param(*one, marks=pytest.mark.slow) for one in GEOMETRIES[4:])])
def test_banks_of_any_shape(kernel, geometry, lanes, banks, rotates, agree):
    """Kernels up to 5 × 5 with and without stride, dilation, groups and pool; one to three rows a position."""
    rng = np.random.default_rng(lanes)
    channels = (6, 2 // geometry.get("groups", 1))
    net = NetworkBuilder((2, 6, 7), steps=4, readout="spike_count")
    net.layer(rng.integers(-3, 6, (*channels, *kernel)), theta=7, leak=0.75, **geometry)
    net.layer(rng.integers(-3, 6, (2, 6, 2, 2)), theta=9, padding=1)
    network, inputs = net.build(), (rng.random((2, 4, 84)) < 0.15).astype(np.uint8)
    assert banks in bank_shapes(network.layers[0])
    program = compile_network(network, lanes=[lanes, 1], banks=[banks, (1, 2)], rotates=[rotates, False]).program
    fired = [(sent != 0).mean() for sent in GoldenModel(network).run(inputs).spikes]
    assert all(0.02 < share < 0.7 for share in fired), fired
    agree(PysimBackend(), program, inputs, seed=lanes)
