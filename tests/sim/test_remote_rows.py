# SPDX-License-Identifier: MIT
"""Rows of membranes in block RAMs with registers on both sides: every spike and cycle."""

import numpy as np
import pytest
from firstspike_arch.network_builder import NetworkBuilder
from firstspike_compiler.compile import compile_network
from firstspike_sim.backends.pysim import PysimBackend


def program_of(kernel: tuple[int, int], **options):
    rng = np.random.default_rng(5)
    net = NetworkBuilder((2, 6, 7), steps=4, readout="spike_count")
    net.layer(rng.integers(-2, 4, (4, 2, *kernel)), theta=3, reset="subtract", leak=0.5, padding=1)
    net.layer(rng.integers(-1, 3, (3, 4, *kernel)), theta=4)
    return compile_network(net.build(), lanes=[2, 3], **options).program


@pytest.mark.parametrize("seed", [None, 1])
def test_hardware_equals_the_models(seed, agree):
    program = program_of((3, 3))
    assert [(core.remote_rows, core.row_cycles) for core in program.cores] == [(True, 5)] * 2
    inputs = (np.random.default_rng(6).random((2, 4, program.network.inputs)) < 0.4).astype(np.uint8)
    agree(PysimBackend(), program, inputs, seed=seed)


@pytest.mark.parametrize(("kernel", "options"), [((1, 2), {}), ((3, 3), {"protect": "parity"})])
def test_where_rows_come_again_soon_or_have_parity_they_are_near(kernel, options):
    assert not any(core.remote_rows for core in program_of(kernel, **options).cores)
