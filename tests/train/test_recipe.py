# SPDX-License-Identifier: MIT
"""Recipes: what is refused, and how it is said."""

import re
from pathlib import Path

import pytest
from firstspike_train import load_recipe
from firstspike_train.recipe import RecipeError

GOOD = """
name = "x"
[data]
dataset = "digits"
[network]
layers = "8-10"
steps = 4
[method]
kind = "ettfs"
[training]
epochs = 1
[quantisation]
weight_bits = [4, 5]
"""
RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.mark.parametrize("name", sorted(path.stem for path in RECIPES.glob("*.toml")))
def test_the_shipped_recipes_are_good(name):
    assert load_recipe(RECIPES / f"{name}.toml").name == name


@pytest.mark.parametrize(("old", "new", "sentence"), [
    ('name = "x"', 'name = "my digits"', "name must be 1…80 letters, digits or _ . + -, not 'my digits'"),
    ("epochs = 1", "epoch = 1", "training.epoch is not known; known here: epochs,"),
    ("epochs = 1", "", "training.epochs must be given"),
    ("epochs = 1", "epochs = 0", "training.epochs must be at least 1, not 0"),
    ("epochs = 1", "epochs = 1.5", "training.epochs must be a valid integer, not 1.5"),
    ("epochs = 1", "epochs = true", "training.epochs must be a valid integer, not True"),
    ("epochs = 1", "epochs = 1\nlearning_rate = nan", "training.learning_rate must be a finite number, not nan"),
    ("epochs = 1", "epochs = 1\nlearning_rate = 'x'", "training.learning_rate must be a valid number, not 'x'"),
    ('"digits"', '"cifar"', "data.dataset must be 'digits', 'mnist', 'fashion-mnist', 'cifar10', 'cifar100', "
     "'tiny-imagenet', 'imagenet', 'nmnist', 'dvs-gesture', 'cifar10-dvs', 'shd' or 'glides', not 'cifar'"),
    ('"digits"', '"digits"\nsamples = -1', "data.samples must be at least 0, not -1"),
    ('steps = 4\n[method]\nkind = "ettfs"',
     'steps = 4\nreadout = "weighted_spikes"\n[method]\nkind = "ettfs"\ndecay = "none"',
     "network.readout must be first_spike where method.decay is 'none', not 'weighted_spikes'"),
    ("8-10", "4C3p1-4C3p1-4C3p1+2-10", "network.layers must be a chain without skips with ettfs"),
    ("8-10", "8r-10", "network.layers must be without recurrent layers with ettfs, not '8r-10'"),
    ("steps = 4", "steps = 4\ndelays = 2", "network.delays must be 0 with ettfs, not 2"),
    ('layers = "8-10"\nsteps = 4\n[method]\nkind = "ettfs"',
     'layers = "8r-10"\nsteps = 4\n[method]\nkind = "multi_threshold"',
     "network.layers must be begun by a layer that is not recurrent with digits, whose images are no spikes, not"),
    ('"digits"', '"digits"\nmirrors = 1', "data.mirrors must be a valid boolean, not 1"),
    ("steps = 4", "steps = [4]", "network.steps must be a valid integer, not [4]"),
    ("steps = 4", "steps = 1", "network.steps must be 2…16 with ettfs, not 1"),
    ("steps = 4", "steps = 4\nreadout = 'potential'",
     "network.readout must be best or first_spike or weighted_spikes with ettfs, not 'potential'"),
    ("8-10", "8-9", "network.layers must be closed by 10 outputs, not '8-9'"),
    ("8-10", "8C3-10C2", "network.layers must be closed by 10 outputs, not '8C3-10C2'"),
    ("8-10", "x-10", "network.layers 'x-10': 'x' must be a convolution like 15C5, 15C3p1s2 or 16C3p1+2, a pool"),
    ("8-10", "0-10", "network.layers '0-10': neurons must be at least 1, not 0"),
    ("8-10", "4C9-10", "network.layers '4C9-10': kernel must be at most the padded input, 8 × 8, not 9 × 9"),
    ("8-10", "4C3-P9-10", "network.layers '4C3-P9-10': pool must be 1…6 for an input of shape (4, 6, 6), not 9"),
    ("8-10", "4C3-10-P2", "network.layers '4C3-10-P2': a pool must be followed by a layer"),
    ('kind = "ettfs"', "", "method.kind must be given: ettfs, diet_snn, latency_coding, multi_threshold"),
    ('kind = "ettfs"', "kind = 3", "method.kind must be 'ettfs' or 'diet_snn' or "),
    ('kind = "ettfs"', 'kind = "ettfs"\nlevels = 3',
     "method.levels is not known; known here: kind, input, cutoff"),
    ('kind = "ettfs"', 'kind = "multi_threshold"\nlevels = 16', "method.levels must be 1…15, not 16"),
    ('layers = "8-10"\nsteps = 4\n[method]\nkind = "ettfs"',
     'layers = "10"\nsteps = 1\n[method]\nkind = "multi_threshold"',
     "network.layers must be of at least 2 layers with multi_threshold, not '10'"),
    ('kind = "ettfs"', 'kind = "diet_snn"', "method.pretraining_epochs must be given"),
    ('kind = "ettfs"', 'kind = "diet_snn"\npretraining_epochs = 0',
     "network.normalisation must be 'batch' where diet_snn begins as another network, not 'none'"),
    ('kind = "ettfs"', 'kind = "latency_coding"\nleak = 1.5', "method.leak must be 0…1, not 1.5"),
    ('"digits"', '"digits"\ncutout = 9', "data.cutout must be at most the 8 pixels of an image, not 9"),
    ('"digits"', '"digits"\ncutout = -1', "data.cutout must be at least 0 pixels, not -1"),
    ('"digits"', '"digits"\nalterations = 9', "data.alterations must be 0…8, not 9"),
    ('"digits"', '"digits"\nstrength = 31', "data.strength must be 0…30, not 31"),
    ('"digits"', '"digits"\nmixup = -0.5', "data.mixup must be at least 0, not -0.5"),
    ('"digits"', '"nmnist"\nstep_us = 1000\nmixup = 0.5', "data.mixup must be 0 with nmnist, not 0.5"),
    ("epochs = 1", "epochs = 1\nlabel_smoothing = 1.0",
     "training.label_smoothing must be at least 0 and below 1, not 1.0"),
    ("epochs = 1", "epochs = 1\naverage = -0.1", "training.average must be at least 0 and below 1, not -0.1"),
    ("epochs = 1", "epochs = 1\nprecision = 'half'", "training.precision must be 'full' or 'mixed', not 'half'"),
    ("steps = 4", "steps = 4\nnormalisation = 'batch'",
     "network.normalisation must be 'none' with ettfs, which has none, not 'batch'"),
    ("[quant", "[teacher]\nepochs = 1\n[quant", "teacher.layers must be given"),
    ("[quant", "[teacher]\nlayers = '8-10'\nepochs = 0\n[quant", "teacher.epochs must be at least 1, not 0"),
    ("[quant", "[teacher]\nlayers = '8-9'\nepochs = 1\n[quant",
     "teacher.layers must be closed by 10 outputs, not '8-9'"),
    ("[quant", "[teacher]\nlayers = '4C3p1-4C3p1-4C3p1+2-10'\nepochs = 1\n[quant",
     "teacher.layers must be a chain without skips or recurrent layers, not"),
    ("[quant", "[teacher]\nlayers = '8r-10'\nepochs = 1\n[quant",
     "teacher.layers must be a chain without skips or recurrent layers, not '8r-10'"),
    ("[quant", "[teacher]\nlayers = '8-10'\nepochs = 1\nshare = 0\n[quant",
     "teacher.share must be above 0 and at most 1, not 0"),
    ("[quant", "[teacher]\nlayers = '8-10'\nepochs = 1\ntemperature = 0\n[quant",
     "teacher.temperature must be positive, not 0"),
    ("[4, 5]", "[4]", "quantisation.weight_bits must be one number for each of the 2 layers, not (4,)"),
    ("[4, 5]", "[4, 9]", "quantisation.weight_bits must be 2…8, not (4, 9)"),
    ("[4, 5]", "[4, 5]\nprecision = 'bfloat16'", "quantisation.precision must be 'full' or 'mixed', not 'bfloat16'"),
    ("[data]", "[data", "must be TOML: "),
    ('[data]\ndataset = "digits"', "", "data must be given"),
    ('name = "x"\n[data]\ndataset = "digits"', 'name = "x"\ndata = 3', "data must be a table, not 3"),
])
def test_a_bad_recipe_is_refused_by_name(tmp_path, old, new, sentence):
    path = tmp_path / "bad.toml"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(RecipeError, match=re.escape(f"{path}: {sentence}")):
        load_recipe(path)


@pytest.mark.parametrize(("old", "new", "sentence"), [
    ("8-10", "8C3" + "x" * 9000 + "-10", "network.layers '8C3xxx"), ("8-10", "[" * 9000, "network.layers '[[["),
    ('"digits"', f"'{'x' * 9000}'", "data.dataset must be "), ("seed", "x" * 9000, "xxx"),
    ("[4, 5]", f"[{'4, ' * 9000}]", "quantisation.weight_bits must be "),
])
def test_of_a_long_value_the_ends_are_shown(tmp_path, old, new, sentence):
    path = tmp_path / "bad.toml"
    path.write_text(GOOD.replace("[data]", "seed = 1\n[data]").replace(old, new, 1))
    with pytest.raises(RecipeError, match=re.escape(f"{path}: {sentence}")) as refused:
        load_recipe(path)
    assert len(str(refused.value)) < 700 and len(str(refused.value).splitlines()) == 1


def test_a_missing_recipe_is_named(tmp_path):
    with pytest.raises(RecipeError, match=r"none\.toml: cannot be read: No such file"):
        load_recipe(tmp_path / "none.toml")
