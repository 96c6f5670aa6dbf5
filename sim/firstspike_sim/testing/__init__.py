# SPDX-License-Identifier: MIT
"""Random networks, runs of other frameworks, and programs for single units, for tests and benchmarks."""
