# SPDX-License-Identifier: MIT
"""Whether training computes integers exactly: in float32 all of them must stay below 2^24."""

from .layer_stack import LayerStack

__all__ = ["FLOAT32_EXACT", "ExactnessError", "require_exact"]

FLOAT32_EXACT = 1 << 24
"""Integers of at most this magnitude are exact in float32."""


class ExactnessError(ValueError):
    """A quantised network whose integers float32 may round; the sentence names the layer and what would work."""


def require_exact(module: LayerStack) -> None:
    """Prove that every membrane of a quantised module is exact, for every input.

    Raises
    ------
    ExactnessError
    """
    for index, largest in enumerate(module.largest_membranes()):
        if largest > FLOAT32_EXACT:
            raise ExactnessError(
                f"layer {index}: membranes must stay within 2^24 = {FLOAT32_EXACT}, where float32 is exact, not "
                f"{largest}: give it fewer weight bits or inputs, or the network fewer steps")
