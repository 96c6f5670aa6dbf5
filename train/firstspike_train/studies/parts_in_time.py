# SPDX-License-Identifier: MIT
"""Study of multi-threshold LIF on a task in time: with and without currents that last, recurrence, and delays."""

from dataclasses import replace

from ..recipe import DataRecipe, MultiThresholdRecipe, NetworkRecipe, QuantisationRecipe, Recipe, TrainingRecipe
from .study import Study, Variant

__all__ = ["PARTS_IN_TIME"]

PLAIN = Recipe(
    name="parts_in_time", data=DataRecipe(dataset="glides", step_us=10_000),
    network=NetworkRecipe(layers="24-8", steps=50),
    method=MultiThresholdRecipe(kind="multi_threshold", levels=1, leak=0.9, learns=("leak",), spread=0.1,
                                surrogate_height=0.3),
    training=TrainingRecipe(epochs=15, batch_size=32, learning_rate=0.01, weight_decay=0.01),
    quantisation=QuantisationRecipe(weight_bits=(8, 8)),
)
PARTS = {
    "none": (), "currents": ("currents",), "recurrence": ("recurrence",), "random delays": ("delays",),
    "learned delays": ("delays", "learned"), "all but currents": ("recurrence", "delays", "learned"),
    "all but recurrence": ("currents", "delays", "learned"), "all but delays": ("currents", "recurrence"),
    "all": ("currents", "recurrence", "delays", "learned"),
}


def with_parts(parts: tuple[str, ...]) -> Recipe:
    """The plain network, LIF neurons with a learned leak, with more."""
    method, network = PLAIN.method, PLAIN.network
    assert isinstance(method, MultiThresholdRecipe)
    learns = (*method.learns, *(("current_leak",) if "currents" in parts else ()),
              *(("delays",) if "learned" in parts else ()))
    return replace(
        PLAIN, method=replace(method, learns=learns, current_leak=0.5 if "currents" in parts else None),
        network=replace(network, layers="24r-8" if "recurrence" in parts else "24-8",
                        delays=20 if "delays" in parts else 0))


PARTS_IN_TIME = Study(
    name="parts_in_time",
    question="What are currents, recurrence and delays worth where only time tells the classes apart?",
    # Ref: I. Hammouamri, I. Khalfaoui-Hassani, T. Masquelier, "Learning delays in spiking neural networks using dilated
    # convolutions with learnable spacings", 2023.
    claim="Spoken digits: feed-forward networks with a learned delay for each synapse beat recurrent ones (abstract).",
    variants=tuple(Variant(series="LIF", point=name, recipe=with_parts(parts)) for name, parts in PARTS.items()),
    measures=("layer0_spikes",),
)
