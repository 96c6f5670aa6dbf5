# SPDX-License-Identifier: MIT
"""firstspike: trained time-to-first-spike and LIF networks become verified FPGA accelerators."""

from .api import Verification, compile, estimate, export, load, open_build, predict, simulate, verify

__version__ = "0.1.0"

__all__ = ["Verification", "compile", "estimate", "export", "load", "open_build", "predict", "simulate", "verify"]
