# SPDX-License-Identifier: MIT
"""Twin of the pair packer."""

import numpy as np
from firstspike_arch.events import ADDRESS_SHIFT, MARKER

from .compilation import twin

__all__ = ["PAIR_PACKER", "events_ready", "new_pair_packer", "step", "token"]

PAIR_PACKER = np.dtype([
    ("second_shift", np.int64), ("valid", np.bool_), ("first", np.int64), ("second_valid", np.bool_),
    ("second", np.int64),
], align=True)
"""State of a packer: two tokens of one event each. ``second_shift``: that of `TokenLayout`; 0: there is no packer."""


def new_pair_packer(second_shift: int) -> np.ndarray:
    """State after reset, `PAIR_PACKER` [1]."""
    state = np.zeros(1, PAIR_PACKER)
    state["second_shift"] = second_shift
    return state


@twin
def events_ready(packer, joined_ready):  # pragma: no cover - compiled
    """Whether a token is taken if it is offered: "``events.ready`` falls only if two tokens are held and
    ``joined.ready`` is low"."""
    return not packer.second_valid or joined_ready


@twin
def _joins(packer):  # pragma: no cover - compiled
    """Whether both tokens are offered as one: "two events of a step that follow each other"."""
    return packer.second_valid and (packer.first | packer.second) & MARKER == 0


@twin
def token(packer):  # pragma: no cover - compiled
    """The token that is offered, if ``packer.valid``."""
    if _joins(packer):
        return packer.first | (packer.second >> ADDRESS_SHIFT << 1 | 1) << packer.second_shift
    return packer.first


@twin
def step(packer, events_valid, event, joined_ready):  # pragma: no cover - compiled
    """A cycle of `firstspike_hw.pair_packer`: "a token taken in cycle c is offered in c + 1"; it "holds up to two
    tokens"."""
    if not packer.valid or (joined_ready and (_joins(packer) or not packer.second_valid)):
        packer.valid, packer.first, packer.second_valid = events_valid, event, False
    elif joined_ready:
        packer.first, packer.second, packer.second_valid = packer.second, event, events_valid
    elif not packer.second_valid:
        packer.second, packer.second_valid = event, events_valid
