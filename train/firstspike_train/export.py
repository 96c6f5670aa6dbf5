# SPDX-License-Identifier: MIT
"""Exports a trained module as the `FloatNetwork` that the compiler takes."""

from firstspike_arch.float_network import FloatNetwork, Readout

from .layer_stack import LayerStack
from .recipe import Recipe

__all__ = ["export_network"]


def export_network(
    module: LayerStack, recipe: Recipe, readout: Readout, accuracy: dict[str, float], history: list[dict]
) -> FloatNetwork:
    """Return the network of a quantised module; the compiler rounds it to exactly the trained integers.

    Its ``recipe`` is the recipe's table with ``history``, which has one entry per epoch.
    """
    return FloatNetwork(
        name=recipe.name,
        steps=recipe.network.steps,
        layers=module.layers(),
        readout=readout,
        **module.input_fields,
        step_weights=module.step_weights if readout == "weighted_spikes" else (),
        accuracy=accuracy,
        recipe={**recipe.table, "history": history},
    )
