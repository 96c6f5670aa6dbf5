# SPDX-License-Identifier: MIT
"""firstspike: trained time-to-first-spike and LIF networks become verified FPGA accelerators."""

from .api import (
    Mapping,
    Verification,
    compile,
    connect,
    estimate,
    export,
    load,
    map_to_device,
    open_build,
    predict,
    simulate,
    verify,
)

__version__ = "0.1.0"

__all__ = [
    "Mapping", "Verification", "compile", "connect", "estimate", "export", "load", "map_to_device", "open_build",
    "predict", "simulate", "verify",
]
