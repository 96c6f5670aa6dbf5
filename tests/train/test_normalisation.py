# SPDX-License-Identifier: MIT
"""Batch normalisation: what is folded computes the same, and is the golden model's network."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from firstspike_arch.checkpoint import load_network, save_network
from firstspike_arch.connectivity import Conv2d, Dense
from firstspike_compiler.compile import compile_network
from firstspike_sim.models.golden import GoldenModel
from firstspike_train import train
from firstspike_train.data import load
from firstspike_train.export import export_network
from firstspike_train.normalisation import BatchNormalisation
from firstspike_train.recipe import (
    DataRecipe,
    LatencyCodingRecipe,
    MultiThresholdRecipe,
    NetworkRecipe,
    QuantisationRecipe,
    Recipe,
    TrainingRecipe,
)
from firstspike_train.synapses import Synapses
from firstspike_train.training_run import METHODS

IMAGES, LABELS = (torch.from_numpy(values) for values in load("digits", "train"))
METHOD_RECIPES = {
    "multi": MultiThresholdRecipe(kind="multi_threshold", levels=3, learns=("theta", "leak")),
    "latency": LatencyCodingRecipe(kind="latency_coding", learns=("theta",)),
}


def recipe_of(name, layers="5C3p1-P2-6C3-12-10", bits=(8, 5, 4, 6), steps=2):
    return Recipe(
        name=name, data=DataRecipe(dataset="digits"),
        network=NetworkRecipe(layers=layers, steps=steps, normalisation="batch"), method=METHOD_RECIPES[name],
        training=TrainingRecipe(epochs=6, batch_size=64, learning_rate=0.02),
        quantisation=QuantisationRecipe(weight_bits=bits, epochs=3),
    )


def trained_a_little(recipe):
    """Real numbers, its statistics not those of the start."""
    generator = torch.Generator().manual_seed(1)
    module = METHODS[recipe.method.kind](recipe, (1, 8, 8), generator)
    module.start("real", IMAGES)
    optimizer = torch.optim.SGD(module.parameters(), 0.05)
    for start in range(0, 1000, 100):
        optimizer.zero_grad()
        module.loss(IMAGES[start : start + 100], LABELS[start : start + 100], generator).backward()
        optimizer.step()
        module.constrain()
    return module.eval()


@pytest.mark.parametrize("synapses", [
    Conv2d(in_shape=(3, 6, 6), channels=4, kernel=(3, 3), pool=2, padding=(1, 1)), Dense(in_shape=(20,), neurons=7)])
def test_it_normalises_by_the_batch_and_then_by_what_it_has_seen(synapses):
    generator = torch.Generator().manual_seed(0)
    layer = Synapses(synapses, 8)
    layer.normalise_currents()
    with torch.no_grad():
        layer.weight.normal_(generator=generator)
    inputs = torch.rand(50, *synapses.in_shape, generator=generator) * 5
    current = layer.current(inputs)
    axes = [axis for axis in range(current.dim()) if axis != 1]
    assert current.mean(axes).abs().max() < 1e-4 and (current.std(axes, correction=0) - 1).abs().max() < 1e-3
    for _ in range(100):
        layer.current(inputs)
    assert torch.allclose(layer.eval().current(inputs), current, atol=0.05)
    assert torch.isfinite(layer.train().current(inputs[:1])).all()  # of a dense layer, one number a channel


def test_what_is_folded_computes_the_same():
    generator = torch.Generator().manual_seed(0)
    layer = Synapses(Dense(in_shape=(20,), neurons=7), 8)
    layer.normalise_currents()
    normalisation = layer.normalisation
    with torch.no_grad():
        layer.weight.normal_(generator=generator)
        for value in (normalisation.gain, normalisation.shift, normalisation.mean):
            value.normal_(generator=generator)
        normalisation.variance.uniform_(0.5, 2, generator=generator)
    inputs = torch.rand(30, 20, generator=generator)
    wanted = layer.eval().current(inputs)
    layer.fix_scale()
    # 8 bits of weights, and a bias of whole units.
    assert torch.allclose(layer.current(inputs) * layer.unit, wanted, atol=0.1)
    exact = inputs @ layer.weight.T + normalisation.shift
    assert torch.allclose(exact, wanted, atol=1e-5)
    assert layer.exported().neuron.bias == pytest.approx(normalisation.shift.detach().numpy(), abs=layer.unit)


def test_channels_that_hardly_vary_are_folded_as_they_were():
    normalisation = BatchNormalisation(4).eval()
    with torch.no_grad():
        normalisation.variance.copy_(torch.tensor([0.0, 1e-6, 1e-5, 2.0]))
        normalisation.mean.copy_(torch.tensor([0.5, -1.0, 2.0, 0.1]))
        normalisation.gain.copy_(torch.tensor([1.0, 0.5, -2.0, 1.5]))
    currents = torch.randn(30, 4, generator=torch.Generator().manual_seed(1))
    wanted = normalisation(currents)
    factor = normalisation.fold()
    torch.testing.assert_close(currents * factor + normalisation.shift, wanted, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("layers", ["5C3p1-P2-6C3-12-10", "4C3p1-4C3p1-4C3p1+2-6C3p1s2-10"])
@pytest.mark.parametrize("name", METHOD_RECIPES)
def test_the_integers_are_those_of_the_golden_model(tmp_path, name, layers):
    recipe = recipe_of(name, layers, (8, 5, 4, 6) if "P2" in layers else (8, 6, 6, 5, 6))
    module = trained_a_little(recipe)
    module.start("quantised", IMAGES)
    (readout, classes), = module.evidence(IMAGES[:60]).classes.items()
    save_network(tmp_path / "x.safetensors", export_network(module, recipe, readout, {}, []))
    network = compile_network(load_network(tmp_path / "x.safetensors")).program.network
    biases = [np.abs(layer.neuron.bias).max() for layer in network.layers]
    assert all(biases[:-1]) and biases[-1] == 0
    golden = GoldenModel(network).run(IMAGES[:60].numpy())
    assert np.array_equal(golden.classes, classes)
    with torch.no_grad():
        hidden = module.hidden(IMAGES[:60])
    for own, expected in zip(hidden, golden.spikes[1:], strict=False):
        assert np.array_equal(own.flatten(2).transpose(0, 1).numpy(), expected) and expected.any()
    bounds = module.largest_membranes()
    with torch.no_grad():
        _, membranes = module.stack[1](module.currents(module.stack[1], hidden[:1]))
    assert torch.stack(membranes).abs().max() <= bounds[1]


@pytest.mark.parametrize("name", METHOD_RECIPES)
def test_every_parameter_learns_in_real_numbers_and_the_biases_in_integers(name):
    module = METHODS[METHOD_RECIPES[name].kind](recipe_of(name), (1, 8, 8), torch.Generator().manual_seed(1))
    for phase in ("real", "quantised"):
        module.start(phase, IMAGES)
        module.zero_grad()
        module.loss(IMAGES[:300], LABELS[:300], torch.Generator()).backward()
        for layer in module.stack[:-1]:
            gain, shift = layer.normalisation.gain, layer.normalisation.shift
            assert shift.grad.abs().max() > 0 and gain.requires_grad == (phase == "real")
            if phase == "real":
                assert gain.grad.abs().max() > 0
        assert module.stack[1].theta.grad.abs() > 0


@pytest.mark.parametrize("name", METHOD_RECIPES)
def test_a_few_epochs_learn(tmp_path, name):
    network = train(recipe_of(name), tmp_path / "x.safetensors", progress=False)
    assert network.accuracy["quantised_validation"] > 0.75
    assert network.accuracy["float_validation"] > 0.75


def test_calibration_spreads_currents_by_gains():
    module = METHODS["multi_threshold"](recipe_of("multi", steps=1), (1, 8, 8), torch.Generator().manual_seed(1))
    module.start("real", IMAGES)
    assert all(layer.normalisation.gain.mean().item() == pytest.approx(1.5, rel=0.05) for layer in module.stack[:-1])


def test_one_graph_with_batches_too():
    module = METHODS["multi_threshold"](recipe_of("multi"), (1, 8, 8), torch.Generator().manual_seed(1))
    module.start("real", IMAGES)
    traced = torch.compile(module.loss, fullgraph=True, dynamic=False, backend="eager")
    batch = IMAGES[:50], LABELS[:50], torch.Generator()
    assert torch.allclose(traced(*batch), module.loss(*batch))


def test_folding_twice_is_folding_once():
    normalisation = BatchNormalisation(2)
    with torch.no_grad():
        normalisation.variance.fill_(4.0)
    layer = Synapses(Dense(in_shape=(3,), neurons=2), 8)
    layer.normalisation = normalisation
    with torch.no_grad():
        layer.weight.fill_(1.0)
    layer.fix_scale()
    once = layer.weight.clone()
    layer.fix_scale()
    assert torch.equal(layer.weight, once) and once[0, 0].item() == pytest.approx(0.5, rel=1e-4)


def test_recipes_without_it_are_as_they_were():
    plain = replace(recipe_of("multi"), network=NetworkRecipe(layers="5C3p1-P2-6C3-12-10", steps=2))
    module = METHODS["multi_threshold"](plain, (1, 8, 8), torch.Generator().manual_seed(1))
    assert not any("normalisation" in name for name in module.state_dict())
