# SPDX-License-Identifier: MIT
"""Training in real numbers on one thread: how much faster `--compile` and `--mixed` make it, on MNIST.

CPU time of an epoch on some images, the median of a few behind the first, in which torch compiles. What bfloat16 is
worth depends on the processor's instructions.
"""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from firstspike_train.loop import fit
from firstspike_train.recipe import DietRecipe, Recipe
from firstspike_train.recipe_file import load_recipe
from table import Row, publish

RECIPES = Path(__file__).parents[1] / "recipes"
NETWORKS = ("mnist_ettfs_conv", "mnist_diet", "mnist_latency", "mnist_multi_threshold")
IMAGES, EPOCHS = 1280, 5
MEANS = {"--compile": {"compiled": True}, "--mixed": {"mixed": True}, "both": {"compiled": True, "mixed": True}}


def seconds(recipe: Recipe, **options: bool) -> float:
    """Of an epoch behind the first of the real numbers."""
    ends: list[float] = []
    fit(replace(recipe, training=replace(recipe.training, epochs=1 + EPOCHS)), progress=False,
        write=lambda measured: ends.append(time.process_time()), **options)
    return float(np.median(np.diff(ends)[-EPOCHS:]))


def measure(name: str) -> Row:
    recipe = load_recipe(RECIPES / f"{name}.toml")
    recipe = replace(recipe, data=replace(recipe.data, samples=IMAGES),
                     quantisation=replace(recipe.quantisation, epochs=0))
    if isinstance(recipe.method, DietRecipe):
        recipe = replace(recipe, method=replace(recipe.method, pretraining_epochs=1))
    plain = seconds(recipe)
    found = {label: plain / seconds(recipe, **options) for label, options in MEANS.items()}
    return Row(what=f"{name}: training in real numbers, speed against neither", floor="–", met=True,
               measured=", ".join(f"{label} {ratio:.1f} ×" for label, ratio in found.items()))


def main() -> None:
    publish("training", [measure(name) for name in NETWORKS])


if __name__ == "__main__":
    main()
