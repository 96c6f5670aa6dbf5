# SPDX-License-Identifier: MIT
"""SDRAM as external memory: LiteDRAM's controller, started and used without a processor."""
