# SPDX-License-Identifier: MIT
"""Ground floor: what hardware, golden model, timing model and compiler agree on."""
