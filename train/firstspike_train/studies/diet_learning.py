# SPDX-License-Identifier: MIT
"""Study of DIET-SNN with and without learned leaks and thresholds, from the same pre-trained network."""

from dataclasses import replace

from ..recipe import DietRecipe
from .study import Study, Variant, on_fashion, varied

__all__ = ["DIET_LEARNING"]

BOTH = on_fashion(
    "diet_learning", DietRecipe(kind="diet_snn", pretraining_epochs=6, pretraining_learning_rate=3e-3), steps=5,
    learning_rate=1e-3, weight_decay=0.0,
)
SERIES = {"leak and threshold": ("theta", "leak"), "threshold": ("theta",), "leak": ("leak",), "neither": ()}

DIET_LEARNING = Study(
    name="diet_learning",
    question="What do learned leaks and thresholds add?",
    claim="CIFAR-10: as accurate in 25 steps with direct input alone, in 15 with learned thresholds, in 5 with learned "
          "leaks too (a secondary source's account).",
    variants=tuple(
        Variant(series=series, point=f"T = {steps}", recipe=varied(
            replace(BOTH, network=replace(BOTH.network, steps=steps)), learns=learns))
        for series, learns in SERIES.items() for steps in (2, 5)),
    measures=("layer0_firing", "layer1_firing", "layer2_firing"),
)
