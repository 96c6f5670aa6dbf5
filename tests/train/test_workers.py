# SPDX-License-Identifier: MIT
"""Two processes on one network: equal to one up to the order of additions, and to themselves to the bit."""

import os
import socket
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from firstspike_arch.checkpoint import load_network
from firstspike_train import train
from firstspike_train.recipe import (
    DataRecipe,
    DietRecipe,
    MultiThresholdRecipe,
    NetworkRecipe,
    QuantisationRecipe,
    Recipe,
    TrainingRecipe,
)
from firstspike_train.training_run import TrainingRun
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import multiprocessing

# 1,237 images in batches of 103: the last batch is a single image, and one of the processes gets none of it.
RECIPE = Recipe(
    name="pair", seed=1, data=DataRecipe(dataset="digits", shifts=1), network=NetworkRecipe(layers="12-10", steps=2),
    method=MultiThresholdRecipe(kind="multi_threshold", levels=2),
    training=TrainingRecipe(epochs=2, batch_size=103, learning_rate=3e-3),
    quantisation=QuantisationRecipe(weight_bits=(6, 6), epochs=1),
)


# While the ANN is trained, nothing reaches the leaks: weight decay must not either.
DIET = replace(RECIPE, method=DietRecipe(kind="diet_snn", pretraining_epochs=2), training=replace(
    RECIPE.training, epochs=1, weight_decay=3.0))


NORMALISED = replace(RECIPE, network=replace(RECIPE.network, normalisation="batch"),
                     training=replace(RECIPE.training, average=0.5))

TRAININGS = {"two": RECIPE, "again": RECIPE, "diet": DIET, "normalised": NORMALISED, "normalised_again": NORMALISED}


def work(rank: int, ports: dict[str, int], folder: Path) -> None:
    """What each of the two processes does: one training after the other."""
    for name, recipe in TRAININGS.items():
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(ports[name])}
        os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", **place}
        train(recipe, folder / f"{name}.safetensors", progress=False)


@pytest.fixture(scope="module")
def trained_by_two(tmp_path_factory) -> Path:
    """The folder of what two processes have trained, which start once for all."""
    folder = tmp_path_factory.mktemp("two")
    with ExitStack() as free:
        sockets = {name: free.enter_context(socket.socket()) for name in TRAININGS}
        for one in sockets.values():
            one.bind(("127.0.0.1", 0))
        ports = {name: one.getsockname()[1] for name, one in sockets.items()}
    multiprocessing.spawn(work, (ports, folder), nprocs=2)
    return folder


def test_two_processes_give_the_network_of_one(trained_by_two, tmp_path):
    one = train(RECIPE, tmp_path / "one.safetensors", progress=False)
    two, again = (load_network(trained_by_two / f"{name}.safetensors") for name in ("two", "again"))
    for single, pair, repeated in zip(one.layers, two.layers, again.layers, strict=True):
        assert np.array_equal(pair.weight, repeated.weight) and pair.weight_scale == repeated.weight_scale
        assert np.allclose(single.weight, pair.weight, atol=2e-3)
    losses = [[entry["loss"] for entry in network.recipe["history"] if "loss" in entry] for network in (one, two)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    assert sorted(path.stem for path in trained_by_two.iterdir()) == sorted(TRAININGS)


def test_what_no_gradient_reaches_stays_in_two_processes_too(trained_by_two, tmp_path):
    one, two = train(DIET, tmp_path / "one.safetensors", progress=False), load_network(
        trained_by_two / "diet.safetensors")
    assert two.layers[0].neuron.leak == pytest.approx(one.layers[0].neuron.leak, abs=1e-3)


def test_statistics_of_batches_are_those_of_all_processes(trained_by_two, tmp_path):
    one = train(NORMALISED, tmp_path / "one.safetensors", progress=False)
    two, again = (load_network(trained_by_two / f"{name}.safetensors") for name in ("normalised", "normalised_again"))
    for single, pair, repeated in zip(one.layers, two.layers, again.layers, strict=True):
        assert np.array_equal(pair.weight, repeated.weight) and pair.weight_scale == repeated.weight_scale
        # Each normalises its share: close, not equal.
        assert np.corrcoef(single.weight.ravel(), pair.weight.ravel())[0, 1] > 0.9
    bias, repeated = two.layers[0].neuron.bias, again.layers[0].neuron.bias
    assert bias is not None and repeated is not None and np.array_equal(bias, repeated) and bias.any()


def test_curves_are_written_for_tensorboard(tmp_path):
    train(replace(RECIPE, training=replace(RECIPE.training, epochs=1)), tmp_path / "x.safetensors", progress=False,
          curves=tmp_path / "log")
    events = EventAccumulator(str(tmp_path / "log"))
    events.Reload()
    assert {"real/loss", "real/potential", "quantised/layer0_spikes"} <= set(events.Tags()["scalars"])
    assert [point.step for point in events.Scalars("quantised/loss")] == [2]


def test_devices_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(ValueError, match="device must be cpu or cuda, not 'tpux'"):
        train(RECIPE, tmp_path / "x.safetensors", device="tpux", progress=False)
    with pytest.raises(ValueError, match="device must be cpu or cuda, not 'mps'"):
        TrainingRun(RECIPE, device="mps")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="device must be cpu where torch sees no GPU, not 'cuda'"):
            TrainingRun(RECIPE, device="cuda")
