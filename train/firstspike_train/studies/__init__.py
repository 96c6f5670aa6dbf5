# SPDX-License-Identifier: MIT
"""Studies that measure, on real data, the effect of a method's choices. Each is one file; see `study.Study`."""
