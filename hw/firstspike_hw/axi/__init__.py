# SPDX-License-Identifier: MIT
"""The accelerator as an AXI peripheral."""
