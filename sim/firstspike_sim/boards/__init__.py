# SPDX-License-Identifier: MIT
"""Simulated boards: the accelerator behind its host link, in Verilator."""
