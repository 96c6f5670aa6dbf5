# SPDX-License-Identifier: MIT
"""What runs inside a simulator, under cocotb."""
