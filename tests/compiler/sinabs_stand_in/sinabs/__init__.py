# SPDX-License-Identifier: MIT
"""Stands in for sinabs where that is not installed: its arithmetic, as far as it is read, in our own words."""
