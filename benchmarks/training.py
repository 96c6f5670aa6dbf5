# SPDX-License-Identifier: MIT
"""Training in real numbers: how much faster `--compile`, `--mixed` and `--threads` make it, on MNIST and CIFAR-10.

Time of an epoch on some images, the median of a few behind the first, in which torch compiles. On one thread it is CPU
time, which other programs on the machine disturb less; on several it is time on the clock. What bfloat16 is worth
depends on the processor's instructions.

`python benchmarks/training.py NAME …` measures some and keeps the rows of the others. `--against TREE` compares with
the training of an older version of this repository, as that trains in bfloat16 on one thread.
"""

import argparse
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from firstspike_train.loop import fit
from firstspike_train.recipe import DietRecipe, Recipe
from firstspike_train.recipe_file import load_recipe
from table import Row, publish, published

RECIPES = Path(__file__).parents[1] / "recipes"
NETWORKS = ("mnist_ettfs_conv", "mnist_diet", "mnist_latency", "mnist_multi_threshold")
IMAGES, EPOCHS = 1280, 5
MEANS = {"--compile": {"compiled": True}, "--mixed": {"mixed": True}, "both": {"compiled": True, "mixed": True}}

VGG11 = "64C3p1-P2-128C3p1-256C3p1-P2-512C3p1-512C3p1-P2-512C3p1-P2-512C3p1-512C3p1-10"
LARGE, LARGE_IMAGES, LARGE_EPOCHS = ("cifar10_latency_vgg11", "cifar10_multi_threshold"), 384, 2
PLAIN = f"""
import time
from dataclasses import replace
from firstspike_train.loop import fit
from firstspike_train.recipe_file import load_recipe
recipe, ends = load_recipe("{{recipe}}"), []
recipe = replace(
    recipe, data=replace(recipe.data, samples={LARGE_IMAGES}), quantisation=replace(
        recipe.quantisation, epochs=0, weight_bits=(8,) * 9),
    network=replace(recipe.network, layers="{VGG11}", steps=1, normalisation="none"),
    training=replace(recipe.training, epochs={1 + LARGE_EPOCHS}))
fit(recipe, progress=False, write=lambda measured: ends.append(time.process_time()), mixed=True, threads=1)
print(min(end - begin for begin, end in zip(ends, ends[1:])))
"""
"""A program for other versions: CPU seconds of an epoch in bfloat16 on one thread."""

FASTER = 3
"""How many times as fast as an older version the fastest way must be."""


def seconds(recipe: Recipe, images: int = IMAGES, epochs: int = EPOCHS, **options) -> float:
    """Of an epoch behind the first of the real numbers."""
    ends: list[float] = []
    clock = time.process_time if options.get("threads", 1) == 1 else time.perf_counter
    fit(replace(recipe, data=replace(recipe.data, samples=images),
                training=replace(recipe.training, epochs=1 + epochs)), progress=False,
        write=lambda measured: ends.append(clock()), **options)
    return float(np.median(np.diff(ends)[-epochs:]))


def measure(name: str) -> Row:
    recipe = load_recipe(RECIPES / f"{name}.toml")
    recipe = replace(recipe, quantisation=replace(recipe.quantisation, epochs=0))
    if isinstance(recipe.method, DietRecipe):
        recipe = replace(recipe, method=replace(recipe.method, pretraining_epochs=1))
    plain = seconds(recipe)
    found = {label: plain / seconds(recipe, **options) for label, options in MEANS.items()}
    return Row(what=f"{name}: training in real numbers, speed against neither", floor="–", met=True,
               measured=", ".join(f"{label} {ratio:.1f} ×" for label, ratio in found.items()))


def measure_large(name: str, before: Path | None) -> Row:
    """VGG-11 in one step, all variants one after the other, twice; the faster of two counts. Speeds are over the first
    one's."""
    recipe = load_recipe(RECIPES / f"{name}.toml")
    recipe = replace(
        recipe, quantisation=replace(recipe.quantisation, epochs=0, weight_bits=(8,) * 9),
        network=replace(recipe.network, layers=VGG11, steps=1, normalisation="none"),
        training=replace(recipe.training, precision="full", average=0.0))
    cores = torch.get_num_threads()
    variants: dict[str, dict] = {"float32": {"threads": 1}, "--mixed": {"threads": 1, "mixed": True},
                                 "--mixed --compile": {"threads": 1, "mixed": True, "compiled": True}}
    if cores > 1:
        variants[f"--mixed --compile --threads {cores}"] = {"threads": cores, "mixed": True, "compiled": True}
    speeds: dict[str, float] = {}
    for _ in range(2):
        if before is not None:
            speed = LARGE_IMAGES / plain_seconds(name, before)
            speeds["before, --mixed"] = max(speeds.get("before, --mixed", 0.0), speed)
        for label, options in variants.items():
            speed = LARGE_IMAGES / seconds(recipe, LARGE_IMAGES, LARGE_EPOCHS, **options)
            speeds[label] = max(speeds.get(label, 0.0), speed)
    base = next(iter(speeds.values()))
    return Row(what=f"{name}, VGG-11, T = 1: images a second in real numbers",
               floor="–" if before is None else f"≥ {FASTER} × before",
               met=before is None or max(speeds.values()) >= FASTER * base,
               measured=", ".join(f"{label} {speed:.0f} ({speed / base:.1f} ×)" for label, speed in speeds.items()))


def plain_seconds(name: str, tree: Path) -> float:
    """Of an epoch as another version of this repository trains it."""
    parts = [str(path.parent) for path in tree.glob("*/firstspike*") if path.is_dir()]
    done = subprocess.run(
        [sys.executable, "-c", PLAIN.format(recipe=tree / "recipes" / f"{name}.toml")], check=True, text=True,
        capture_output=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(parts)})
    return float(done.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--against", type=Path, metavar="TREE")
    given = parser.parse_args()
    every = [*NETWORKS, *LARGE]
    wanted = given.names or every
    if unknown := set(wanted) - set(every):
        sys.exit(f"NAME must be one of {', '.join(every)}, not {', '.join(sorted(unknown))}")
    before = given.against and given.against.resolve()
    rows = {row.what.partition(":")[0].partition(",")[0]: row for row in published("training")}
    for name in wanted:
        rows[name] = measure_large(name, before) if name in LARGE else measure(name)
    publish("training", [rows[name] for name in every if name in rows])


if __name__ == "__main__":
    main()
