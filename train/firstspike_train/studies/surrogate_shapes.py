# SPDX-License-Identifier: MIT
"""Multi-threshold LIF: the shape and width of the slope around each threshold."""

from ..recipe import DataRecipe, MultiThresholdRecipe, NetworkRecipe, QuantisationRecipe, Recipe, TrainingRecipe
from .study import Study, Variant, varied

__all__ = ["SURROGATE_SHAPES"]

BASE = Recipe(
    name="surrogate_shapes", data=DataRecipe(dataset="fashion-mnist", samples=4000),
    network=NetworkRecipe(layers="P2-12C3-P2-24C3-64-10", steps=2),
    method=MultiThresholdRecipe(kind="multi_threshold"),
    training=TrainingRecipe(epochs=6, batch_size=64, learning_rate=3e-3, weight_decay=0.01),
    quantisation=QuantisationRecipe(weight_bits=(8, 8, 8, 8)),
)

SURROGATE_SHAPES = Study(
    name="surrogate_shapes",
    question="Does the shape of the surrogate matter?",
    claim="Three approximate derivatives are offered (abstract); which is best, and their widths, are not public.",
    variants=tuple(
        Variant(series=shape, point=f"width {width}", recipe=varied(BASE, surrogate=shape, surrogate_width=width))
        for shape in ("rectangle", "triangle", "gaussian") for width in (0.25, 0.5, 1.0, 2.0)),
    measures=("layer0_spikes", "layer1_spikes", "layer2_spikes"),
)
