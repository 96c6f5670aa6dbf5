# SPDX-License-Identifier: MIT
"""Studies: what a choice of a method is worth, measured on real data. One file each; how one runs is `study.Study`."""
