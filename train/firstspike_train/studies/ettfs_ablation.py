# SPDX-License-Identifier: MIT
"""Study of ETTFS with one part removed at a time: initialisation, normalisation, affine, average pools, decoding."""

from ..recipe import EttfsRecipe
from .study import Study, Variant, on_fashion, varied

__all__ = ["ETTFS_ABLATION"]

FULL = on_fashion(
    # Fitting the first gains to a batch is an addition to the paper. Without it, average pools weaken the currents, and
    # many networks stay silent for ever. The losses on membranes, also an addition, are a variant.
    "ettfs_ablation", EttfsRecipe(kind="ettfs", cutoff=25, score_gain=20.0, membrane_loss=0.0, spread=1.0), steps=4,
    learning_rate=4e-3, weight_decay=1e-4,
)
VARIANTS = {
    "all parts": {},
    "Kaiming": {"initialisation": "kaiming"},
    "no norm": {"normalise": False},
    "no norm, Kaiming": {"normalise": False, "initialisation": "kaiming"},
    "no affine": {"affine": False},
    "max pool": {"pool": "max"},
    "exponential": {"decay": "exponential"},
    "no decay": {"decay": "none"},
    "none of them": {"initialisation": "kaiming", "normalise": False, "affine": False, "pool": "max", "decay": "none"},
    "gains not fitted": {"spread": 0.0},
    "with our losses": {"membrane_loss": 1.0, "decision_loss": 0.3},
}

ETTFS_ABLATION = Study(
    name="ettfs_ablation",
    question="What does each part of ETTFS add?",
    claim="Fashion-MNIST, all parts together: from 89.61 % to 92.90 % (a secondary source's account of the paper).",
    variants=tuple(Variant(series="ETTFS", point=name, recipe=varied(FULL, **changes))
                   for name, changes in VARIANTS.items()),
    measures=("decision_step", "output_silent", "output_ties"),
)
