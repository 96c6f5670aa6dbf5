# SPDX-License-Identifier: MIT
"""Study: variants of one recipe, trained from several seeds on the same images and measured on the test set."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..inputs import load_inputs
from ..loop import fit, one_thread
from ..recipe import DataRecipe, MethodRecipe, NetworkRecipe, QuantisationRecipe, Recipe, TrainingRecipe

__all__ = ["Outcome", "Study", "Variant", "on_fashion", "varied"]


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One point of a study.

    Parameters
    ----------
    series, point : str
        Names. Points of one series are joined in the picture, and equal points of several series are compared.
    recipe : Recipe
    """

    series: str
    point: str
    recipe: Recipe


@dataclass(frozen=True, kw_only=True)
class Study:
    """A comparison of variants, and the claim of the paper about it.

    Parameters
    ----------
    name : str
    question : str
    claim : str
        Claim of the paper, with its data set; "" if it is not public.
    variants : tuple of Variant
        Variants to train. Their recipes train in real numbers only.
    measures : tuple of str
        Names in `Evidence.measures` to be reported beside the accuracy.
    """

    name: str
    question: str
    claim: str
    variants: tuple[Variant, ...]
    measures: tuple[str, ...] = ()

    def resized(self, samples: int | None, epochs: int | None) -> "Study":
        """Return the study with other numbers of training images and epochs. None: unchanged.

        Raises
        ------
        RecipeError
            A number is out of range.
        """
        return replace(self, variants=tuple(
            replace(variant, recipe=replace(
                variant.recipe,
                data=variant.recipe.data if samples is None else replace(variant.recipe.data, samples=samples),
                training=variant.recipe.training if epochs is None else replace(
                    variant.recipe.training, epochs=epochs),
            )) for variant in self.variants))

    def run(self, seeds: int) -> Iterator["Outcome"]:
        """Train every variant from the seeds 1 … ``seeds``, and yield each outcome as soon as it is measured.

        Raises
        ------
        DataError
            The data are missing or altered.
        """
        for variant in self.variants:
            images, labels = load_inputs(variant.recipe, "test")
            assert isinstance(images, np.ndarray)  # ImageNet is in no study
            for seed in range(1, seeds + 1):
                module = fit(replace(variant.recipe, seed=seed), progress=False)
                with one_thread():
                    evidence = module.evidence(torch.from_numpy(images).flatten(1))
                accuracy = {name: float(np.mean(classes == labels)) for name, classes in evidence.classes.items()}
                yield Outcome(
                    series=variant.series, point=variant.point, seed=seed,
                    # Always the first of the method's read-outs, so that nothing is chosen by the test set.
                    accuracy=accuracy[variant.recipe.method.READOUTS[0]]
                    if variant.recipe.network.readout == "best" else accuracy[variant.recipe.network.readout],
                    measures={name: evidence.measures[name] for name in self.measures},
                )


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of one variant from one seed: test accuracy in real numbers, and the study's measures."""

    series: str
    point: str
    seed: int
    accuracy: float
    measures: dict[str, float]


def on_fashion(
    name: str, method: MethodRecipe, steps: int, learning_rate: float = 3e-3, weight_decay: float = 0.01,
) -> Recipe:
    """Make a recipe for a method with the images and network that most studies share: about a minute on a CPU."""
    return Recipe(
        name=name, data=DataRecipe(dataset="fashion-mnist", samples=4000),
        network=NetworkRecipe(layers="P2-12C3-P2-24C3-64-10", steps=steps), method=method,
        training=TrainingRecipe(epochs=6, batch_size=64, learning_rate=learning_rate, weight_decay=weight_decay),
        quantisation=QuantisationRecipe(weight_bits=(8, 8, 8, 8)),
    )


def varied(recipe: Recipe, **changes) -> Recipe:
    """Return the recipe with changed fields of its method."""
    return replace(recipe, method=replace(recipe.method, **changes))
