# SPDX-License-Identifier: MIT
"""Recordings of event cameras, from files of the official format to a trained network and its golden model."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from firstspike.main import app
from firstspike_arch.checkpoint import load_network
from firstspike_compiler.compile import compile_network
from firstspike_sim.models.golden import GoldenModel
from firstspike_train import train
from firstspike_train.data import DataError
from firstspike_train.export import export_network
from firstspike_train.inputs import load_inputs
from firstspike_train.recipe import (
    DataRecipe,
    EttfsRecipe,
    MultiThresholdRecipe,
    NetworkRecipe,
    QuantisationRecipe,
    Recipe,
    RecipeError,
    TrainingRecipe,
)
from firstspike_train.recipe_file import recipe_of
from firstspike_train.recordings import load_recordings
from firstspike_train.training_run import METHODS
from typer.testing import CliRunner

RECIPE = Recipe(
    name="recorded", data=DataRecipe(dataset="nmnist", step_us=1000, count_max=3, shifts=1),
    network=NetworkRecipe(layers="P2-4C5-P2-10", steps=4),
    method=MultiThresholdRecipe(kind="multi_threshold", levels=3),
    training=TrainingRecipe(epochs=8, batch_size=16, learning_rate=0.02),
    quantisation=QuantisationRecipe(weight_bits=(6, 6), epochs=2),
)


@pytest.fixture
def recordings(tmp_path, monkeypatch):
    """Of digit d, noise and a bar in row 3·d that moves to the right with time."""
    random = np.random.default_rng(0)
    for part, count in (("Train", 8), ("Test", 3)):
        for digit in range(10):
            folder = tmp_path / "nmnist" / part / str(digit)
            folder.mkdir(parents=True)
            for number in range(count):
                time = np.sort(random.integers(0, 4000, 150))
                bar = random.random(150) < 0.7
                y = np.where(bar, 3 * digit + random.integers(0, 3, 150), random.integers(0, 34, 150))
                x = np.where(bar, time // 250 + random.integers(0, 4, 150), random.integers(0, 34, 150))
                sign = random.integers(0, 2, 150)
                packed = np.stack([x, y, sign << 7 | time >> 16, time >> 8 & 255, time & 255], 1).astype(np.uint8)
                (folder / f"{number:05}.bin").write_bytes(packed.tobytes())
    monkeypatch.setenv("FIRSTSPIKE_DATA", str(tmp_path))


def test_the_trained_integers_are_those_of_the_golden_model(recordings, tmp_path):
    train(RECIPE, tmp_path / "x.safetensors", progress=False)
    network = load_network(tmp_path / "x.safetensors")
    assert recipe_of(network) == RECIPE and (network.input_kind, network.in_max) == ("events", 3)
    counts, labels = load_inputs(RECIPE, "test")
    assert counts.shape == (30, 4, 2 * 34 * 34) and counts.max() == 3
    golden = GoldenModel(compile_network(network).program.network).run(counts)
    accuracy = (golden.classes == labels).mean()
    assert accuracy == network.accuracy["quantised_test"] and accuracy > 0.6
    assert 0.01 < (golden.spikes[1] > 0).mean() < 0.9


def test_spikes_are_those_of_the_golden_model(recordings):
    module = METHODS["multi_threshold"](RECIPE, RECIPE.shape, torch.Generator().manual_seed(1))
    counts, _ = load_inputs(RECIPE, "train")
    images = torch.from_numpy(counts).flatten(1)
    module.start("real", images)
    module.start("quantised", images)
    network = compile_network(export_network(module, RECIPE, "potential", {}, [])).program.network
    with torch.no_grad():
        (own,) = module.hidden(images)
    expected = GoldenModel(network).run(counts).spikes[1]
    assert np.array_equal(own.flatten(2).transpose(0, 1).numpy(), expected) and 0.02 < (expected > 0).mean() < 0.7
    assert max(module.largest_membranes()) < 1 << 24


def test_splits_are_fixed_and_apart(recordings):
    train_set, train_labels = load_recordings("nmnist", "train", 4, 1000)
    validation, labels = load_recordings("nmnist", "validation", 4, 1000)
    assert (len(train_set), len(validation)) == (72, 8) == (len(train_labels), len(labels))
    assert train_set.max() == 1
    rows = {item.tobytes() for item in train_set} | {item.tobytes() for item in validation}
    assert len(rows) == 80
    with pytest.raises(DataError, match="split must be one of train, validation, test, not 'all'"):
        load_recordings("nmnist", "all", 4, 1000)
    with pytest.raises(DataError, match="dataset must be one of nmnist, dvs-gesture, cifar10-dvs, shd, glides, not "
                                         "'mnist'"):
        load_recordings("mnist", "test", 4, 1000)


def test_binned_recordings_in_a_file(recordings, tmp_path):
    output = tmp_path / "test.npz"
    found = CliRunner().invoke(app, [
        "data", "nmnist", "-o", str(output), "--steps", "4", "--step-us", "1000", "--count-max", "3"],
        catch_exceptions=False)
    assert found.exit_code == 0 and "30 recordings of 4 steps written to" in found.output
    counts, labels = load_inputs(RECIPE, "test")
    with np.load(output) as file:
        assert np.array_equal(file["inputs"], counts) and np.array_equal(file["labels"], labels)


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"method": EttfsRecipe(kind="ettfs")},
     "method.kind must be 'multi_threshold' with recordings, not 'ettfs'"),
    ({"network": NetworkRecipe(layers="P2-4C5-P2-11", steps=4)}, "network.layers must be closed by 10 outputs"),
])
def test_a_recipe_that_does_not_fit_recordings_is_refused(changes, sentence):
    with pytest.raises(RecipeError, match=sentence):
        replace(RECIPE, **changes)


@pytest.mark.parametrize(("fields", "sentence"), [
    ({"dataset": "nmnist"}, "data.step_us must be at least 1 with nmnist, not 0"),
    ({"dataset": "digits", "step_us": 5}, "data.step_us must be 0 with digits, not 5"),
    ({"dataset": "nmnist", "step_us": 5, "count_max": 16}, "data.count_max must be 1…15 with nmnist, not 16"),
    ({"dataset": "mnist", "count_max": 2}, "data.count_max must be 1 with mnist, not 2"),
])
def test_a_binning_that_does_not_fit_the_data_is_refused(fields, sentence):
    with pytest.raises(RecipeError, match=sentence):
        DataRecipe(**fields)
