# SPDX-License-Identifier: MIT
"""Networks that come with firstspike: compiled, the golden model has the accuracy that their files state."""

import os
from pathlib import Path

import pytest
from firstspike_arch.checkpoint import load_network
from firstspike_compiler.compile import compile_network
from firstspike_sim.golden import GoldenModel
from firstspike_train.data import DATA_VARIABLE, load

ZOO = Path(__file__).parents[2] / "zoo"
NO_DATA = DATA_VARIABLE not in os.environ


@pytest.mark.parametrize("name", [
    pytest.param(path.stem, marks=[pytest.mark.slow, pytest.mark.skipif(NO_DATA, reason=f"{DATA_VARIABLE} is not set")]
                 if not path.stem.startswith("digits") else [])
    for path in sorted(ZOO.glob("*.safetensors"))
])
def test_the_stated_accuracy_is_the_golden_models(name):
    network = load_network(ZOO / f"{name}.safetensors")
    images, labels = load(network.recipe["data"]["dataset"], "test")
    model = GoldenModel(compile_network(network).program.network)
    right = [model.run(part).classes == truth for part, truth in
             zip(images.reshape(-1, 40, images.shape[1]), labels.reshape(-1, 40), strict=True)]
    assert sum(int(part.sum()) for part in right) / len(labels) == network.accuracy["quantised_test"]
