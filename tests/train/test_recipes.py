# SPDX-License-Identifier: MIT
"""The shipped recipes whose data or time is not here: a few steps of each phase, on small made-up tensors."""

import json
import re
from dataclasses import replace
from pathlib import Path
from unittest.mock import create_autospec

import numpy as np
import pytest
from firstspike_train import inputs, load_recipe
from firstspike_train import loop as training
from firstspike_train.data import DATASETS

RECIPES = Path(__file__).parents[2] / "recipes"
IMAGES = 4


def narrow(recipe):
    """The same layers with an eighth of the channels: the wiring is what is tested."""
    hidden, outputs = recipe.network.layers.rsplit("-", 1)
    hidden = re.sub(r"(?<![^-])\d+", lambda channels: str(int(channels[0]) // 8), hidden)
    return replace(recipe, network=replace(recipe.network, layers=f"{hidden}-{outputs}"),
                   training=replace(recipe.training, epochs=1, batch_size=IMAGES),
                   quantisation=replace(recipe.quantisation, epochs=1),
                   **({"method": replace(recipe.method, pretraining_epochs=1)}
                      if recipe.method.kind == "diet_snn" else {}))


def made_up(name, split):
    random = np.random.default_rng(0)
    data = DATASETS[name]
    return (random.integers(0, 256, (2 * IMAGES, int(np.prod(data.shape))), dtype=np.uint8),
            random.integers(0, data.classes, 2 * IMAGES))


@pytest.mark.parametrize("name", sorted(path.stem for path in RECIPES.glob("cifar10_*.toml")))
def test_every_phase_takes_a_few_steps(name, tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "load_lazily", create_autospec(inputs.load_lazily, side_effect=made_up))
    recipe = narrow(load_recipe(RECIPES / f"{name}.toml"))
    network = training.train(recipe, tmp_path / "x.safetensors", progress=False)
    losses = [entry["loss"] for entry in network.recipe["history"] if "loss" in entry]
    assert len(losses) == len(recipe.phases) and np.isfinite(losses).all()
    assert len(network.layers) == len(recipe.quantisation.weight_bits)
    assert sum(bool(layer.branches) for layer in network.layers) == (9 if "resnet20" in name else 0)
    json.dumps(network.recipe)
