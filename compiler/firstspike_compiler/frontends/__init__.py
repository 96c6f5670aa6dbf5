# SPDX-License-Identifier: MIT
"""Networks of other tools, one format a file."""
