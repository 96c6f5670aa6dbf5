# SPDX-License-Identifier: MIT
"""Simulators of the generated hardware, behind one interface; benches of the whole and of units."""
