# SPDX-License-Identifier: MIT
"""Networks that begin as another one, with more channels or steps instead of thresholds."""

from dataclasses import replace

import pytest
import torch
from firstspike_arch.checkpoint import save_network
from firstspike_train.loop import train
from firstspike_train.recipe import (
    DataRecipe,
    DietRecipe,
    EttfsRecipe,
    LatencyCodingRecipe,
    MultiThresholdRecipe,
    NetworkRecipe,
    QuantisationRecipe,
    Recipe,
    RecipeError,
    TrainingRecipe,
)
from firstspike_train.run_files import RunFiles
from firstspike_train.training_run import TrainingRun
from firstspike_train.training_state import ResumeError
from firstspike_train.transfer import TransferError

LEVELS = 3
NARROW = Recipe(
    name="narrow", seed=2, data=DataRecipe(dataset="digits", shifts=1),
    network=NetworkRecipe(layers="6C3p1-P2-8C3p1-12-10", steps=1, normalisation="batch"),
    method=MultiThresholdRecipe(kind="multi_threshold", levels=LEVELS, leak=1.0),
    training=TrainingRecipe(epochs=9, batch_size=64, learning_rate=0.02),
    quantisation=QuantisationRecipe(weight_bits=(8, 8, 8, 8), epochs=1),
)
WIDE = replace(
    NARROW, name="wide", network=replace(NARROW.network, layers="18C3p1-P2-24C3p1-36-10"),
    method=LatencyCodingRecipe(kind="latency_coding", score_gain=2.0))
TIMES = replace(
    WIDE, name="times", network=replace(WIDE.network, steps=4, normalisation="none"),
    method=EttfsRecipe(kind="ettfs", input="direct"))
STILL = TrainingRecipe(epochs=1, batch_size=64, learning_rate=1e-12, weight_decay=0.0)


@pytest.fixture(scope="module")
def narrow(tmp_path_factory):
    """The file of the trained narrow network, and its decisions on the validation images, real and integer."""
    path = tmp_path_factory.mktemp("narrow") / "narrow.safetensors"
    return path, train(NARROW, path, progress=False)


def begun(recipe, path):
    """A run that begins as the network in a file, before its first epoch, ready to decide."""
    run = TrainingRun(recipe, RunFiles(start=path))
    run.files.restore(run, resume=False)
    run._start(next(phase for phase in run.phases if phase.name == "real"))
    run.module.eval()
    return run


def classes(run):
    return next(iter(run.module.evidence(run.validation[0]).classes.values()))


def test_thresholds_become_channels_that_compute_the_same(narrow):
    path, network = narrow
    copy, wide = begun(NARROW, path), begun(WIDE, path)
    assert network.accuracy["quantised_validation"] > 0.8  # how well it learns differs between processors
    same = classes(copy) == network_classes(network, copy)
    assert same.mean() > 0.99  # sums in another order may lie on the other side of a threshold
    assert (classes(wide) == classes(copy)).mean() > 0.99
    spikes, others = (run.module.hidden(run.validation[0]) for run in (copy, wide))
    for layer, (magnitudes, copies) in enumerate(zip(spikes, others, strict=True)):
        summed = copies[0].unflatten(1, (LEVELS, -1)).sum(1)
        assert (magnitudes[0] > 1).any() and (summed == magnitudes[0]).double().mean() > 0.999, layer
    wider = WIDE.network.layers.replace("36", "30")
    with pytest.raises(TransferError, match="weights of layer 2 of which copies have the recipe's shape 30 × "):
        begun(replace(WIDE, network=replace(WIDE.network, layers=wider)), path)


def network_classes(network, run):
    """Decisions of a network of one step in its real numbers, from its exported numbers alone."""
    values = run.validation[0].double().view(-1, 1, 8, 8) * network.input_scale
    for layer in network.layers:
        weight = torch.from_numpy(layer.weight)
        if layer.average_pool:
            values = torch.nn.functional.avg_pool2d(values, layer.connectivity.pool_sides)
        if weight.dim() == 4:
            values = torch.nn.functional.conv2d(values, weight, padding=layer.connectivity.padding)
        else:
            values = values.flatten(1) @ weight.T
        if layer.neuron.theta is not None:
            many = [1] * (values.dim() - 2)
            values = values + torch.from_numpy(layer.neuron.bias).view(-1, *many)
            values = sum((values >= torch.from_numpy(theta).view(-1, *many)).double() for theta in layer.neuron.theta.T)
    return values.argmax(1).numpy()


def test_other_numbers_of_thresholds_and_steps_are_a_beginning(narrow, tmp_path):
    path, network = narrow
    accurate = network.accuracy["quantised_validation"]
    fewer = replace(WIDE, network=replace(WIDE.network, layers="12C3p1-P2-16C3p1-36-10"))
    steps = replace(
        NARROW, network=replace(NARROW.network, steps=6), method=DietRecipe(kind="diet_snn", pretraining_epochs=0))
    counts = replace(NARROW, network=replace(NARROW.network, steps=2),
                     method=replace(NARROW.method, levels=4, spacing="round"))
    once = replace(TIMES, method=replace(TIMES.method, normalise=False))
    for recipe, lost in ((fewer, 0.2), (steps, 0.2), (counts, 0.2), (once, 0.6)):
        run = begun(recipe, path)
        assert (classes(run) == run.validation[1].numpy()).mean() > accurate - lost, recipe.method.kind
    for recipe, lost in ((steps, 0.06), (once, 0.2)):
        learned = train(replace(recipe, training=replace(STILL, epochs=3, learning_rate=0.002)),
                        tmp_path / "learned.safetensors", progress=False, start=path)
        assert learned.accuracy["quantised_validation"] > accurate - lost, recipe.method.kind
        named, measured = learned.recipe["history"][:2]
        assert named == {"epoch": 0, "phase": "start", "network": NARROW.name}
        assert measured["phase"] == "start" and measured[recipe.method.READOUTS[0]] > accurate - 0.6
        assert learned.steps == recipe.network.steps and learned.layers[0].neuron.theta.ndim == 1


def test_a_state_in_real_numbers_is_folded_but_once(narrow, tmp_path):
    diet = replace(NARROW, network=replace(NARROW.network, steps=4), training=replace(NARROW.training, epochs=2),
                   method=DietRecipe(kind="diet_snn", pretraining_epochs=0))
    real = tmp_path / "real"
    first = train(diet, tmp_path / "first.safetensors", progress=False, real=real, start=narrow[0])
    run = begun(replace(diet, training=STILL), real)
    found = (classes(run) == run.validation[1].numpy()).mean()
    assert found == first.accuracy["float_validation"] > 0.5


def test_what_cannot_be_a_beginning_is_named(narrow, tmp_path):
    path, network = narrow
    for recipe, message in (
        (replace(WIDE, network=replace(WIDE.network, steps=2)), "must begin a network of one step, as its encoder"),
        (replace(WIDE, network=replace(WIDE.network, layers="18C3p1-P2-36-10"), quantisation=QuantisationRecipe(
            weight_bits=(8, 8, 8))), "must have a direct input and 3 layers, as must .*, not the input 'direct'"),
        (replace(NARROW, network=replace(NARROW.network, layers="6C3p1-8C3p1-P2-12-10")),
         "must have the recipe's padding, strides and average pools in layer 1"),
        (replace(NARROW, method=DietRecipe(kind="diet_snn", pretraining_epochs=2)), "pretraining_epochs = 0"),
        (replace(WIDE, network=replace(WIDE.network, normalisation="none")), "must begin a recipe with normalisation"),
        (replace(NARROW, network=replace(NARROW.network, layers="12C3p1-P2-16C3p1-24-10")),
         "whose neurons have one threshold"),
        (TIMES, "must begin a recipe with normalise = false and affine = true"),
        (replace(TIMES, method=EttfsRecipe(kind="ettfs")), "must have a direct input and 4 layers, as must the recipe, "
         "whose input is 'latency'"),
    ):
        with pytest.raises(TransferError, match=f"^{path}: .*{message}"):
            begun(recipe, path)
    silent = replace(network, layers=tuple(
        replace(layer, neuron=replace(layer.neuron, theta=None)) for layer in network.layers))
    other = tmp_path / "silent.safetensors"
    save_network(other, silent)
    with pytest.raises(TransferError, match="must have thresholds in all layers but the last"):
        begun(WIDE, other)
    with pytest.raises(ResumeError, match="must be a whole training state"):
        begun(WIDE, tmp_path / "missing")
    with pytest.raises(RecipeError, match="pretraining_epochs must be at least 1 without a teacher of the same"):
        TrainingRun(replace(NARROW, method=DietRecipe(kind="diet_snn", pretraining_epochs=0)))
