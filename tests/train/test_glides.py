# SPDX-License-Identifier: MIT
"""A task in time, end to end: made, trained with currents, recurrence and delays, the same in integers and in RTL."""

from dataclasses import replace
from pathlib import Path

import firstspike as fs
import numpy as np
import pytest
import torch
from firstspike_arch.checkpoint import load_network, save_network
from firstspike_train import load_recipe, train
from firstspike_train.exactness import ExactnessError, require_exact
from firstspike_train.export import export_network
from firstspike_train.glides import GLIDES_SHAPE, LENGTH_US, glide
from firstspike_train.inputs import load_inputs
from firstspike_train.recipe import RecipeError
from firstspike_train.recordings import load_recordings
from firstspike_train.training_run import METHODS

RECIPE = load_recipe(Path(__file__).parents[2] / "recipes" / "glides_multi_threshold.toml")


def test_a_class_is_told_by_time_alone():
    counts, labels = load_recordings("glides", "test", 50, 10_000)
    assert counts.shape == (400, 50, *GLIDES_SHAPE[2:]) and np.bincount(labels).tolist() == [50] * 8
    totals = counts.sum(1, dtype=float)
    means = np.array([totals[labels == label].mean(0) for label in range(8)])
    # Of 50 recordings a class, the means of counts that are all drawn alike differ by chance only.
    assert np.abs(means - totals.mean(0)).max() < 4.5 * totals.std(0).max() / 50**0.5
    # In each recording by itself, time and channel go together as the glide does that is heard.
    together = np.zeros((8, 3))
    for one, label in zip(counts, labels, strict=True):
        for bit, (begin, end) in enumerate(((0, 9), (15, 23), (30, 38))):
            step, channel = np.nonzero(one[begin:end])
            together[label, bit] += ((step - step.mean()) * (channel - channel.mean())).sum()
    assert np.array_equal(together > 0, np.arange(8)[:, None] >> np.arange(3) & 1) and np.abs(together).min() > 500


def test_recordings_are_always_the_same_and_all_different():
    events = [glide(split, number) for split in ("train", "test") for number in (0, 8, 16)]
    assert len({one.tobytes() for one in events}) == 6
    assert all(np.array_equal(one, again) for one, again in zip(
        events, [glide(split, number) for split in ("train", "test") for number in (0, 8, 16)], strict=True))
    assert all(one[:, 0].min() >= 0 and one[:, 0].max() < LENGTH_US + 30_000 for one in events)


@pytest.mark.slow
def test_trained_in_integers_that_hardware_computes(tmp_path):
    recipe = replace(RECIPE, training=replace(RECIPE.training, epochs=10),
                     quantisation=replace(RECIPE.quantisation, epochs=2))
    train(recipe, tmp_path / "x.safetensors", progress=False)
    network = load_network(tmp_path / "x.safetensors")
    counts, labels = load_inputs(recipe, "test")
    compilation = fs.compile(network, lanes=[8, 8])
    right = fs.infer(compilation.program, counts).classes == labels
    assert right.mean() == network.accuracy["quantised_test"] > 0.85
    layer = compilation.program.network.layers[0]
    assert layer.neuron.lasts and layer.delays.max() > 5 and layer.branches[0].weights.any()
    assert "currents round down" not in compilation.report()  # it was trained with that
    outcome = fs.verify(compilation.program, counts[:2], backend="pysim")
    assert outcome.equal and not outcome.dead


@pytest.mark.parametrize(("changes", "readout"), [
    ({"layers": "12r-8"}, "potential"),
    ({"layers": "12r-8r", "readout": "spike_count"}, "spike_count"),
    ({"layers": "12-6r-8", "normalisation": "batch"}, "potential"),
    ({"layers": "12r-8", "delays": 0}, "potential"),
])
@pytest.mark.parametrize("lasting", [None, 0.7])
def test_spikes_are_those_of_the_golden_model(tmp_path, changes, readout, lasting):
    bits = (6,) * (1 + changes["layers"].count("-"))
    learns = ("theta", "leak", *(["current_leak"] if lasting else []), *([] if "delays" in changes else ["delays"]))
    recipe = replace(RECIPE, network=replace(RECIPE.network, **changes),
                     method=replace(RECIPE.method, current_leak=lasting, learns=learns, levels=3, leak=0.85,
                                    spread=0.15),
                     quantisation=replace(RECIPE.quantisation, weight_bits=bits))
    counts, labels = (one[:64] for one in load_inputs(recipe, "train"))
    images, generator = torch.from_numpy(counts).flatten(1), torch.Generator().manual_seed(0)
    module = METHODS["multi_threshold"](recipe, recipe.shape, generator)
    module.start("real", images)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    for _ in range(5):  # statistics of a normalisation, and learned numbers that are no longer those of the recipe
        module.loss(images, torch.from_numpy(labels), generator).backward()
        optimizer.step()
        optimizer.zero_grad()
        module.constrain()
    module.start("quantised", images)
    require_exact(module)
    save_network(tmp_path / "x.safetensors", export_network(module, recipe, readout, {}, []))
    program = fs.compile(load_network(tmp_path / "x.safetensors")).program
    network, golden = program.network, fs.infer(program, counts)
    evidence = module.evidence(images)
    assert np.array_equal(evidence.classes[readout], golden.classes)
    with torch.no_grad():
        own = [spikes.flatten(2).transpose(0, 1).numpy() for spikes in module.hidden(images)]
    for spikes, expected in zip(own, golden.spikes[1:], strict=False):
        assert np.array_equal(spikes, expected) and 0.005 < (expected > 0).mean() < 0.95
    hidden = network.layers[:-1] if readout == "potential" else network.layers
    assert all(layer.neuron.lasts == (lasting is not None) for layer in hidden)
    assert any(layer.neuron.current_bias for layer in hidden) == ("normalisation" in changes and lasting is not None)


def test_membranes_stay_below_their_bound_with_currents_that_last():
    images = torch.from_numpy(load_inputs(RECIPE, "train")[0][:64]).flatten(1)
    module = METHODS["multi_threshold"](RECIPE, RECIPE.shape, torch.Generator().manual_seed(0))
    module.start("real", images)
    module.start("quantised", images)
    layer = module.stack[0]
    (bound, _), most = module.largest_membranes(), layer.largest_current(1, 1)
    with torch.no_grad():
        seen = torch.stack(layer(module.input_currents(images))[1]).abs().max().item()
        worst = layer([torch.full((1, 24), float(-most))] * 50)[1][-1].abs().max().item()
    assert 0 < seen < most < worst and 0.9 * bound < worst <= bound < 30 * most
    module.steps = 10**6
    layer.leak.data.fill_(1.0)
    with pytest.raises(ExactnessError, match=r"^layer 0: membranes must stay within 2\^24"):
        require_exact(module)


@pytest.mark.parametrize(("table", "changes", "sentence"), [
    ("network", {"layers": "24r-8r"},
     "network.layers must be closed by a layer that is not recurrent where network.readout is not 'spike_count'"),
    ("network", {"delays": 50}, "network.delays must be 0…49, below the steps, not 50"),
    ("network", {"delays": -1}, "network.delays must be 0…49, below the steps, not -1"),
    ("network", {"delays": 0}, "network.delays must be at least 1 where delays are learned, not 0"),
    ("network", {"layers": "4C1-4C1-4C1+2-8"}, "network.layers must be a chain without skips with delays"),
    ("method", {"current_leak": 1.5}, "method.current_leak must be 0…1, not 1.5"),
    ("method", {"current_leak": None}, "method.current_leak must be given where it is learned, not None"),
    ("method", {"spread": 0.0}, "method.spread must be positive, not 0.0"),
])
def test_a_recipe_that_does_not_fit_is_refused(table, changes, sentence):
    bits = (6,) * (1 + changes.get("layers", "24r-8").count("-"))
    with pytest.raises(RecipeError, match=f"^{sentence}"):
        replace(RECIPE, quantisation=replace(RECIPE.quantisation, weight_bits=bits),
                **{table: replace(getattr(RECIPE, table), **changes)})
