# SPDX-License-Identifier: MIT
"""Proof that training computes integers exactly: float32 holds them exactly up to 2^24."""

from .layer_stack import LayerStack

__all__ = ["FLOAT32_EXACT", "ExactnessError", "require_exact"]

FLOAT32_EXACT = 1 << 24
"""Largest magnitude up to which every integer is exact in float32."""


class ExactnessError(ValueError):
    """float32 may round integers of a quantised network; the message names the layer and a remedy."""


def require_exact(module: LayerStack) -> None:
    """Prove that every membrane of a quantised module is exact, for every input.

    Raises
    ------
    ExactnessError
        A membrane can exceed 2^24.
    """
    for index, largest in enumerate(module.largest_membranes()):
        if largest > FLOAT32_EXACT:
            raise ExactnessError(
                f"layer {index}: membranes must stay within 2^24 = {FLOAT32_EXACT}, where float32 is exact, not "
                f"{largest}: give it fewer weight bits or inputs, or the network fewer steps")
