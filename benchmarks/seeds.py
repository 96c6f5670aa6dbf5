# SPDX-License-Identifier: MIT
"""Headline networks trained from three seeds, in the recipe's bits and in four: how much of an accuracy is luck.

Hours on a CPU, in bfloat16 where that is exact enough (the networks of the zoo were trained in float32): what is
trained stays in `build/seeds`, and an interrupted run goes on.
"""

import sys
from dataclasses import replace
from pathlib import Path

import firstspike as fs
import firstspike_train
import numpy as np
from firstspike_arch.float_network import FloatNetwork
from firstspike_train.recipe import DietRecipe, Recipe
from firstspike_train.recipe_file import load_recipe, recipe_of
from table import Row, publish, published

from zoo import FLOORS

ROOT = Path(__file__).parents[1]
RUNS = ROOT / "build" / "seeds"
HEADLINES = ("mnist_ettfs_conv", "mnist_diet", "mnist_latency", "mnist_multi_threshold")
SEEDS = (1, 2, 3)
FEW_BITS = 4


def trained(recipe: Recipe, path: Path, real: Path) -> FloatNetwork:
    """The network of a recipe: of an earlier run, or trained now."""
    if path.exists() and recipe_of(network := fs.load(path)) == recipe:
        return network
    print(path.stem, file=sys.stderr)
    return firstspike_train.train(
        recipe, path, real=real, mixed=True, compiled=not isinstance(recipe.method, DietRecipe))


def measure(name: str) -> list[Row]:
    """Mean and spread over the seeds, on the test set, once in the recipe's bits and once in few."""
    recipe = load_recipe(ROOT / "recipes" / f"{name}.toml")
    few = replace(recipe.quantisation, weight_bits=(FEW_BITS,) * len(recipe.quantisation.weight_bits))
    rows = []
    for label, suffix, quantisation, floor in (
        ("-".join(map(str, recipe.quantisation.weight_bits)), "", recipe.quantisation, FLOORS[name]),
        (str(FEW_BITS), f"_{FEW_BITS}bit", few, 0.0),
    ):
        networks = []
        for seed in SEEDS:
            wanted = replace(recipe, seed=seed, quantisation=quantisation)
            networks.append(trained(
                wanted, RUNS / f"{name}{suffix}_seed{seed}.safetensors", RUNS / f"{name}_seed{seed}.real.safetensors"))
        integers, reals = (np.array([network.accuracy[f"{kind}_test"] for network in networks])
                           for kind in ("quantised", "float"))
        rows.append(Row(
            what=f"{name}, {label} bits, seeds {', '.join(map(str, SEEDS))}: integers on the test set",
            floor=f"≥ {floor:.1%} on average" if floor else "–",
            measured=f"{integers.mean():.2%} ± {integers.std(ddof=1):.2%} ({', '.join(f'{x:.2%}' for x in integers)}); "
                     f"float {reals.mean():.2%}",
            met=integers.mean() >= floor))
    return rows


def main() -> None:
    wanted = sys.argv[1:] or list(HEADLINES)
    if unknown := set(wanted) - set(HEADLINES):
        sys.exit(f"NAME must be one of {', '.join(HEADLINES)}, not {', '.join(sorted(unknown))}")
    rows = {name: [row for row in published("seeds") if row.what.startswith(f"{name},")] for name in HEADLINES}
    for name in wanted:
        rows[name] = measure(name)
        publish("seeds", [row for found in rows.values() for row in found])


if __name__ == "__main__":
    main()
