# SPDX-License-Identifier: MIT
"""Compiler: trained or imported networks become programs."""
