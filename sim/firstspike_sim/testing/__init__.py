# SPDX-License-Identifier: MIT
"""Random networks, frameworks' own runs, and what single units need, for tests and benchmarks."""
