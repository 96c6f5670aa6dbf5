# SPDX-License-Identifier: MIT
"""Study of multi-threshold LIF: the shape and width of the surrogate slope around each threshold."""

from ..recipe import MultiThresholdRecipe
from .study import Study, Variant, on_fashion, varied

__all__ = ["SURROGATE_SHAPES"]

BASE = on_fashion("surrogate_shapes", MultiThresholdRecipe(kind="multi_threshold"), steps=2)

SURROGATE_SHAPES = Study(
    name="surrogate_shapes",
    question="Does the shape of the surrogate matter?",
    claim="Three approximate derivatives are offered (abstract); which is best, and their widths, are not public.",
    variants=tuple(
        Variant(series=shape, point=f"width {width}", recipe=varied(BASE, surrogate=shape, surrogate_width=width))
        for shape in ("rectangle", "triangle", "gaussian") for width in (0.25, 0.5, 1.0, 2.0)),
    measures=("layer0_spikes", "layer1_spikes", "layer2_spikes"),
)
