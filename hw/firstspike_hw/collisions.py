# SPDX-License-Identifier: MIT
"""Collisions: reads of the word of a memory that is written in the same cycle.

Block RAMs read something else then, depending on the device. So that the old word is read everywhere, synthesis adds
logic and wires to every memory, unless it sees that collisions cannot happen.

Ref: yosys manual, attributes of memories.
"""

from typing import Any

__all__ = ["UNUSED"]

UNUSED: dict[str, Any] = {"no_rw_check": 1}
"""Attribute of a memory that is read in collisions, of which nothing uses what is read: nothing is added then."""
