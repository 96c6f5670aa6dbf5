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
hidden = [8]
[training]
epochs = 1
[quantisation]
weight_bits = [4, 5]
"""
RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.mark.parametrize("name", ["digits_ettfs", "mnist_ettfs"])
def test_the_shipped_recipes_are_good(name):
    assert load_recipe(RECIPES / f"{name}.toml").name == name


@pytest.mark.parametrize(("old", "new", "sentence"), [
    ("epochs = 1", "epoch = 1", "training.epoch is no key of a recipe; known here: epochs,"),
    ("epochs = 1", "", "training.epochs must be given"),
    ("epochs = 1", "epochs = 0", "training.epochs must be at least 1, not 0"),
    ("epochs = 1", "epochs = 1.5", "training.epochs must be an integer, not 1.5"),
    ("epochs = 1", "epochs = true", "training.epochs must be an integer, not True"),
    ("epochs = 1", "epochs = 1\nlearning_rate = nan", "training.learning_rate must be positive, not nan"),
    ("epochs = 1", "epochs = 1\nlearning_rate = 'x'", "training.learning_rate must be a number, not 'x'"),
    ('"digits"', '"cifar"', "data.dataset must be 'digits' or 'mnist' or 'fashion-mnist', not 'cifar'"),
    ("hidden = [8]", "hidden = 8", "network.hidden must be a list, not 8"),
    ("hidden = [8]", "hidden = [0]", "network.hidden must be sizes of 1…4096, not (0,)"),
    ("hidden = [8]", "hidden = ['a']", "network.hidden[0] must be an integer, not 'a'"),
    ("hidden = [8]", "steps = 1", "network.steps must be 2…16, not 1"),
    ("[4, 5]", "[4]", "quantisation.weight_bits must be one number for each of the 2 layers, not (4,)"),
    ("[4, 5]", "[4, 9]", "quantisation.weight_bits must be 2…8, not (4, 9)"),
    ("[data]", "[data", "must be TOML: "),
    ('[data]\ndataset = "digits"', "", "data must be given"),
    ('name = "x"\n[data]\ndataset = "digits"', 'name = "x"\ndata = 3', "data must be a table, not 3"),
])
def test_a_bad_recipe_is_refused_by_name(tmp_path, old, new, sentence):
    path = tmp_path / "bad.toml"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(RecipeError, match=re.escape(f"{path}: {sentence}")):
        load_recipe(path)


def test_a_missing_recipe_is_named(tmp_path):
    with pytest.raises(RecipeError, match=r"none\.toml: cannot be read: No such file"):
        load_recipe(tmp_path / "none.toml")
