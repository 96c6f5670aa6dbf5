# SPDX-License-Identifier: MIT
"""Training in real numbers on one thread: how much faster `--compile` and `--mixed` make it, on MNIST.

CPU time of some epochs on some images, without the first of a run. What bfloat16 is worth depends on the processor's
instructions.
"""

import time
from dataclasses import replace
from pathlib import Path

from firstspike_train.loop import fit
from firstspike_train.recipe import DietRecipe, Recipe
from firstspike_train.recipe_file import load_recipe
from table import Row, publish

RECIPES = Path(__file__).parents[1] / "recipes"
NETWORKS = ("mnist_ettfs_conv", "mnist_diet", "mnist_latency", "mnist_multi_threshold")
IMAGES, EPOCHS = 1280, 3
MEANS = {"--compile": {"compiled": True}, "--mixed": {"mixed": True}, "both": {"compiled": True, "mixed": True}}


def seconds(recipe: Recipe, **options: bool) -> float:
    """Of the epochs behind the first."""
    taken = []
    for epochs in (1, 1, 1 + EPOCHS):  # what torch makes and keeps for later is made in the first
        begin = time.process_time()
        fit(replace(recipe, training=replace(recipe.training, epochs=epochs)), progress=False, **options)
        taken.append(time.process_time() - begin)
    return taken[2] - taken[1]


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
