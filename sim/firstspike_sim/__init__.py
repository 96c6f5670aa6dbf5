# SPDX-License-Identifier: MIT
"""Golden model, timing model, simulators and the exact comparison between them."""
