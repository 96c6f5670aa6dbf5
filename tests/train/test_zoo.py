# SPDX-License-Identifier: MIT
"""Networks that come with firstspike: compiled, the golden model has the accuracy that their files state."""

import os
from pathlib import Path

import numpy as np
import pytest
from firstspike_arch.checkpoint import load_network
from firstspike_compiler.compile import compile_network
from firstspike_sim.models.golden import GoldenModel
from firstspike_train.data import DATA_VARIABLE
from firstspike_train.inputs import load_inputs
from firstspike_train.official_files import DataError
from firstspike_train.recipe_file import recipe_of

ZOO = Path(__file__).parents[2] / "zoo"
NO_DATA = DATA_VARIABLE not in os.environ


@pytest.mark.parametrize("name", [
    pytest.param(path.stem, marks=[pytest.mark.slow, pytest.mark.skipif(NO_DATA, reason=f"{DATA_VARIABLE} is not set")]
                 if not path.stem.startswith(("digits", "glides")) else [])
    for path in sorted(ZOO.glob("*.safetensors"))
])
def test_the_stated_accuracy_is_the_golden_models(name):
    network = load_network(ZOO / f"{name}.safetensors")
    try:
        inputs, labels = load_inputs(recipe_of(network), "test")
    except DataError as error:  # CIFAR-10: there may be a folder of data without it
        if not name.startswith("cifar10") or "cannot be read" not in str(error):
            raise
        pytest.skip(str(error))
    model = GoldenModel(compile_network(network).program.network)
    right = [model.run(part).classes == truth for part, truth in
             zip(np.split(inputs, len(labels) // 20), np.split(labels, len(labels) // 20), strict=True)]
    assert sum(int(part.sum()) for part in right) / len(labels) == network.accuracy["quantised_test"]
