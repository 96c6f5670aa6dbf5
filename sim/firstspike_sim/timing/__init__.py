# SPDX-License-Identifier: MIT
"""The timing model: when everything happens, cycle by cycle."""
