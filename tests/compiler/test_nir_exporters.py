# SPDX-License-Identifier: MIT
"""What the frameworks export to NIR does the same when it is read: their own run against the imported network."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from firstspike_arch.float_network import FloatNetwork
from firstspike_compiler.errors import CompileWarning
from firstspike_compiler.frontends.nir_file import load_nir
from firstspike_sim.testing.nir_exporters import EXPORTERS, draw_alive
from firstspike_sim.testing.random_chain import part

FILES = sorted((Path(__file__).parent / "nir_files").glob("*.nir"))


def loaded(source, **options) -> FloatNetwork:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CompileWarning)
        return load_nir(source, readout="spike_count", **options)


@pytest.mark.parametrize("networks", [5, pytest.param(50, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", EXPORTERS)
def test_spikes_are_those_of_the_framework(name, networks):
    """Every spike of every layer, but where float32 rounds a membrane over its threshold."""
    pytest.importorskip(name)
    ties = compared = 0
    for seed, one, inputs in draw_alive(name, networks):
        expected = one.run(torch.tensor(inputs, dtype=torch.float32))
        network = loaded(one.graph, steps=inputs.shape[1], in_min=int(inputs.min()), in_max=int(inputs.max()),
                         **one.options)
        parting = part(network, inputs, expected)
        assert not parting.unexplained, f"seed {seed}: {parting.unexplained} of {len(inputs)} inferences differ"
        ties, compared = ties + parting.ties, compared + len(inputs)
    assert ties <= compared / 100


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_spikes_are_those_recorded_of_the_framework(path):
    """Of frameworks that may not be installed; write_nir_files.py wrote the files."""
    recorded = np.load(path.with_suffix(".npz"))
    inputs = recorded["inputs"].astype(np.int64)
    network = loaded(path, steps=inputs.shape[1], in_max=int(inputs.max()), **json.loads(str(recorded["options"])))
    expected = [recorded[f"spikes{index}"].astype(np.float32) for index in range(len(network.layers))]
    assert sum(one.sum() for one in expected) > 100 and not part(network, inputs, expected).unexplained


def test_there_are_recorded_files_of_each_framework_that_no_test_environment_has():
    assert {path.stem.split("_")[0] for path in FILES} == {"sinabs", "rockpool"}


def test_each_exporter_of_the_documentation_is_run_here():
    text = (Path(__file__).parents[2] / "docs" / "bring_your_own.md").read_text()
    table = text.split("| written by |")[1].split("\n\n")[0]
    assert {line.split()[1].lower() for line in table.splitlines()[2:]} - {"…"} == set(EXPORTERS)
