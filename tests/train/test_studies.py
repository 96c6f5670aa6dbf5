# SPDX-License-Identifier: MIT
"""Studies: their recipes are good, and a small one gives what its variants give alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from firstspike.study_report import STUDIES
from firstspike_train.data import load
from firstspike_train.loop import fit, one_thread
from firstspike_train.recipe import DataRecipe, NetworkRecipe
from firstspike_train.studies.latency_loss import LATENCY_LOSS
from firstspike_train.studies.study import Study, Variant

SMALL = replace(LATENCY_LOSS, variants=tuple(
    replace(variant, recipe=replace(
        variant.recipe, data=DataRecipe(dataset="digits"),
        network=NetworkRecipe(layers="24-10", steps=variant.recipe.network.steps),
        quantisation=replace(variant.recipe.quantisation, weight_bits=(8, 8)),
    )) for variant in LATENCY_LOSS.variants if variant.point in ("T = 1", "T = 3")))


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_says_what_it_compares(name):
    study = STUDIES[name]
    assert study.name == name and study.question.endswith("?") and study.claim
    assert len({(variant.series, variant.point) for variant in study.variants}) == len(study.variants)
    assert len({str(variant.recipe.table) for variant in study.variants}) == len(study.variants)
    for variant in study.resized(100, 2).variants:
        assert variant.recipe.data.samples == 100 and variant.recipe.training.epochs == 2


def test_a_study_trains_each_variant_from_each_seed():
    small = SMALL.resized(300, 2)
    outcomes = list(small.run(2))
    assert [(one.series, one.point, one.seed) for one in outcomes] == [
        (variant.series, variant.point, seed) for variant in small.variants for seed in (1, 2)]
    by_name = {(one.series, one.point, one.seed): one for one in outcomes}
    for seed in (1, 2):  # one step leaves nothing to weight
        assert by_name["TAD", "T = 1", seed].accuracy == by_name["cross entropy", "T = 1", seed].accuracy
    assert by_name["TAD", "T = 3", 1].accuracy != by_name["TAD", "T = 3", 2].accuracy
    images, labels = load("digits", "test")
    with one_thread():
        evidence = fit(replace(small.variants[1].recipe, seed=2), progress=False).evidence(torch.from_numpy(images))
    again = by_name["TAD", "T = 3", 2]
    assert again.accuracy == np.mean(evidence.classes["first_spike"] == labels)
    assert again.measures == {name: evidence.measures[name] for name in ("decision_step", "output_silent")}


def test_a_study_needs_measures_that_are_there():
    study = Study(name="x", question="?", claim="", measures=("nothing",), variants=(
        Variant(series="a", point="b", recipe=SMALL.resized(64, 1).variants[0].recipe),))
    with pytest.raises(KeyError, match="nothing"):
        list(study.run(1))
