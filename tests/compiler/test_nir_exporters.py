# SPDX-License-Identifier: MIT
"""What the frameworks export to NIR does the same when it is read: their own run against the imported network."""

import warnings
from itertools import pairwise

import numpy as np
import pytest
import torch
from firstspike_compiler.errors import CompileError, CompileWarning
from firstspike_compiler.frontends.nir_file import load_nir
from firstspike_sim.testing.nir_exporters import EXPORTERS
from firstspike_sim.testing.random_chain import alive, part

STEPS, IN_MAX, INPUTS = 6, 2, 20


def compare(name: str, networks: int) -> None:
    """As many living networks; every spike of every layer, but where float32 rounds a membrane over its threshold."""
    found = ties = 0
    for seed in range(40 * networks):
        rng = np.random.default_rng(seed)
        one = EXPORTERS[name](rng)
        size = int(np.prod(one.shape))
        inputs = rng.integers(0, IN_MAX + 1, (INPUTS, STEPS, size)) * (rng.random((INPUTS, STEPS, size)) < 0.5)
        expected = one.run(torch.tensor(inputs, dtype=torch.float32))
        if not alive(expected) or max(spikes.max() for spikes in expected) > 15:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CompileWarning)
            network = load_nir(one.graph, steps=STEPS, readout="spike_count", in_max=IN_MAX, **one.options)
        parting = part(network, inputs, expected)
        assert not parting.unexplained, f"seed {seed}: {parting.unexplained} of {INPUTS} inferences differ"
        found, ties = found + 1, ties + parting.ties
        if found == networks:
            assert ties <= found * INPUTS / 100
            return
    pytest.fail(f"only {found} networks are alive")


@pytest.mark.parametrize("networks", [5, pytest.param(50, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", EXPORTERS)
def test_spikes_are_those_of_the_framework(name, networks):
    pytest.importorskip(name)
    compare(name, networks)
