# SPDX-License-Identifier: MIT
"""Amaranth hardware, one unit a file."""
