# SPDX-License-Identifier: MIT
"""Networks of torch modules, for all frameworks on torch: a file of a framework adds its own neurons."""
