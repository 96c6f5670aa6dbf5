# SPDX-License-Identifier: MIT
"""Study of latency coding: the TAD loss against plain cross entropy, for 1 to 4 steps."""

from dataclasses import replace

from ..recipe import LatencyCodingRecipe
from .study import Study, Variant, on_fashion, varied

__all__ = ["LATENCY_LOSS"]

TAD = on_fashion("latency_loss", LatencyCodingRecipe(kind="latency_coding"), steps=1)

LATENCY_LOSS = Study(
    name="latency_loss",
    question="Does the TAD loss help, and from how many steps on?",
    claim="The TAD loss helps latency-coded networks of 1 to 4 steps (abstract; figures are not public). At T = 1 both "
          "losses are the same, which the runs must show.",
    variants=tuple(
        Variant(series=series, point=f"T = {steps}", recipe=varied(
            replace(TAD, network=replace(TAD.network, steps=steps)), loss=loss))
        for series, loss in (("TAD", "tad"), ("cross entropy", "cross_entropy")) for steps in (1, 2, 3, 4)),
    measures=("decision_step", "output_silent"),
)
