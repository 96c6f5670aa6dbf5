# SPDX-License-Identifier: MIT
"""Random networks and frameworks' own runs, for tests and benchmarks."""
