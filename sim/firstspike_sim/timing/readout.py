# SPDX-License-Identifier: MIT
"""Twin of the read-out. The step that decides comes from the golden model."""

import numpy as np

from .compilation import twin

__all__ = ["READOUT", "new_readout", "step"]

READOUT = np.dtype([
    ("early_exit", np.bool_), ("scan", np.bool_), ("earliest", np.bool_), ("rows", np.int64), ("comparing", np.int64),
    ("offered", np.bool_), ("decided", np.bool_), ("drop_valid", np.bool_), ("drop_inference", np.int64),
    ("free_from", np.int64), ("ends_at", np.int64), ("ending_settles", np.bool_), ("ending_final", np.bool_),
    ("ending_inference", np.int64),
], align=True)
"""Settings and state of a read-out.

Settings: the options ``early_exit`` and ``scan``; ``earliest``, whether the earliest spike decides; ``rows`` of the
last core; ``comparing``, the value of `readout_cycles`. State: ``offered`` is ``result.valid``; ``decided``, whether
the class of the inference is settled; ``drop_…``, the output ``drop``; ``free_from``, the cycle in which the row before
decides; ``ends_at``, the cycle in which the step that is compared ends, whether it settles the class or is the final
one, and its inference.
"""


def new_readout(*, early_exit: bool, scan: bool, earliest: bool, rows: int, comparing: int) -> np.ndarray:
    """State of a read-out after reset, `READOUT` [1]."""
    state = np.zeros(1, READOUT)
    state["early_exit"], state["scan"], state["earliest"] = early_exit, scan, earliest
    state["rows"], state["comparing"], state["ends_at"] = rows, comparing, -1
    return state


@twin
def _decide(readout):  # pragma: no cover - compiled
    """End the comparison of a step: "with ``early_exit`` the result is offered as soon as a step decides, and ``drop``
    names the inference until its final row has passed; otherwise it is offered after the final row"."""
    final = readout.ending_final
    settles = not readout.decided and (readout.ending_settles or final)
    readout.offered = readout.offered or (settles if readout.early_exit else final)
    if final:
        readout.drop_valid = False
    elif settles and readout.early_exit:
        readout.drop_valid, readout.drop_inference = True, readout.ending_inference
    readout.decided = (readout.decided or settles) and not final


@twin
def _capture(readout, cycle, row, final, settles):  # pragma: no cover - compiled
    """Take a captured row: "the last row of a step, captured in cycle c, decides in cycle c + 1 + `readout_cycles`".
    "Rows that can decide nothing do not enter, and hold up none: if the earliest spike decides and the layer has one
    row, those without a spike and those after the decision; if it does not, all but those of the final step"."""
    if final or (readout.earliest and (readout.rows > 1 or settles)):
        readout.free_from = cycle + 1 + readout.comparing
        if row.row == readout.rows - 1:
            readout.ends_at = readout.free_from
            readout.ending_settles, readout.ending_final = settles, final
            readout.ending_inference = row.inference


@twin
def step(readout, cycle, row, final, settles, opening, coming, result_ready):  # pragma: no cover - compiled
    """A cycle of `firstspike_hw.readout`; return whether a row is granted.

    ``row`` is the row in the core's add stage; ``final``, whether its step is its inference's or its window's last;
    ``settles``, whether it decides. ``opening`` and
    ``coming`` are those of the core's capture. "One step is decided at a time: its first row ("scan": any row) is
    granted from the cycle in which the row before decides, and not while a result is offered". A grant is for the next
    cycle, so it depends on the state after this one.
    """
    if result_ready:
        readout.offered = False
    if readout.ends_at == cycle + 1:
        _decide(readout)
    if row.captures:
        _capture(readout, cycle, row, final, settles)
    waits = readout.scan or opening
    return not (waits and (readout.offered or coming or cycle + 1 < readout.free_from))
