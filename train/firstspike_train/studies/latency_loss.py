# SPDX-License-Identifier: MIT
"""Latency coding: the TAD loss against the plain cross entropy, at every number of steps."""

from dataclasses import replace

from ..recipe import DataRecipe, LatencyCodingRecipe, NetworkRecipe, QuantisationRecipe, Recipe, TrainingRecipe
from .study import Study, Variant, varied

__all__ = ["LATENCY_LOSS"]

TAD = Recipe(
    name="latency_loss", data=DataRecipe(dataset="fashion-mnist", samples=4000),
    network=NetworkRecipe(layers="P2-12C3-P2-24C3-64-10", steps=1),
    method=LatencyCodingRecipe(kind="latency_coding"),
    training=TrainingRecipe(epochs=6, batch_size=64, learning_rate=3e-3, weight_decay=0.01),
    quantisation=QuantisationRecipe(weight_bits=(8, 8, 8, 8)),
)

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
