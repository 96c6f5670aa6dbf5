# SPDX-License-Identifier: MIT
"""Boards and host links."""
