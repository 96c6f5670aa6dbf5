# SPDX-License-Identifier: MIT
"""python -m firstspike: the command, where its script is not on the path."""

from .main import run

run()
