# SPDX-License-Identifier: MIT
"""Every method: the quantised module is the golden model's network, spike for spike, and learns."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from firstspike_arch.checkpoint import load_network, save_network
from firstspike_compiler.passes.choose_scales import choose_scales
from firstspike_compiler.passes.fold_normalisation import fold_normalisation
from firstspike_compiler.passes.lower_max_pools import lower_max_pools
from firstspike_compiler.passes.quantise import quantise
from firstspike_sim.models.golden import GoldenModel
from firstspike_train import train
from firstspike_train.data import load
from firstspike_train.exactness import ExactnessError, require_exact
from firstspike_train.export import export_network
from firstspike_train.methods.diet_snn import percentile
from firstspike_train.methods.latency_coding import confidence
from firstspike_train.recipe import (
    DataRecipe,
    DietRecipe,
    EttfsRecipe,
    LatencyCodingRecipe,
    MultiThresholdRecipe,
    NetworkRecipe,
    QuantisationRecipe,
    Recipe,
    TrainingRecipe,
)
from firstspike_train.training_run import METHODS

IMAGES, LABELS = (torch.from_numpy(values) for values in load("digits", "train"))
NETWORK = NetworkRecipe(layers="5C3p1-P2-6C3-12-10", steps=3)
METHOD_RECIPES = {
    "ettfs": EttfsRecipe(kind="ettfs", cutoff=25, decision_loss=0.3, spread=1.0),
    "max": EttfsRecipe(kind="ettfs", cutoff=25, spread=1.0, pool="max", normalise=False, initialisation="kaiming"),
    "times": EttfsRecipe(kind="ettfs", input="direct", spread=1.0),
    "diet": DietRecipe(kind="diet_snn", pretraining_epochs=1, leak=0.93, scaling=0.5, dropout=0.2),
    "normalised": DietRecipe(kind="diet_snn", pretraining_epochs=1, scaling=0.5),
    "latency": LatencyCodingRecipe(kind="latency_coding", leak=0.71, loss="cross_entropy"),
    "floor": MultiThresholdRecipe(kind="multi_threshold", levels=3, leak=0.5),
    "round": MultiThresholdRecipe(kind="multi_threshold", levels=5, leak=1.0, spacing="round", surrogate="gaussian"),
    "count": MultiThresholdRecipe(kind="multi_threshold", levels=2, leak=0.9, surrogate="triangle"),
    "currents": MultiThresholdRecipe(kind="multi_threshold", levels=2, leak=0.8, current_leak=0.7,
                                     learns=("leak", "current_leak", "delays")),
}
TIMED = {"currents": {"layers": "5C3p1-P2-6C3-12r-10", "delays": 2, "steps": 5}}


def recipe_of(name, weight_bits=(8, 5, 4, 6), **changes):
    readout = "spike_count" if name == "count" else "best"
    changes = {**TIMED.get(name, {}), **changes}
    changes |= {"normalisation": "batch"} if name == "normalised" else {}
    return Recipe(
        name=name, data=DataRecipe(dataset="digits"), network=replace(NETWORK, readout=readout, **changes),
        method=METHOD_RECIPES[name], training=TrainingRecipe(epochs=1, batch_size=64, learning_rate=0.01),
        quantisation=QuantisationRecipe(weight_bits=weight_bits, epochs=1),
    )


def module_of(recipe, seed):
    """Alive, but for its size as wild as training may make it."""
    generator = torch.Generator().manual_seed(seed)
    module = METHODS[recipe.method.kind](recipe, (1, 8, 8), generator)
    for phase in recipe.phases[:-1]:
        module.start(phase.name, IMAGES)
    with torch.no_grad():
        for name, value in module.named_parameters():
            moves = value.requires_grad or name.endswith("theta")  # thresholds of ETTFS move in integers only
            if moves and not name.endswith("weight"):
                value.mul_(torch.rand(value.shape, generator=generator) * 0.4 + 0.8)
            if name.endswith(("bias", "shift")):
                value.add_(torch.randn(value.shape, generator=generator) * 0.1)
    module.constrain()
    module.start("quantised", IMAGES)
    return module


def spikes_of(module, images):
    """Of every hidden layer, float32[B, T, M]."""
    if hasattr(module, "hidden"):
        found = module.hidden(images)
    else:
        fired, _ = module(images)
        found = [torch.diff(layer, dim=0, prepend=torch.zeros_like(layer[:1])) for layer in fired[1:]]
    return [spikes.flatten(2).transpose(0, 1).numpy() for spikes in found]


@pytest.mark.parametrize("name", METHOD_RECIPES)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_integers_are_those_of_the_golden_model(tmp_path, name, seed):
    recipe = recipe_of(name)
    module, images = module_of(recipe, seed), IMAGES[:60]
    evidence = module.evidence(images)
    for readout, classes in evidence.classes.items():
        save_network(tmp_path / "x.safetensors", export_network(module, recipe, readout, {}, []))
        real = fold_normalisation(load_network(tmp_path / "x.safetensors"))
        network, roundings = quantise(choose_scales(lower_max_pools(real)))
        assert all(item.reset_error < 1e-6 and item.leak_error == 0 for item in roundings)
        golden = GoldenModel(network).run(images.numpy())
        assert np.array_equal(golden.classes, classes)
        with torch.no_grad():
            own = spikes_of(module, images)
        pools = [layer.weight_bits == 2 for layer in network.layers]  # what became of max pools
        edges = [edge for edge, pool in zip(golden.spikes[1:], pools, strict=True) if not pool]
        for spikes, expected in zip(own, edges, strict=False):
            assert np.array_equal(spikes, expected) and 0.005 < (expected > 0).mean() < 0.95


RESIDUAL = "4C3p1-4C3p1-4C3p1+2-6C3p1s2-6C3p1+2-P4-10"


@pytest.mark.parametrize("name", ["diet", "latency", "floor", "round"])
def test_skips_are_those_of_the_golden_model(tmp_path, name):
    recipe = recipe_of(name, weight_bits=(8, 6, 6, 5, 7, 6), layers=RESIDUAL)
    module, images = module_of(recipe, 0), IMAGES[:40]
    (readout, classes), = module.evidence(images).classes.items()
    save_network(tmp_path / "x.safetensors", export_network(module, recipe, readout, {}, []))
    network, roundings = quantise(choose_scales(fold_normalisation(load_network(tmp_path / "x.safetensors"))))
    assert [len(layer.branches) for layer in network.layers] == [0, 0, 1, 0, 1, 0]
    assert all(item.reset_error < 1e-6 and item.leak_error == 0 for item in roundings)
    golden = GoldenModel(network).run(images.numpy())
    assert np.array_equal(golden.classes, classes)
    with torch.no_grad():
        own = spikes_of(module, images)
    for spikes, expected in zip(own, golden.spikes[1:], strict=False):
        assert np.array_equal(spikes, expected) and expected.any()
    generator = torch.Generator().manual_seed(1)
    module.loss(images, LABELS[:40], generator).backward()
    assert module.stack[2].skip_weight.grad.abs().max() > 0


def test_membranes_stay_below_their_proven_bound():
    for name in METHOD_RECIPES:
        module = module_of(recipe_of(name), 0)
        require_exact(module)
        with torch.no_grad():
            if hasattr(module, "hidden"):
                found = [module.hidden(IMAGES[:50])]
                membranes = [layer(module.currents(layer, found[0][:index]))[1]
                             for index, layer in enumerate(module.stack) if 0 < index < len(found[0])]
                seen = [torch.stack(one).abs().max().item() for one in membranes]
                bounds = module.largest_membranes()[1 : 1 + len(seen)]
            else:
                seen, bounds = [module(IMAGES[:50])[1].abs().max().item()], module.largest_membranes()[-1:]
        assert seen and all(0 < value <= bound for value, bound in zip(seen, bounds, strict=True)), name


def test_integers_that_float32_may_round_are_refused():
    module = module_of(recipe_of("floor"), 0)
    with torch.no_grad():
        module.stack[0].weight.fill_(1.0)
        module.stack[0].fix_scale()
    require_exact(module)
    module.steps = 1000
    with pytest.raises(ExactnessError, match=r"layer 0: membranes must stay within 2\^24 = 16777216, where float32 is "
                                             r"exact, not 291465000: give it fewer weight bits or inputs"):
        require_exact(module)


@pytest.mark.parametrize("name", METHOD_RECIPES)
@pytest.mark.parametrize("quantised", [False, True])
def test_gradients_reach_every_parameter(name, quantised):
    recipe = recipe_of(name)
    generator = torch.Generator().manual_seed(1)
    module = METHODS[recipe.method.kind](recipe, (1, 8, 8), generator)
    for phase in recipe.phases[: None if quantised else -1]:
        module.start(phase.name, IMAGES)
    module.loss(IMAGES[:300], LABELS[:300], generator).backward()
    for key, value in module.named_parameters():
        if value.requires_grad and not key.endswith(("theta", "leak")):
            assert torch.isfinite(value.grad).all() and value.grad.abs().max() > 0, key


@pytest.mark.parametrize("name", [
    "ettfs", "latency", "currents",
    *(pytest.param(name, marks=pytest.mark.slow) for name in ("max", "floor", "round"))])
def test_a_loss_of_real_numbers_is_one_graph(name):
    recipe, generator = recipe_of(name), torch.Generator().manual_seed(0)
    module = METHODS[recipe.method.kind](recipe, (1, 8, 8), generator)
    module.start("real", IMAGES)
    traced = torch.compile(module.loss, fullgraph=True, dynamic=False, backend="eager")
    batch = IMAGES[:50], LABELS[:50], generator
    assert torch.equal(traced(*batch), module.loss(*batch))


@pytest.mark.thinned(2)
@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.slow] if name in ("max", "normalised", "floor", "round") else [])
    for name in METHOD_RECIPES if name not in TIMED])  # see test_glides.py
def test_a_few_epochs_learn(tmp_path, name):
    recipe = recipe_of(name)
    recipe = replace(
        recipe, training=replace(recipe.training, epochs=12),
        method=replace(recipe.method, pretraining_epochs=6, pretraining_learning_rate=0.01, dropout=0.0)
        if isinstance(recipe.method, DietRecipe) else recipe.method,
    )
    network = train(recipe, tmp_path / "x.safetensors", progress=False)
    # Max pools and bare weights are there to be compared with: they learn less.
    assert network.accuracy["quantised_validation"] > (0.4 if name == "max" else 0.55)
    assert [entry["phase"] for entry in network.recipe["history"]][-3:] == ["real", "quantised", "test"]


@pytest.mark.parametrize("name", METHOD_RECIPES)
def test_spikes_can_be_made_dear(name):
    recipe = recipe_of(name)
    dear = replace(recipe, training=replace(recipe.training, spike_loss=0.5))
    losses, counts = [], []
    for one in (recipe, dear):
        module = module_of(one, 0)
        generator = torch.Generator().manual_seed(2)
        losses.append(module.loss(IMAGES[:50], LABELS[:50], generator))
        with torch.no_grad():
            spikes = spikes_of(module, IMAGES[:50])[: len(module.stack) - 1]
        counts.append(sum(layer.sum() for layer in spikes) / sum(layer[:, 0].size for layer in spikes))
    if name != "diet":  # its loss counts what dropout leaves
        assert (losses[1] - losses[0]).item() == pytest.approx(0.5 * counts[0], rel=1e-4) and counts[0] == counts[1]
    losses[1].backward()
    assert losses[1] > losses[0]


@pytest.mark.parametrize("name", METHOD_RECIPES)
def test_labels_may_be_shares_of_the_classes(name):
    module = module_of(recipe_of(name), 0)
    shares = torch.nn.functional.one_hot(LABELS[:50], 10).float()
    hard, soft, mixed = (module.loss(IMAGES[:50], truth, torch.Generator().manual_seed(2))
                         for truth in (LABELS[:50], shares, 0.5 * shares + 0.05))
    assert soft.item() == pytest.approx(hard.item(), rel=1e-5)
    assert mixed.item() != pytest.approx(hard.item(), rel=2e-5) and torch.isfinite(mixed)


def test_one_step_leaves_dark_features_silent():
    module = module_of(recipe_of("latency", steps=1), 0)
    with torch.no_grad():
        spikes = module.encode(IMAGES[:50])
    assert len(spikes) == 1 and 0.02 < spikes.mean() < 0.9


def test_an_encoder_spikes_once_and_earlier_for_larger_currents():
    module = module_of(recipe_of("latency"), 0)
    with torch.no_grad():
        encoder = module.stack[0]
        current = encoder.current(module.pixels(IMAGES[:50]))
        spikes = encoder(current)
    assert spikes.sum(0).max() == 1 and set(spikes.unique().tolist()) == {0, 1}
    current = current + encoder.operands()[0].view(-1, 1, 1)
    lowest = [current[step > 0].min() for step in spikes]
    assert lowest[0] > lowest[1] > lowest[2]


def test_percentiles_are_elements():
    values = torch.arange(1000.0).flip(0)
    assert percentile(values, 0.997) == 996 and percentile(values, 1.0) == 999


def test_certain_steps_weigh_more():
    logits = torch.zeros(2, 1, 10)
    logits[1, 0, 3] = 50
    weights = confidence(logits)
    assert weights.sum(0).tolist() == pytest.approx([1]) and weights[1, 0] / weights[0, 0] > 10
    assert torch.isfinite(confidence(logits * 1e4)).all()
