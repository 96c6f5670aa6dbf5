# SPDX-License-Identifier: MIT
"""Study of ETTFS: the step of the decision with decaying decoding weights, and with an unweighted decoding."""

from dataclasses import replace

from ..recipe import DataRecipe, EttfsRecipe, NetworkRecipe, QuantisationRecipe, Recipe, TrainingRecipe
from .study import Study, Variant, varied

__all__ = ["ETTFS_DECODING"]

LINEAR = Recipe(
    name="ettfs_decoding", data=DataRecipe(dataset="mnist", samples=4000),
    network=NetworkRecipe(layers="128-10", steps=8),
    method=EttfsRecipe(kind="ettfs", cutoff=25, score_gain=20.0, membrane_loss=0.0),
    training=TrainingRecipe(epochs=6, batch_size=64, learning_rate=4e-3, weight_decay=0.1),
    quantisation=QuantisationRecipe(weight_bits=(8, 8)),
)
SERIES = {"linear": "linear", "exponential": "exponential", "none": "unweighted"}

ETTFS_DECODING = Study(
    name="ettfs_decoding",
    question="Does a decoding with decaying weights make decisions earlier?",
    claim="The decoding lowers the mean decision step on four data sets; about 2 of 8 steps on Fashion-MNIST (both by "
          "a secondary source).",
    variants=tuple(
        Variant(series=series, point=f"T = {steps}", recipe=varied(
            replace(LINEAR, network=replace(LINEAR.network, steps=steps)), decay=decay))
        for decay, series in SERIES.items() for steps in (4, 8)),
    measures=("decision_step", "output_silent", "output_ties"),
)
