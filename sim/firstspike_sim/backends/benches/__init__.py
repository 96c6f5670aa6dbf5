# SPDX-License-Identifier: MIT
"""Modules that run inside a simulator, under cocotb."""
